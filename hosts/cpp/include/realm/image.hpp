// Pictures: uint8 RGB, height x width x 3, row by row without gaps, values 0..255.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace realm {

// Pixels that somebody else owns and keeps alive during a call.
struct ImageView {
    const std::uint8_t* rgb = nullptr;
    int height = 0;
    int width = 0;
};

// Pixels of its own. `rgb` holds height * width * 3 values.
struct Image {
    int height = 0;
    int width = 0;
    std::vector<std::uint8_t> rgb;
    // The colour profile that the pixels still have because this library was built without lcms2; empty for sRGB.
    std::string profile = {};

    operator ImageView() const { return {rgb.data(), height, width}; }
};

// Decodes a JPEG or PNG file, told by its content: EXIF orientation applied, alpha composited on white; grey, palette
// and CMYK become RGB; 16-bit samples keep their high byte; colours of an embedded profile become sRGB. Throws
// ImageError, naming the file, for one that is missing, empty, truncated, of another format, larger than 200
// megapixels, or no regular file: a pipe is never waited for. Safe from several threads at once.
Image load_image(const std::filesystem::path& path);

// The same for a file's bytes in memory; `name` stands in errors.
Image decode_image(const void* bytes, std::size_t size, const std::string& name = "image bytes");

}  // namespace realm
