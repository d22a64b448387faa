// PNG by libpng; what becomes of palettes, transparency and deep samples is Pillow's.
#include <png.h>

#include <array>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>

#include "image_formats.hpp"

namespace realm {
namespace {

// libpng reports errors by leaving: nothing between setjmp and here may own anything.
struct Source {
    const std::uint8_t* bytes;
    std::size_t left;
    char message[160];
};

[[noreturn]] void leave(png_structp png, png_const_charp message) {
    auto* source = static_cast<Source*>(png_get_error_ptr(png));
    std::snprintf(source->message, sizeof source->message, "%s", message);
    png_longjmp(png, 1);
}

void ignore(png_structp, png_const_charp) {}

void read(png_structp png, png_bytep into, std::size_t size) {
    auto* source = static_cast<Source*>(png_get_io_ptr(png));
    if (size > source->left) png_error(png, "the file ends early");
    std::memcpy(into, source->bytes, size);
    source->bytes += size;
    source->left -= size;
}

struct Header {
    png_uint_32 width = 0, height = 0;
    int depth = 0, colour = 0;
    std::array<std::array<std::uint8_t, 4>, 256> palette{};  // RGBA
    bool clear = false;                                      // tRNS of a grey or RGB image
    std::array<unsigned, 3> clear_colour{};
};

struct Reader {
    png_structp png = nullptr;
    png_infop info = nullptr;
    Source source{};

    ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
};

void read_transparency(Reader& reader, Header& header) {
    png_bytep alphas = nullptr;
    png_color_16p colour = nullptr;
    int count = 0;
    if (png_get_tRNS(reader.png, reader.info, &alphas, &count, &colour) == 0) return;
    if (header.colour == PNG_COLOR_TYPE_PALETTE) {
        for (int index = 0; alphas != nullptr && index < count && index < 256; ++index)
            header.palette[static_cast<std::size_t>(index)][3] = alphas[index];
        return;
    }
    if (colour == nullptr) return;
    header.clear = true;
    // Pillow compares the low byte with samples that are scaled to 8 bits already; of 1 bit, black with white.
    if (header.colour == PNG_COLOR_TYPE_GRAY) {
        const unsigned grey = header.depth == 1 ? (colour->gray != 0 ? 255U : 0U) : colour->gray & 0xFFU;
        header.clear_colour = {grey, grey, grey};
        header.clear = header.depth != 16;  // and deep grey has no transparency there
    } else {
        header.clear_colour = {colour->red & 0xFFU, colour->green & 0xFFU, colour->blue & 0xFFU};
    }
}

bool read_header(Reader& reader, Header& header) {
    if (setjmp(png_jmpbuf(reader.png)) != 0) return false;
    png_set_read_fn(reader.png, &reader.source, read);
    png_set_user_limits(reader.png, 0x7FFFFFFF, 0x7FFFFFFF);  // ours is checked by area
    png_set_crc_action(reader.png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_read_info(reader.png, reader.info);
    png_get_IHDR(reader.png, reader.info, &header.width, &header.height, &header.depth, &header.colour, nullptr,
                 nullptr, nullptr);
    // The caller refuses it; libpng would reserve a row of what the header claims, gigabytes of it.
    if (std::uint64_t{header.width} * header.height > kMaxImagePixels) return true;
    for (std::size_t index = 0; index < header.palette.size(); ++index) {
        const auto grey = static_cast<std::uint8_t>(index);  // what Pillow has beyond the palette's end
        header.palette[index] = {grey, grey, grey, 255};
    }
    png_colorp colours = nullptr;
    int count = 0;
    if (header.colour == PNG_COLOR_TYPE_PALETTE && png_get_PLTE(reader.png, reader.info, &colours, &count) != 0)
        for (int index = 0; index < count && index < 256; ++index)
            header.palette[static_cast<std::size_t>(index)] = {colours[index].red, colours[index].green,
                                                               colours[index].blue, 255};
    read_transparency(reader, header);
    if (header.depth == 16) png_set_strip_16(reader.png);
    if (header.depth < 8 && header.colour == PNG_COLOR_TYPE_PALETTE) png_set_packing(reader.png);
    if (header.depth < 8 && header.colour == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(reader.png);
    png_set_interlace_handling(reader.png);
    png_read_update_info(reader.png, reader.info);
    return true;
}

bool read_rows(Reader& reader, png_bytepp rows) {
    if (setjmp(png_jmpbuf(reader.png)) != 0) return false;
    png_read_image(reader.png, rows);
    return true;
}

// Metadata may stand behind the pixels; what is broken there harms none of them.
void read_rest(Reader& reader) {
    if (setjmp(png_jmpbuf(reader.png)) != 0) return;
    png_read_end(reader.png, reader.info);
}

int from_hex(char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

// "Raw profile type exif", as ImageMagick writes it: three lines of heading, then hexadecimal digits.
int raw_profile_orientation(std::string_view text) {
    std::size_t at = 0;
    for (int line = 0; line < 3 && at != std::string_view::npos; ++line) at = text.find('\n', at + (line > 0 ? 1 : 0));
    if (at == std::string_view::npos) return 0;
    std::string bytes;
    int high = -1;
    for (const char each : text.substr(at)) {
        const int digit = from_hex(each);
        if (digit < 0) continue;
        if (high >= 0) bytes += static_cast<char>(high << 4 | digit);
        high = high >= 0 ? -1 : digit;
    }
    return exif_orientation(bytes);
}

int orientation_of(Reader& reader) {
#ifdef PNG_eXIf_SUPPORTED
    png_bytep exif = nullptr;
    png_uint_32 size = 0;
    if (png_get_eXIf_1(reader.png, reader.info, &size, &exif) != 0 && exif != nullptr)
        if (const int found = exif_orientation({reinterpret_cast<const char*>(exif), size}); found != 0) return found;
#endif
    png_textp texts = nullptr;
    int count = 0, profile = 0, xmp = 0;
    png_get_text(reader.png, reader.info, &texts, &count);
    for (int index = 0; index < count; ++index) {
        const png_text& entry = texts[index];
        if (entry.key == nullptr || entry.text == nullptr) continue;
        const std::string_view key(entry.key);
        const std::size_t length = entry.compression >= PNG_ITXT_COMPRESSION_NONE ? entry.itxt_length : entry.text_length;
        const std::string_view text(entry.text, length);
        if (key == "Raw profile type exif" && profile == 0) profile = raw_profile_orientation(text);
        if (key == "XML:com.adobe.xmp" && xmp == 0) xmp = xmp_orientation(text);
    }
    return profile != 0 ? profile : xmp != 0 ? xmp : 1;
}

std::uint8_t on_white(unsigned colour, unsigned alpha) {
    return static_cast<std::uint8_t>((colour * alpha + 255U * (255U - alpha) + 127U) / 255U);
}

// One row of samples, 8 bits each, to RGB on white.
void to_rgb(const Header& header, const std::uint8_t* from, std::uint8_t* to) {
    for (png_uint_32 x = 0; x < header.width; ++x, to += 3) {
        unsigned red = 0, green = 0, blue = 0, alpha = 255;
        switch (header.colour) {
            case PNG_COLOR_TYPE_PALETTE: {
                const auto& entry = header.palette[*from++];
                red = entry[0], green = entry[1], blue = entry[2], alpha = entry[3];
                break;
            }
            case PNG_COLOR_TYPE_GRAY: red = green = blue = *from++; break;
            case PNG_COLOR_TYPE_GRAY_ALPHA:
                red = green = blue = from[0], alpha = from[1];
                from += 2;
                break;
            default:
                red = from[0], green = from[1], blue = from[2];
                from += 3;
                if (header.colour == PNG_COLOR_TYPE_RGB_ALPHA) alpha = *from++;
        }
        if (header.clear && red == header.clear_colour[0] && green == header.clear_colour[1] &&
            blue == header.clear_colour[2])
            alpha = 0;
        to[0] = on_white(red, alpha), to[1] = on_white(green, alpha), to[2] = on_white(blue, alpha);
    }
}

}  // namespace

Decoded decode_png(const std::uint8_t* bytes, std::size_t size, const std::string& name) {
    Reader reader;
    reader.source = {bytes, size, {}};
    reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader.source, leave, ignore);
    reader.info = reader.png != nullptr ? png_create_info_struct(reader.png) : nullptr;
    if (reader.info == nullptr) throw std::bad_alloc();
    Header header;
    if (!read_header(reader, header)) throw BrokenImage{reader.source.message};
    check_pixels(header.width, header.height, name);
    const std::size_t stride = png_get_rowbytes(reader.png, reader.info);
    const std::size_t channels = stride / header.width;
    const bool direct = header.colour == PNG_COLOR_TYPE_RGB && !header.clear;
    Decoded result;
    result.image.height = static_cast<int>(header.height);
    result.image.width = static_cast<int>(header.width);
    result.image.rgb.resize(static_cast<std::size_t>(header.height) * header.width * 3);
    std::vector<std::uint8_t> samples(direct ? 0 : static_cast<std::size_t>(header.height) * header.width * channels);
    std::uint8_t* target = direct ? result.image.rgb.data() : samples.data();
    std::vector<png_bytep> rows(header.height);
    for (std::size_t y = 0; y < rows.size(); ++y) rows[y] = target + y * stride;
    if (!read_rows(reader, rows.data())) throw BrokenImage{reader.source.message};
    if (!direct)
        for (std::size_t y = 0; y < rows.size(); ++y)
            to_rgb(header, rows[y], result.image.rgb.data() + y * header.width * 3);
    read_rest(reader);
    result.orientation = orientation_of(reader);
    return result;
}

}  // namespace realm
