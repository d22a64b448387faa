// How much memory the process may hold, and how much work of one call fits into what is left.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace realm {

// The model of the Python engine: one input of a tower takes 40 copies of itself in float32 (measured: 2 to 15, the
// rest is margin), every pixel of the image 64 bytes (decoded, float32, map in float64). A limit that somebody gave
// is kept or refused; without one, 2 GiB only make calls smaller, never below 4 inputs.
class MemoryLimit {
public:
    explicit MemoryLimit(std::uint64_t bytes = 0);  // 0: the default, not strict

    // How many inputs (RGB, height x width) one call may hold, 1 to `wanted`. `shared_px`: pixels of the image that
    // all inputs come from; `own_px`: of the one that each comes from. Throws UsageError where a strict limit does
    // not even hold one, with the limit that would.
    std::size_t inputs_per_call(int height_px, int width_px, std::size_t wanted, std::uint64_t shared_px,
                                std::uint64_t own_px) const;

    std::uint64_t bytes() const { return bytes_; }
    bool strict() const { return strict_; }  // somebody gave it

private:
    std::uint64_t bytes_;
    bool strict_;
};

std::string format_bytes(std::uint64_t count);  // "1.5G", "812M", rounded up
std::uint64_t resident_bytes();                 // what this process holds now; 0 where the system does not say

}  // namespace realm
