#include "png_chunks.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

namespace realm {
namespace {

constexpr std::size_t kSignatureBytes = 8;
constexpr std::size_t kShortBytes = 1 << 16;  // plain texts up to here are left alone
constexpr int kMostOrientations = 4;          // texts that may hold the orientation: each may be packed
constexpr std::array<std::string_view, 3> kTexts{"tEXt", "zTXt", "iTXt"};
constexpr std::array<std::string_view, 3> kOrientation{{{"Raw profile type exif\0", 22},
                                                        {"Raw profile type APP1\0", 22},
                                                        {"XML:com.adobe.xmp\0", 18}}};

bool one_of(std::string_view kind, const std::array<std::string_view, 3>& words) {
    return std::find(words.begin(), words.end(), kind) != words.end();
}

bool tells_orientation(std::string_view data) {
    return std::any_of(kOrientation.begin(), kOrientation.end(),
                       [&](std::string_view key) { return data.substr(0, key.size()) == key; });
}

std::uint64_t length_at(std::string_view png, std::size_t at) {
    std::uint64_t length = 0;
    for (std::size_t i = 0; i < 4; ++i) length = length << 8 | static_cast<unsigned char>(png[at + i]);
    return length;
}

}  // namespace

std::vector<std::string_view> without_texts(std::string_view png) {
    std::vector<std::string_view> kept;
    int orientations = 0;
    std::size_t begin = 0, at = std::min(kSignatureBytes, png.size());  // of what is kept, and of the chunk
    const auto keep_until = [&](std::size_t end) {
        if (end > begin) kept.push_back(png.substr(begin, end - begin));
    };
    while (png.size() - at >= 8) {
        const std::uint64_t data = length_at(png, at);
        const std::string_view kind = png.substr(at + 4, 4);
        const bool whole = 12 + data <= png.size() - at;
        if (!whole && kind != "IDAT") {  // libpng would make room for all that it claims
            keep_until(at);
            return kept;
        }
        const std::size_t next = whole ? at + static_cast<std::size_t>(12 + data) : png.size();
        bool drop = one_of(kind, kTexts) && (kind != "tEXt" || data > kShortBytes);
        if (drop && tells_orientation(png.substr(at + 8, data))) drop = ++orientations > kMostOrientations;
        if (drop) {
            keep_until(at);
            begin = next;
        }
        at = next;
    }
    keep_until(png.size());
    return kept;
}

}  // namespace realm
