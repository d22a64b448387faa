#include "nss.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "json.hpp"
#include "limits.hpp"
#include "manifest.hpp"
#include "realm/error.hpp"
#include "text_format.hpp"

namespace realm::nss {
namespace {

constexpr std::size_t kNumbers = kFeatures * (kFeatures + 1) / 2;
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

using Matrix = std::vector<double>;  // 36 x 36

// Shapes a of generalised Gaussians, .200 to 10, and what they make of Gamma functions.
struct Tables {
    static constexpr int kFirst = 200, kLast = 10000;  // thousandths

    Tables() {
        for (int each = kFirst; each <= kLast; ++each) {
            const double a = each / 1000.0, one = std::lgamma(1 / a), two = std::lgamma(2 / a), three = std::lgamma(3 / a);
            alpha.push_back(a);
            ratio.push_back(std::exp(2 * two - one - three));
            spread.push_back(std::exp((one - three) / 2));
            centre.push_back(std::exp(two - one));
        }
    }

    // The place of the nearest ratio, of which there are more and more; the upper one where two are equally near.
    std::size_t nearest(double wanted) const {
        const auto found = std::lower_bound(ratio.begin(), ratio.end(), wanted) - ratio.begin();
        const auto right = std::clamp<std::size_t>(static_cast<std::size_t>(found), 1, ratio.size() - 1);
        return wanted - ratio[right - 1] < ratio[right] - wanted ? right - 1 : right;
    }

    // The place of the nearest of their reciprocals, the first of several, as the original looks for it.
    std::size_t nearest_reciprocal(double wanted) const {
        std::size_t best = 0;
        for (std::size_t at = 1; at < ratio.size(); ++at)
            if (std::abs(1 / ratio[at] - wanted) < std::abs(1 / ratio[best] - wanted)) best = at;
        return best;
    }

    std::vector<double> alpha, ratio, spread, centre;
};

const Tables& tables() {
    static const Tables found;
    return found;
}

// An asymmetric generalised Gaussian: its shape, and root mean squares below and above 0. All NaN where one side is empty.
struct Asymmetric {
    double alpha = kNone, left = kNone, right = kNone, spread = kNone, centre = kNone;

    double skew() const { return (right - left) * centre; }
};

// Of a field with these six moments: n, n < 0, n > 0, sum |v|, sum v^2 below 0, sum v^2 above 0.
Asymmetric asymmetric(const float* moments) {
    const double n = moments[0], below = moments[1], above = moments[2], total = moments[3], low = moments[4], high = moments[5];
    if (!(below > 0 && above > 0 && low > 0 && high > 0)) return {};
    const double left = std::sqrt(low / below), right = std::sqrt(high / above), ratio = left / right;
    const double size = (total / n) * (total / n) / ((low + high) / n);
    const double squares = ratio * ratio + 1;
    const std::size_t shape = tables().nearest(size * (ratio * ratio * ratio + 1) * (ratio + 1) / (squares * squares));
    return {tables().alpha[shape], left, right, tables().spread[shape], tables().centre[shape]};
}

const float* field(const float* moments, std::size_t scale, std::size_t which) {
    return moments + (scale * kFields + which) * kMoments;
}

// Of a block: per scale shape and width of the contrast, then four numbers of each product of neighbours.
Features niqe_features(const float* moments) {
    Features found{};
    std::size_t at = 0;
    for (std::size_t scale = 0; scale < kScales; ++scale)
        for (std::size_t which = 0; which < kFields; ++which) {
            const Asymmetric shape = asymmetric(field(moments, scale, which));
            const double left = shape.left * shape.spread, right = shape.right * shape.spread;
            found[at++] = shape.alpha;
            if (which == 0) {
                found[at++] = (left + right) / 2;
                continue;
            }
            found[at++] = shape.skew() * shape.spread;
            found[at++] = left;
            found[at++] = right;
        }
    return found;
}

bool complete(const Features& features) {
    return std::none_of(features.begin(), features.end(), [](double each) { return std::isnan(each); });
}

// Eigenvalues of a symmetric matrix, which becomes diagonal, and its eigenvectors as columns: rotations by Jacobi.
Matrix diagonalise(Matrix& matrix) {
    constexpr int kMostSweeps = 60;
    Matrix vectors(matrix.size());
    for (std::size_t at = 0; at < kFeatures; ++at) vectors[at * kFeatures + at] = 1.0;
    const auto rotate = [](double& one, double& other, double cosine, double sine) {
        const double before = one;
        one = cosine * before - sine * other;
        other = sine * before + cosine * other;
    };
    for (int sweep = 0; sweep < kMostSweeps; ++sweep) {
        double outside = 0, all = 0;
        for (std::size_t row = 0; row < kFeatures; ++row)
            for (std::size_t col = 0; col < kFeatures; ++col) {
                const double square = matrix[row * kFeatures + col] * matrix[row * kFeatures + col];
                all += square;
                outside += row == col ? 0 : square;
            }
        if (!(outside > 1e-32 * all)) break;
        for (std::size_t p = 0; p + 1 < kFeatures; ++p)
            for (std::size_t q = p + 1; q < kFeatures; ++q) {
                const double off = matrix[p * kFeatures + q];
                if (off == 0.0) continue;
                const double theta = (matrix[q * kFeatures + q] - matrix[p * kFeatures + p]) / (2 * off);
                const double tangent = (theta >= 0 ? 1 : -1) / (std::abs(theta) + std::sqrt(theta * theta + 1));
                const double cosine = 1 / std::sqrt(tangent * tangent + 1), sine = tangent * cosine;
                for (std::size_t each = 0; each < kFeatures; ++each)
                    rotate(matrix[each * kFeatures + p], matrix[each * kFeatures + q], cosine, sine);
                for (std::size_t each = 0; each < kFeatures; ++each)
                    rotate(matrix[p * kFeatures + each], matrix[q * kFeatures + each], cosine, sine);
                for (std::size_t each = 0; each < kFeatures; ++each)
                    rotate(vectors[each * kFeatures + p], vectors[each * kFeatures + q], cosine, sine);
            }
    }
    return vectors;
}

// sqrt(d^T M^+ d). Directions in which M is 0, as far as its numbers tell, count for nothing, as in NumPy's pinv.
double distance(const Features& difference, Matrix matrix) {
    constexpr double kLeast = 1e-15;
    const Matrix vectors = diagonalise(matrix);
    double largest = 0;
    for (std::size_t at = 0; at < kFeatures; ++at) largest = std::max(largest, std::abs(matrix[at * kFeatures + at]));
    double sum = 0;
    for (std::size_t at = 0; at < kFeatures; ++at) {
        const double value = matrix[at * kFeatures + at];
        if (!(std::abs(value) > kLeast * largest)) continue;
        double along = 0;
        for (std::size_t each = 0; each < kFeatures; ++each) along += difference[each] * vectors[each * kFeatures + at];
        sum += along * along / value;
    }
    return std::sqrt(sum);
}

std::vector<double> numbers(const Section& section, const char* key, std::size_t wanted) {
    std::vector<double> found;
    for (const OrderedJson& item : section.list(key)) found.push_back(item.is_number() ? item.get<double>() : kNone);
    if (!std::all_of(found.begin(), found.end(), [](double value) { return std::abs(value) <= limits::kNumber; }))
        throw BundleError(section.where() + ": '" + key + "' must list finite numbers; export the bundle again");
    if (found.size() != wanted)
        throw BundleError(section.where() + ": '" + key + "' has " + std::to_string(found.size()) + " numbers, not " +
                          std::to_string(wanted) + "; export the bundle again");
    return found;
}

}  // namespace

Gaussian read_gaussian(const std::string& json, const std::string& where) {
    const auto broken = [&](const std::string& why) {
        return BundleError(where + ": not valid JSON (" + one_line(why) + "); export the bundle again");
    };
    if (const std::string problem = json_problem(json, limits::kManifestMembers); !problem.empty()) throw broken(problem);
    OrderedJson parsed;
    try {
        parsed = OrderedJson::parse(json);
    } catch (const OrderedJson::exception& error) {
        throw broken(error.what());
    }
    const Section section(&parsed, where);
    const std::vector<double> mean = numbers(section, "mean", kFeatures), lower = numbers(section, "covariance", kNumbers);
    const double ridge = section.has("ridge") ? section.number("ridge") : 0.0;
    Gaussian found;
    std::copy(mean.begin(), mean.end(), found.mean.begin());
    found.covariance.resize(kFeatures * kFeatures);
    for (std::size_t row = 0, at = 0; row < kFeatures; ++row)
        for (std::size_t col = 0; col <= row; ++col, ++at)
            found.covariance[row * kFeatures + col] = found.covariance[col * kFeatures + row] = lower[at] + (row == col ? ridge : 0.0);
    Matrix copy = found.covariance;
    diagonalise(copy);
    for (std::size_t at = 0; at < kFeatures; ++at)
        if (!(copy[at * kFeatures + at] > 0))
            throw BundleError(where + ": 'covariance' is not positive definite; export the bundle again");
    return found;
}

double niqe(const float* moments, std::size_t blocks, const Gaussian& photographs) {
    std::vector<Features> whole;
    Features sums{}, counts{};
    for (std::size_t block = 0; block < blocks; ++block) {
        const Features found = niqe_features(moments + block * kPicture);
        for (std::size_t at = 0; at < kFeatures; ++at) {
            if (std::isnan(found[at])) continue;
            sums[at] += found[at];
            ++counts[at];
        }
        if (complete(found)) whole.push_back(found);
    }
    if (whole.size() < 2)
        throw ImageError(std::to_string(whole.size()) + " of " + std::to_string(blocks) +
                         " blocks of 96 x 96 pixels have contrast below and above their mean, two must; the image is flat");
    Features difference{}, middle{};
    for (std::size_t at = 0; at < kFeatures; ++at) difference[at] = sums[at] / counts[at] - photographs.mean[at];
    for (const Features& each : whole)
        for (std::size_t at = 0; at < kFeatures; ++at) middle[at] += each[at] / static_cast<double>(whole.size());
    Matrix half = photographs.covariance;
    for (std::size_t row = 0; row < kFeatures; ++row)
        for (std::size_t col = 0; col < kFeatures; ++col) {
            double sum = 0;
            for (const Features& each : whole) sum += (each[row] - middle[row]) * (each[col] - middle[col]);
            double& value = half[row * kFeatures + col];
            value = (value + sum / static_cast<double>(whole.size() - 1)) / 2;
        }
    return distance(difference, std::move(half));
}

Features brisque_features(const float* moments) {
    const auto flat = [] { return ImageError("no contrast below and above its mean; the image is flat or tiny"); };
    Features found{};
    std::size_t at = 0;
    for (std::size_t scale = 0; scale < kScales; ++scale)
        for (std::size_t which = 0; which < kFields; ++which) {
            const float* own = field(moments, scale, which);
            if (which == 0) {
                const double n = own[0], total = own[3], square = (double{own[4]} + double{own[5]}) / n;
                if (!(square != 0)) throw flat();
                found[at++] = tables().alpha[tables().nearest_reciprocal(square / ((total / n) * (total / n)))];
                found[at++] = square;
                continue;
            }
            const Asymmetric shape = asymmetric(own);
            if (std::isnan(shape.alpha)) throw flat();
            found[at++] = shape.alpha;
            found[at++] = shape.skew() * shape.spread;
            found[at++] = shape.left * shape.left;
            found[at++] = shape.right * shape.right;
        }
    return found;
}

}  // namespace realm::nss
