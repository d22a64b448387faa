// Any bytes as a PNG: pixels or an ImageError, no crash and no report of a sanitizer.
#include <cstring>

#include "announced.hpp"
#include "realm/error.hpp"
#include "realm/image.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 33 || std::memcmp(data, "\x89PNG\r\n\x1A\n", 8) != 0) return -1;
    if (fuzz::too_many(fuzz::number(data + 16, 4), fuzz::number(data + 20, 4))) return -1;
    try {
        realm::decode_image(data, size, "fuzzed");
    } catch (const realm::ImageError&) {
    }
    return 0;
}
