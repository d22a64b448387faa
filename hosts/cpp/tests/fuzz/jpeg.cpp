// Any bytes as a JPEG: pixels or an ImageError, no crash and no report of a sanitizer.
#include <cstring>

#include "announced.hpp"
#include "realm/error.hpp"
#include "realm/image.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 4 || std::memcmp(data, "\xFF\xD8\xFF", 3) != 0) return -1;
    // Anything that looks like the header of a frame counts, in the compressed data too.
    for (std::size_t at = 0; at + 9 <= size; ++at)
        if (data[at] == 0xFF && data[at + 1] >= 0xC0 && data[at + 1] <= 0xCF &&
            fuzz::too_many(fuzz::number(data + at + 5, 2), fuzz::number(data + at + 7, 2)))
            return -1;
    try {
        realm::decode_image(data, size, "fuzzed");
    } catch (const realm::ImageError&) {
    }
    return 0;
}
