#include "resample.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <mutex>

#include "realm/error.hpp"

namespace realm {
namespace {

constexpr double kOne = 1 << 22;  // Pillow's fixed point for 8-bit images: 32 bits - 8 - 2 of headroom (Resample.c)
constexpr std::size_t kKept = 64;
constexpr std::size_t kMaxValues = std::size_t{1} << 28;

double bilinear(double x) { return std::max(0.0, 1.0 - std::abs(x)); }

double bicubic(double x) {
    constexpr double a = -0.5;
    x = std::abs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

Matrix make(int in_size, int out_size, bool cubic) {
    const auto columns = static_cast<std::size_t>(in_size);
    Matrix matrix(static_cast<std::size_t>(out_size) * columns);
    if (in_size == out_size) {
        for (std::size_t i = 0; i < columns; ++i) matrix[i * columns + i] = 1.0F;
        return matrix;
    }
    const double scale = static_cast<double>(in_size) / out_size;
    const double filter_scale = std::max(scale, 1.0);
    const double reach = (cubic ? 2.0 : 1.0) * filter_scale;
    std::vector<double> weights;
    for (int row = 0; row < out_size; ++row) {
        const double center = (row + 0.5) * scale;
        const int first = std::max(static_cast<int>(center - reach + 0.5), 0);
        const int last = std::min(static_cast<int>(center + reach + 0.5), in_size);
        // Pillow's order of operations: another one may round differently.
        weights.clear();
        double total = 0.0;
        for (int x = first; x < last; ++x) {
            const double at = (x - center + 0.5) * (1.0 / filter_scale);
            weights.push_back(cubic ? bicubic(at) : bilinear(at));
            total += weights.back();
        }
        float* out = matrix.data() + static_cast<std::size_t>(row) * columns;
        for (int x = first; x < last; ++x) {
            const double weight = weights[static_cast<std::size_t>(x - first)];
            const double share = total != 0.0 ? weight / total : weight;
            out[x] = static_cast<float>(std::trunc(share * kOne + std::copysign(0.5, share)) / kOne);
        }
    }
    return matrix;
}

struct Entry {
    int in_size, out_size;
    std::string interpolation;
    std::shared_ptr<const Matrix> matrix;
};

}  // namespace

std::shared_ptr<const Matrix> resample_matrix(int in_size, int out_size, const std::string& interpolation) {
    if (static_cast<std::size_t>(in_size) > kMaxValues / static_cast<std::size_t>(out_size))
        throw ImageError("a side of " + std::to_string(in_size) + " px is too long; scale it down first");
    static std::mutex mutex;
    static std::deque<Entry> kept;
    const std::lock_guard<std::mutex> lock(mutex);
    for (const Entry& entry : kept)
        if (entry.in_size == in_size && entry.out_size == out_size && entry.interpolation == interpolation)
            return entry.matrix;
    auto matrix = std::make_shared<const Matrix>(make(in_size, out_size, interpolation == "bicubic"));
    kept.push_front({in_size, out_size, interpolation, matrix});
    if (kept.size() > kKept) kept.pop_back();
    return matrix;
}

}  // namespace realm
