// How many pixels a fuzzed picture announces: what claims millions is slow, and no more broken than what is small.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fuzz {

constexpr std::uint64_t kMostPixels = 1 << 20;

inline std::uint64_t number(const std::uint8_t* at, std::size_t bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i) value = value << 8 | at[i];
    return value;
}

inline bool too_many(std::uint64_t width, std::uint64_t height) { return width * height > kMostPixels; }

}  // namespace fuzz
