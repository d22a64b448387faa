// The preset "fast": similarities of a grid of windows from a share of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace realm {

// Of 64 px windows at stride 8; see fast_fraction.
constexpr double kFastFraction = 0.2;

// Share of the windows of one size that "fast" encodes, above 0 and at most 1: less where a stride is fine for its window,
// because a window between two others then shares more with them.
double fast_fraction(int window_px, int stride_px);

// How many of `count` windows are encoded where a fraction of them is to be.
std::size_t windows_to_encode(std::size_t count, double fraction);

// Indices of windows, row by row and ascending -> their similarities, windows x texts.
using EncodeSome = std::function<std::vector<float>(const std::vector<std::size_t>& indices)>;

// Similarities of all windows, rows x cols x `texts`, from `encode`d ones, which is called once where that is all of them,
// else twice. `overlap`: windows that cover a pixel along an axis. As realm_engine/maps/adaptive.py, which says why.
std::vector<float> adaptive_similarities(int rows, int cols, double fraction, std::size_t texts, double overlap,
                                         const EncodeSome& encode);

}  // namespace realm
