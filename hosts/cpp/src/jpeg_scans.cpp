#include "jpeg_scans.hpp"

#include <cstddef>

namespace realm {
namespace {

constexpr int kStartOfScan = 0xDA, kEnd = 0xD9;

int byte_at(std::string_view bytes, std::size_t at) { return at < bytes.size() ? static_cast<unsigned char>(bytes[at]) : 0; }

// Markers without a length: TEM, RSTn, SOI.
bool is_bare(int marker) { return marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8); }

}  // namespace

JpegScans jpeg_scans(std::string_view jpeg, int most) {
    int found = 0;
    // In the data of a scan 0xff stands before a zero or a restart; all else is the next marker.
    for (std::size_t at = jpeg.find('\xFF', 2); at != std::string_view::npos && found <= most; at = jpeg.find('\xFF', at)) {
        const int marker = byte_at(jpeg, ++at);
        if (marker == 0xFF) continue;
        if (marker == kEnd) return {found, true};
        ++at;
        if (marker == 0 || is_bare(marker)) continue;
        if (marker == kStartOfScan) ++found;
        at += static_cast<std::size_t>(byte_at(jpeg, at) << 8 | byte_at(jpeg, at + 1));
    }
    return {found, false};
}

}  // namespace realm
