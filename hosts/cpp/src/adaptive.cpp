// Which windows of a grid are worth encoding, and what lies between them: the Python engine's maps/adaptive.py, step by
// step. Two things decide: how much of the map hangs on a window (a corner's pixels are covered by one alone), and how much
// similarities change around it, known once half of the budget is spent.
#include "adaptive.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

namespace realm {
namespace {

constexpr std::size_t kFewestWindows = 16;  // less is no basis for interpolation
constexpr double kFirstShare = 0.5;         // of the budget; the rest goes where the first windows show change
constexpr double kExponent = 0.4;           // density ~ (influence x variance)^0.4
constexpr double kFlat = 0.1;               // change assumed where none was seen, in units of the mean
constexpr std::array<double, 3> kScales{2.0, 1.0, 0.5};  // of the Gaussians, in distances between encoded windows

struct Grid {
    std::size_t rows, cols;
    std::size_t size() const { return rows * cols; }
};
using Field = std::vector<double>;  // rows x cols
using Mask = std::vector<char>;     // the same, 0 and 1

std::size_t count_of(const Mask& mask) { return static_cast<std::size_t>(std::count(mask.begin(), mask.end(), 1)); }

// A square matrix of Gaussians around each place of an axis, `sigma` wide.
Field gaussian(std::size_t length, double sigma) {
    Field found(length * length);
    for (std::size_t one = 0; one < length; ++one)
        for (std::size_t other = 0; other < length; ++other) {
            const double distance = (static_cast<double>(one) - static_cast<double>(other)) / sigma;
            found[one * length + other] = std::exp(-0.5 * distance * distance);
        }
    return found;
}

// Blurs of rows and columns, `scale` times the mean distance between encoded windows wide. Both are symmetric.
class Blur {
public:
    Blur(const Grid& grid, const Mask& computed, double scale) : grid_(grid) {
        const double sigma = scale * std::sqrt(static_cast<double>(grid.size()) / static_cast<double>(count_of(computed)));
        rows_ = gaussian(grid.rows, sigma);
        cols_ = gaussian(grid.cols, sigma);
    }

    Field operator()(const Field& field) const {
        const std::size_t height = grid_.rows, width = grid_.cols;
        Field down(field.size()), result(field.size());
        for (std::size_t y = 0; y < height; ++y)
            for (std::size_t from = 0; from < height; ++from) {
                const double weight = rows_[y * height + from];
                for (std::size_t x = 0; x < width; ++x) down[y * width + x] += weight * field[from * width + x];
            }
        for (std::size_t y = 0; y < height; ++y)
            for (std::size_t from = 0; from < width; ++from) {
                const double value = down[y * width + from];
                for (std::size_t x = 0; x < width; ++x) result[y * width + x] += value * cols_[from * width + x];
            }
        return result;
    }

private:
    Grid grid_;
    Field rows_, cols_;
};

// The plane that lies closest to the encoded windows, at every window. Around their middle, where a row or column that is
// alone has no slope, the equations are 2 x 2.
Field plane(const Field& known, const Mask& computed, const Grid& grid) {
    double count = 0, row_sum = 0, col_sum = 0, sum = 0;
    const auto each = [&](const auto& see) {
        for (std::size_t at = 0; at < known.size(); ++at)
            if (computed[at] != 0) see(static_cast<double>(at / grid.cols), static_cast<double>(at % grid.cols), known[at]);
    };
    each([&](double row, double col, double value) { ++count, row_sum += row, col_sum += col, sum += value; });
    const double row_mean = row_sum / count, col_mean = col_sum / count, mean = sum / count;
    double rr = 0, rc = 0, cc = 0, rv = 0, cv = 0;
    each([&](double row, double col, double value) {
        const double r = row - row_mean, c = col - col_mean, v = value - mean;
        rr += r * r, rc += r * c, cc += c * c, rv += r * v, cv += c * v;
    });
    const double determinant = rr * cc - rc * rc;
    double down = 0, across = 0;
    if (determinant > 1e-9 * rr * cc && rr > 0 && cc > 0) {
        down = (rv * cc - cv * rc) / determinant;
        across = (cv * rr - rv * rc) / determinant;
    } else {  // one row, or one column
        down = rr > 0 ? rv / rr : 0;
        across = rr > 0 || cc <= 0 ? 0 : cv / cc;
    }
    Field result(known.size());
    for (std::size_t at = 0; at < known.size(); ++at)
        result[at] = mean + down * (static_cast<double>(at / grid.cols) - row_mean) +
                     across * (static_cast<double>(at % grid.cols) - col_mean);
    return result;
}

// A field through the encoded windows: a plane, then successive corrections of what is left by Gaussian means of growing
// sharpness (S. Barnes, "A technique for maximizing details in numerical weather map analysis", 1964).
Field interpolate(const Field& known, const Mask& computed, const Grid& grid) {
    Field field = plane(known, computed, grid);
    const Field ones(computed.begin(), computed.end());
    for (const double scale : kScales) {
        const Blur blur(grid, computed, scale);
        Field rest(field.size());
        for (std::size_t at = 0; at < field.size(); ++at) rest[at] = computed[at] != 0 ? known[at] - field[at] : 0.0;
        const Field weight = blur(ones), correction = blur(rest);
        // Far from every encoded window the weight vanishes, and with the small term the correction as well.
        for (std::size_t at = 0; at < field.size(); ++at) field[at] += correction[at] / (weight[at] + 1e-6);
    }
    for (std::size_t at = 0; at < field.size(); ++at)
        if (computed[at] != 0) field[at] = known[at];
    return field;
}

// Squared weights of each window of one axis over the map, 1 for the least.
Field influence(std::size_t windows, double overlap) {
    const auto span = static_cast<std::size_t>(std::max(1.0, std::nearbyint(overlap)));
    Field squared(windows);
    for (std::size_t pixel = 0; pixel < windows + span - 1; ++pixel) {
        const std::size_t first = pixel + 1 > span ? pixel + 1 - span : 0, last = std::min(pixel, windows - 1);
        const double weight = 1.0 / static_cast<double>(last - first + 1);
        for (std::size_t window = first; window <= last; ++window) squared[window] += weight * weight;
    }
    const double least = *std::min_element(squared.begin(), squared.end());
    for (double& each : squared) each /= least;
    return squared;
}

// How much similarities change around every window, about 1 on average. `known`: a field per text.
Field change(const std::vector<Field>& known, const Mask& computed, const Grid& grid) {
    Field squared(grid.size());
    for (const Field& own : known) {
        const Field field = interpolate(own, computed, grid);
        for (std::size_t at = 0; at < field.size(); ++at) {
            const double down = at >= grid.cols ? field[at] - field[at - grid.cols] : 0.0;
            const double across = at % grid.cols > 0 ? field[at] - field[at - 1] : 0.0;
            squared[at] += down * down + across * across;
        }
    }
    const Blur blur(grid, computed, 1.0);
    const Field sums = blur(squared), weights = blur(Field(grid.size(), 1.0));
    Field local(grid.size());
    double mean = 0;
    for (std::size_t at = 0; at < local.size(); ++at) {
        local[at] = sums[at] / weights[at];
        mean += local[at] / static_cast<double>(local.size());
    }
    // Where the model answers NaN, windows are still chosen, and the values say so.
    for (double& each : local) {
        const double share = each / (mean > 1e-30 ? mean : std::isnan(mean) ? mean : 1e-30);
        each = kFlat + (std::isnan(share) ? 1.0 : share);
    }
    return local;
}

// Marks the next `count` windows, spread evenly at a density of about value^0.4: thresholds are the two-dimensional
// sequence R2 (M. Roberts, 2018) on the lattice, and a window counts once its density passes its own.
std::vector<std::size_t> take_best(const Field& value, Mask& taken, const Grid& grid, std::size_t count) {
    Field key(value.size());
    for (std::size_t at = 0; at < value.size(); ++at) {
        const auto row = static_cast<double>(at / grid.cols), col = static_cast<double>(at % grid.cols);
        const double threshold = std::fmod(0.5 + 0.7548776662466927 * row + 0.5698402909980532 * col, 1.0);
        key[at] = taken[at] != 0 ? std::numeric_limits<double>::infinity() : threshold / std::pow(value[at], kExponent);
    }
    std::vector<std::size_t> order(value.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t one, std::size_t other) { return key[one] < key[other]; });
    std::vector<std::size_t> chosen;
    for (std::size_t at = 0; at < std::min(count, order.size()); ++at)
        if (taken[order[at]] == 0) chosen.push_back(order[at]);
    for (const std::size_t at : chosen) taken[at] = 1;
    std::sort(chosen.begin(), chosen.end());
    return chosen;
}

}  // namespace

double fast_fraction(int window_px, int stride_px) {
    const double coarseness = 8.0 * stride_px / window_px;
    return std::min(1.0, kFastFraction * coarseness * std::max(1.0, std::sqrt(coarseness)));
}

std::size_t windows_to_encode(std::size_t count, double fraction) {
    const auto share = static_cast<std::size_t>(std::ceil(fraction * static_cast<double>(count)));
    return std::min(count, std::max(share, kFewestWindows));
}

std::vector<float> adaptive_similarities(int rows, int cols, double fraction, std::size_t texts, double overlap,
                                         const EncodeSome& encode) {
    const Grid grid{static_cast<std::size_t>(rows), static_cast<std::size_t>(cols)};
    const std::size_t budget = windows_to_encode(grid.size(), fraction);
    if (budget == grid.size()) {
        std::vector<std::size_t> all(grid.size());
        std::iota(all.begin(), all.end(), std::size_t{0});
        return encode(all);
    }
    const Field down = influence(grid.rows, overlap), across = influence(grid.cols, overlap);
    Field weight(grid.size());
    for (std::size_t at = 0; at < weight.size(); ++at) weight[at] = down[at / grid.cols] * across[at % grid.cols];
    Mask computed(grid.size());
    for (const std::size_t row : {std::size_t{0}, grid.rows - 1})
        for (const std::size_t col : {std::size_t{0}, grid.cols - 1}) computed[row * grid.cols + col] = 1;

    std::vector<float> values(grid.size() * texts);
    std::vector<Field> known(texts, Field(grid.size()));
    const auto learn = [&](const std::vector<std::size_t>& indices) {
        const std::vector<float> found = encode(indices);
        for (std::size_t at = 0; at < indices.size(); ++at)
            for (std::size_t text = 0; text < texts; ++text) {
                values[indices[at] * texts + text] = found.at(at * texts + text);
                known[text][indices[at]] = static_cast<double>(found[at * texts + text]);
            }
    };
    const auto half = static_cast<std::size_t>(std::nearbyint(kFirstShare * static_cast<double>(budget)));
    const std::size_t corners = count_of(computed);
    take_best(weight, computed, grid, half > corners ? half - corners : 0);
    std::vector<std::size_t> first;
    for (std::size_t at = 0; at < computed.size(); ++at)
        if (computed[at] != 0) first.push_back(at);
    learn(first);

    const Field changing = change(known, computed, grid);
    for (std::size_t at = 0; at < weight.size(); ++at) weight[at] *= changing[at];
    learn(take_best(weight, computed, grid, budget - first.size()));

    for (std::size_t text = 0; text < texts; ++text) {
        const Field field = interpolate(known[text], computed, grid);
        for (std::size_t at = 0; at < field.size(); ++at)
            if (computed[at] == 0) values[at * texts + text] = static_cast<float>(field[at]);
    }
    return values;
}

}  // namespace realm
