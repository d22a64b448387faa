// What a finished map knows about itself: realness, statistics, regions.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include "percentile.hpp"
#include "realm/realm.hpp"

namespace realm {
namespace {

// Of the threshold: where colours begin on a map that stands out, and what the strongest stands for at least.
constexpr double kRealEnd = 0.5, kUnrealEnd = 1.25;
// What a twentieth of a map exceeds: the highest z alone follows one window.
constexpr double kHighPercentile = 95;

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
        for (float& value : result) value = 1.0F - value;  // NaN stays what it is
    return result;
}

std::vector<float> RealnessMap::z() const {
    if (!photographs) return {};
    std::vector<float> result = realness();
    for (std::size_t at = 0; at < result.size(); ++at) {
        const double z = (1.0 - static_cast<double>(result[at]) - photographs->mean) / photographs->std;
        result[at] = covered[at] != 0 ? static_cast<float>(z) : std::numeric_limits<float>::quiet_NaN();
    }
    return result;
}

std::optional<double> RealnessMap::z_max() const {
    const std::vector<float> used = kept(z(), covered);
    if (used.empty()) return std::nullopt;
    return static_cast<double>(*std::max_element(used.begin(), used.end()));
}

std::optional<double> RealnessMap::z_high() const {
    std::vector<float> used = kept(z(), covered);
    if (used.empty()) return std::nullopt;
    std::sort(used.begin(), used.end());
    return sorted_percentile(used, kHighPercentile);
}

std::optional<bool> RealnessMap::stands_out() const {
    if (!photographs || !photographs->threshold) return std::nullopt;
    const std::optional<double> high = z_high();
    if (!high) return std::nullopt;
    return *high > *photographs->threshold;
}

std::optional<std::pair<double, double>> RealnessMap::own_limits() const {
    const std::optional<bool> known = stands_out();
    if (!known) return std::nullopt;
    const double threshold = *photographs->threshold;
    const auto similarity = [&](double z) { return photographs->mean + photographs->std * z; };
    // Where nothing stands out the picture shows untouched: all of the map lies at the real end or below.
    const double begin = *known ? kRealEnd * threshold : std::max(*z_max(), threshold);
    const double real = similarity(begin);
    const double unreal = similarity(*known ? std::max(*z_max(), kUnrealEnd * threshold) : kUnrealEnd * begin);
    return quantity == Quantity::similarity ? std::pair(real, unreal) : std::pair(1.0 - unreal, 1.0 - real);
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
    if (!stands_out().value_or(true)) return {};
    // NumPy compares float32 values with a bound of float32.
    const auto bound = static_cast<float>(found.mean - policy.below_std * found.std);
    std::vector<std::uint8_t> open(real.size());
    for (std::size_t at = 0; at < real.size(); ++at) open[at] = covered[at] != 0 && real[at] < bound ? 1 : 0;
    const double window = windows_px.empty() ? 1.0 : *std::min_element(windows_px.begin(), windows_px.end());
    const bool scaled = photographs && photographs->threshold;
    const double threshold = scaled ? *photographs->threshold : 0.0;
    const std::vector<float> heights = scaled ? z() : std::vector<float>{};
    std::vector<Region> result;
    std::vector<std::size_t> waiting;
    const auto columns = static_cast<std::size_t>(width);
    for (std::size_t start = 0; start < open.size(); ++start) {
        if (open[start] == 0) continue;
        int left = width, right = -1, top = height, bottom = -1;
        double sum = 0.0;
        std::size_t area = 0;
        bool outstanding = !scaled;
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
            outstanding = outstanding || static_cast<double>(heights[at]) > threshold;
            for (int down = std::max(0, y - 1); down <= std::min(height - 1, y + 1); ++down)
                for (int across = std::max(0, x - 1); across <= std::min(width - 1, x + 1); ++across) {
                    const std::size_t next = static_cast<std::size_t>(down) * columns + static_cast<std::size_t>(across);
                    if (open[next] == 0) continue;
                    open[next] = 0;
                    waiting.push_back(next);
                }
        }
        if (outstanding && static_cast<double>(area) >= policy.least_window_areas * window * window)
            result.push_back({left, top, right - left + 1, bottom - top + 1, sum / static_cast<double>(area), area});
    }
    std::stable_sort(result.begin(), result.end(), [](const Region& one, const Region& other) {
        return one.mean_realness < other.mean_realness;
    });
    if (result.size() > most) result.resize(most);
    return result;
}

}  // namespace realm
