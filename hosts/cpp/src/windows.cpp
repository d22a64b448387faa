#include "windows.hpp"

#include <algorithm>
#include <string>

#include "realm/error.hpp"

namespace realm {
namespace {

// The windows that cover one pixel of an axis: first to last, none where last < first.
struct Covering {
    int first, last;
    int count() const { return std::max(0, last - first + 1); }
};

std::vector<Covering> covering(int length, int window, int stride, int windows) {
    std::vector<Covering> result;
    result.reserve(static_cast<std::size_t>(length));
    for (int pixel = 0; pixel < length; ++pixel) {
        // The first window whose end is past the pixel, and the last that starts at it or before.
        const int first = pixel < window ? 0 : (pixel - window) / stride + 1;
        result.push_back({first, std::min(pixel / stride, windows - 1)});
    }
    return result;
}

std::size_t size(int value) { return static_cast<std::size_t>(value); }

}  // namespace

WindowGrid::WindowGrid(int image_height, int image_width, int window, int stride)
    : height(image_height), width(image_width), window_px(window), stride_px(stride), rows(0), cols(0) {
    if (window < 1 || stride < 1)
        throw WindowError("window " + std::to_string(window) + " px and stride " + std::to_string(stride) +
                          " px must both be at least 1");
    const int largest = std::min(height, width);
    if (window > largest)
        throw WindowError("a window of " + std::to_string(window) + " px does not fit an image of " +
                          std::to_string(width) + " x " + std::to_string(height) +
                          " px; the largest that fits is " + std::to_string(largest) + " px");
    rows = (height - window) / stride + 1;
    cols = (width - window) / stride + 1;
}

std::int64_t WindowGrid::top(std::size_t index) const {
    return static_cast<std::int64_t>(index / size(cols)) * stride_px;
}

std::int64_t WindowGrid::left(std::size_t index) const {
    return static_cast<std::int64_t>(index % size(cols)) * stride_px;
}

std::vector<float> box_shares(int windows, int window_px, int stride_px, std::int64_t cells, int cell_px) {
    std::vector<float> shares;
    shares.reserve(size(windows) * static_cast<std::size_t>(cells));
    for (std::int64_t window = 0; window < windows; ++window) {
        const std::int64_t start = window * stride_px, end = start + window_px;
        for (std::int64_t cell = 0; cell < cells; ++cell) {
            const std::int64_t overlap = std::min(end, (cell + 1) * cell_px) - std::max(start, cell * cell_px);
            shares.push_back(static_cast<float>(static_cast<double>(std::max<std::int64_t>(0, overlap)) / window_px));
        }
    }
    return shares;
}

std::vector<std::uint8_t> covered_by_any(const std::vector<WindowGrid>& grids) {
    std::vector<std::uint8_t> mask(size(grids[0].height) * size(grids[0].width));
    for (const WindowGrid& grid : grids) {
        const auto down = covering(grid.height, grid.window_px, grid.stride_px, grid.rows);
        const auto across = covering(grid.width, grid.window_px, grid.stride_px, grid.cols);
        for (std::size_t y = 0; y < down.size(); ++y) {
            if (down[y].count() == 0) continue;
            for (std::size_t x = 0; x < across.size(); ++x)
                if (across[x].count() > 0) mask[y * across.size() + x] = 1;
        }
    }
    return mask;
}

std::vector<double> spread_scales(const std::vector<std::vector<double>>& values,
                                  const std::vector<WindowGrid>& grids, bool maximum) {
    const std::size_t height = size(grids[0].height), width = size(grids[0].width);
    std::vector<double> total(height * width);
    std::vector<std::uint32_t> scales(height * width);
    std::vector<double> line;
    for (std::size_t scale = 0; scale < grids.size(); ++scale) {
        const WindowGrid& grid = grids[scale];
        const std::size_t cols = size(grid.cols);
        const auto down = covering(grid.height, grid.window_px, grid.stride_px, grid.rows);
        const auto across = covering(grid.width, grid.window_px, grid.stride_px, grid.cols);
        for (std::size_t y = 0; y < height; ++y) {
            if (down[y].count() == 0) continue;
            line.assign(cols, 0.0);  // the mean over the window rows that cover this row of pixels
            for (int row = down[y].first; row <= down[y].last; ++row)
                for (std::size_t col = 0; col < cols; ++col) line[col] += values[scale][size(row) * cols + col];
            for (double& value : line) value /= down[y].count();
            for (std::size_t x = 0; x < width; ++x) {
                if (across[x].count() == 0) continue;
                double mean = 0.0;
                for (int col = across[x].first; col <= across[x].last; ++col) mean += line[size(col)];
                mean /= across[x].count();
                const std::size_t at = y * width + x;
                total[at] = !maximum ? total[at] + mean : scales[at] == 0 ? mean : std::max(total[at], mean);
                ++scales[at];
            }
        }
    }
    if (!maximum)
        for (std::size_t at = 0; at < total.size(); ++at)
            if (scales[at] > 1) total[at] /= scales[at];
    return total;
}

}  // namespace realm
