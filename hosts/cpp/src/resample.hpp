// Pillow's resampling as a matrix, so that resizing is two matrix products on any device.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace realm {

using Matrix = std::vector<float>;

// R, out_size x in_size, row by row: one axis resized as Pillow does it for 8-bit images ("bilinear" or
// "bicubic"). Weights are whole multiples of 2^-22 and below 2, so float32 rounds only their last bit.
// Equal sizes give the identity. Sizes are at least 1. Kept for the next call; safe from several threads.
// Throws ImageError for a side so long that the matrix would take more than 1 GiB.
std::shared_ptr<const Matrix> resample_matrix(int in_size, int out_size, const std::string& interpolation);

}  // namespace realm
