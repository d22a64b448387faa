// Percentiles as NumPy's default: linear between the two nearest values.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

namespace realm {

// Of a sorted, non-empty sample; q in 0..100.
template <typename Value>
double sorted_percentile(const std::vector<Value>& sorted, double q) {
    const double place = q / 100.0 * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const std::size_t above = std::min(below + 1, sorted.size() - 1);
    const double low = static_cast<double>(sorted[below]), high = static_cast<double>(sorted[above]);
    return low + (high - low) * (place - static_cast<double>(below));
}

inline double percentile(std::vector<double> values, double q) {
    std::sort(values.begin(), values.end());
    return sorted_percentile(values, q);
}

}  // namespace realm
