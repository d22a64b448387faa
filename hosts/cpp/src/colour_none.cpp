// Without Little CMS: pictures keep the colours of their profile, and it is said which they are.
#include <algorithm>

#include "colour.hpp"

namespace realm {
namespace {

constexpr std::size_t kHeaderBytes = 132;  // the profile's own, and the count of its tags
constexpr std::size_t kMostTags = 100;
constexpr std::size_t kLongestName = 60;

std::size_t number(std::string_view bytes, std::size_t at) {
    std::size_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
    return value;
}

// What the profile calls itself, printable ASCII alone: its description is ASCII (version 2) or UTF-16 (4).
std::string name_of(std::string_view icc) {
    if (icc.size() < kHeaderBytes) return {};
    const std::size_t tags = std::min(number(icc, kHeaderBytes - 4), kMostTags);
    for (std::size_t tag = 0; tag < tags; ++tag) {
        const std::size_t at = kHeaderBytes + 12 * tag;
        if (at + 12 > icc.size()) break;
        if (icc.substr(at, 4) != "desc") continue;
        const std::size_t start = number(icc, at + 4), size = number(icc, at + 8);
        if (size < 12 || start > icc.size() || icc.size() - start < size) break;
        const std::string_view tag_data = icc.substr(start, size);
        std::size_t first = 12;
        // Texts in many languages: a record of 12 bytes for each, the last four of which say where it begins.
        if (tag_data.substr(0, 4) == "mluc" && size >= 28) first = std::min<std::size_t>(number(tag_data, 24), size);
        std::string name;
        for (const char each : tag_data.substr(first))
            if (each >= ' ' && each <= '~') name += each;
            else if (each != '\0' && !name.empty()) break;
        return name.substr(0, kLongestName);
    }
    return {};
}

std::string_view space_of(Samples samples) {
    return samples == Samples::grey ? "GRAY" : samples == Samples::cmyk ? "CMYK" : "RGB ";
}

}  // namespace

struct ColourProfile::Transform {};

ColourProfile::ColourProfile(std::string_view icc, Samples samples) {
    if (icc.size() < kHeaderBytes || icc.substr(36, 4) != "acsp" || icc.substr(16, 4) != space_of(samples)) return;
    const std::string name = name_of(icc);
    if (name.find("sRGB") == std::string::npos) unconverted_ = name.empty() ? "a profile without a name" : name;
}

ColourProfile::~ColourProfile() = default;

bool ColourProfile::converts() const { return false; }

void ColourProfile::to_srgb(const std::uint8_t*, std::uint8_t*, std::size_t) const {}

}  // namespace realm
