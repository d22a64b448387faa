// Geometry of sliding windows: where they are, which pixels they cover, and maps made from them. All pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace realm {

// Square windows of one size over an image of height x width pixels. A window at (top, left) covers rows
// top..top+window-1 and the same columns. Throws WindowError for a window that does not fit.
struct WindowGrid {
    WindowGrid(int height, int width, int window_px, int stride_px);

    std::size_t count() const { return static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols); }
    std::int64_t top(std::size_t index) const;
    std::int64_t left(std::size_t index) const;

    int height, width, window_px, stride_px, rows, cols;
};

// How much of each window lies in each cell along one axis, windows x cells; rows sum to 1. Windows of `window_px` begin
// every `stride_px`, cells of `cell_px` are side by side.
std::vector<float> box_shares(int windows, int window_px, int stride_px, std::int64_t cells, int cell_px);

// Pixels that a window of at least one scale covers, height x width of 0 and 1.
std::vector<std::uint8_t> covered_by_any(const std::vector<WindowGrid>& grids);

// Window values of several scales (each rows x cols) as one map, float64 height x width. A pixel gets the mean of
// the windows that cover it; scales are combined by their mean, or by the maximum; 0 where there is no window.
std::vector<double> spread_scales(const std::vector<std::vector<double>>& values,
                                  const std::vector<WindowGrid>& grids, bool maximum);

}  // namespace realm
