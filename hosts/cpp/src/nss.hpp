// Natural scene statistics: from moments of a picture's local contrast to NIQE and BRISQUE. Formulas: docs/measures.md.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

namespace realm::nss {

constexpr std::size_t kScales = 2, kFields = 5, kMoments = 6, kFeatures = 36;
constexpr std::size_t kPicture = kScales * kFields * kMoments;  // moments of a picture, or of a block

using Features = std::array<double, kFeatures>;

// What features of a set of pictures are like.
struct Gaussian {
    Features mean{};
    std::vector<double> covariance;  // 36 x 36
};

// Reads {"mean": [36], "covariance": [666, the lower triangle by rows], "ridge", "count"}. Throws BundleError, naming the
// field, also where it is not positive definite.
Gaussian read_gaussian(const std::string& json, const std::string& where);

// The distance of a picture's blocks from those of photographs; `moments`: of so many blocks, one after the other. Throws
// ImageError where fewer than two have all features.
double niqe(const float* moments, std::size_t blocks, const Gaussian& photographs);

// What the graph `brisque_machine` takes, of a picture's moments. Throws ImageError where its contrast has one sign alone.
Features brisque_features(const float* moments);

}  // namespace realm::nss
