#include "memory.hpp"

#ifdef _WIN32
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
// after windows.h
#include <psapi.h>
#else
#include <unistd.h>
#endif

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "realm/error.hpp"

namespace realm {
namespace {

constexpr std::uint64_t kDefaultBytes = std::uint64_t{2} << 30;
constexpr std::uint64_t kCopiesOfInput = 40;
constexpr std::uint64_t kBytesPerPixel = 64;
constexpr std::uint64_t kFewestInputs = 4;

}  // namespace

MemoryLimit::MemoryLimit(std::uint64_t bytes) : bytes_(bytes == 0 ? kDefaultBytes : bytes), strict_(bytes != 0) {}

std::size_t MemoryLimit::inputs_per_call(int height_px, int width_px, std::size_t wanted, std::uint64_t shared_px,
                                         std::uint64_t own_px) const {
    const std::uint64_t input = std::uint64_t{3} * static_cast<std::uint64_t>(height_px) *
                                static_cast<std::uint64_t>(width_px) * sizeof(float) * kCopiesOfInput;
    const std::uint64_t each = input + own_px * kBytesPerPixel;
    const std::uint64_t held = resident_bytes() + shared_px * kBytesPerPixel;
    const std::uint64_t fits = bytes_ > held ? (bytes_ - held) / each : 0;
    if (strict_ && fits < 1)
        throw UsageError("--max-memory " + format_bytes(bytes_) + " is too little: the models and the image take " +
                         format_bytes(held) + "; give at least " + format_bytes(held + each));
    const std::uint64_t fewest = strict_ ? 1 : kFewestInputs;
    return static_cast<std::size_t>(std::min<std::uint64_t>(wanted, std::max(fits, fewest)));
}

std::string format_bytes(std::uint64_t count) {
    const std::uint64_t mega = (count + (1U << 20) - 1) >> 20;
    if (mega < 1024) return std::to_string(mega) + "M";
    const std::uint64_t tenths = (mega * 10 + 1023) / 1024;
    return std::to_string(tenths / 10) + (tenths % 10 == 0 ? "" : "." + std::to_string(tenths % 10)) + "G";
}

std::uint64_t resident_bytes() {
#ifdef _WIN32
    PROCESS_MEMORY_COUNTERS counters{};
    const bool known = ::K32GetProcessMemoryInfo(::GetCurrentProcess(), &counters, sizeof counters) != 0;
    return known ? counters.WorkingSetSize : 0;
#else
    std::ifstream file("/proc/self/statm");
    std::uint64_t all = 0, resident = 0;
    const long page = ::sysconf(_SC_PAGESIZE);
    return file >> all >> resident && page > 0 ? resident * static_cast<std::uint64_t>(page) : 0;
#endif
}

}  // namespace realm
