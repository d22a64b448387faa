// What a finished map knows about itself: realness, statistics, regions.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "percentile.hpp"
#include "realm/realm.hpp"

namespace realm {
namespace {

struct Moments {
    double mean = 0, std = 0;
};

Moments moments(const std::vector<float>& values) {
    const auto count = static_cast<double>(values.size());
    const double mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
    double squares = 0.0;
    for (const float value : values) squares += (static_cast<double>(value) - mean) * (static_cast<double>(value) - mean);
    return {mean, std::sqrt(squares / count)};
}

std::vector<float> kept(const std::vector<float>& values, const std::vector<std::uint8_t>& mask) {
    std::vector<float> result;
    result.reserve(values.size());
    for (std::size_t at = 0; at < values.size(); ++at)
        if (mask[at] != 0) result.push_back(values[at]);
    return result;
}

}  // namespace

std::vector<float> RealnessMap::realness() const {
    std::vector<float> result = values;
    if (quantity == Quantity::similarity)
        for (std::size_t at = 0; at < result.size(); ++at) result[at] = covered[at] != 0 ? 1.0F - result[at] : 0.0F;
    return result;
}

Statistics RealnessMap::statistics() const {
    std::vector<float> used = kept(values, covered);
    Statistics result;
    result.covered_fraction = static_cast<double>(used.size()) / static_cast<double>(values.size());
    const bool numbers = std::none_of(used.begin(), used.end(), [](float value) { return std::isnan(value); });
    if (used.empty() || !numbers) {
        const double nothing = std::numeric_limits<double>::quiet_NaN();
        return {nothing, nothing, nothing, nothing, nothing, nothing, nothing, result.covered_fraction};
    }
    const Moments found = moments(used);
    std::sort(used.begin(), used.end());
    result.min = static_cast<double>(used.front());
    result.max = static_cast<double>(used.back());
    result.mean = found.mean;
    result.std = found.std;
    result.p5 = sorted_percentile(used, 5);
    result.median = sorted_percentile(used, 50);
    result.p95 = sorted_percentile(used, 95);
    return result;
}

std::vector<Region> RealnessMap::regions(std::size_t most) const {
    const std::vector<float> real = realness();
    const std::vector<float> used = kept(real, covered);
    if (used.empty() || most == 0) return {};
    const Moments found = moments(used);
    if (!(found.std >= 1e-6)) return {};  // a constant map, up to rounding, or one that is no number
    // NumPy compares float32 values with a bound of float32.
    const auto bound = static_cast<float>(found.mean - policy.below_std * found.std);
    std::vector<std::uint8_t> open(real.size());
    for (std::size_t at = 0; at < real.size(); ++at) open[at] = covered[at] != 0 && real[at] < bound ? 1 : 0;
    const double window = windows_px.empty() ? 1.0 : *std::min_element(windows_px.begin(), windows_px.end());
    std::vector<Region> result;
    std::vector<std::size_t> waiting;
    const auto columns = static_cast<std::size_t>(width);
    for (std::size_t start = 0; start < open.size(); ++start) {
        if (open[start] == 0) continue;
        int left = width, right = -1, top = height, bottom = -1;
        double sum = 0.0;
        std::size_t area = 0;
        open[start] = 0;
        waiting.assign(1, start);
        while (!waiting.empty()) {
            const std::size_t at = waiting.back();
            waiting.pop_back();
            const int y = static_cast<int>(at / columns), x = static_cast<int>(at % columns);
            left = std::min(left, x), right = std::max(right, x);
            top = std::min(top, y), bottom = std::max(bottom, y);
            sum += static_cast<double>(real[at]);
            ++area;
            for (int down = std::max(0, y - 1); down <= std::min(height - 1, y + 1); ++down)
                for (int across = std::max(0, x - 1); across <= std::min(width - 1, x + 1); ++across) {
                    const std::size_t next = static_cast<std::size_t>(down) * columns + static_cast<std::size_t>(across);
                    if (open[next] == 0) continue;
                    open[next] = 0;
                    waiting.push_back(next);
                }
        }
        if (static_cast<double>(area) >= policy.least_window_areas * window * window)
            result.push_back({left, top, right - left + 1, bottom - top + 1, sum / static_cast<double>(area), area});
    }
    std::stable_sort(result.begin(), result.end(), [](const Region& one, const Region& other) {
        return one.mean_realness < other.mean_realness;
    });
    if (result.size() > most) result.resize(most);
    return result;
}

}  // namespace realm
