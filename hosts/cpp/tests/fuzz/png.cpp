// Any bytes as a PNG: pixels or an ImageError, no crash and no report of a sanitizer.
#include <cstring>

#include "announced.hpp"
#include "realm/error.hpp"
#include "realm/image.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 33 || std::memcmp(data, "\x89PNG\r\n\x1A\n", 8) != 0) return -1;
    // The header may stand behind a text, which is passed over.
    for (std::size_t at = 8; at + 12 <= size; ++at)
        if (std::memcmp(data + at, "IHDR", 4) == 0 && fuzz::too_many(fuzz::number(data + at + 4, 4), fuzz::number(data + at + 8, 4)))
            return -1;
    try {
        realm::decode_image(data, size, "fuzzed");
    } catch (const realm::ImageError&) {
    }
    return 0;
}
