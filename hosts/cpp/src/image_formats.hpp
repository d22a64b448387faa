// What the two decoders share: their result, and what the metadata say about orientation.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "realm/image.hpp"

namespace realm {

// Why a file cannot be decoded, without its name.
struct BrokenImage {
    std::string cause;
};

struct Decoded {
    Image image;
    int orientation = 1;  // EXIF: 1 upright, 2..8 mirrored or turned
};

// `name` is for the message of an image that is too large. Throw BrokenImage or ImageError.
Decoded decode_jpeg(const std::uint8_t* bytes, std::size_t size, const std::string& name);
Decoded decode_png(const std::uint8_t* bytes, std::size_t size, const std::string& name);

// Whether a picture is within the limits of pixels and sides.
bool fits(std::uint64_t width, std::uint64_t height);
// Throws ImageError for more than 200 megapixels, and for a side beyond 100 000.
void check_pixels(std::uint64_t width, std::uint64_t height, const std::string& name);

// Orientation in an EXIF block (TIFF header first, with or without "Exif\0\0"); 0 where it says nothing or is broken.
int exif_orientation(std::string_view exif);
// Orientation in an XMP packet; 0 where it says nothing.
int xmp_orientation(std::string_view xmp);

Image upright(Image image, int orientation);

}  // namespace realm
