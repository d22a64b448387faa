// PNG by libpng; what becomes of palettes, transparency and deep samples is Pillow's.
#include <png.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>

#include "colour.hpp"
#include "image_formats.hpp"
#include "limits.hpp"
#include "png_chunks.hpp"

namespace realm {
namespace {

constexpr png_alloc_size_t kMaxChunkBytes = png_alloc_size_t{32} << 20;  // of what is unpacked beside the pixels

// libpng reports errors by leaving: nothing between setjmp and here may own anything.
struct Source {
    const std::string_view* piece;  // of the file, to be read one after the other
    const std::string_view* end;
    std::size_t at;  // in the piece
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
    while (size > 0) {
        if (source->piece == source->end) png_error(png, "the file ends early");
        const std::size_t part = std::min(size, source->piece->size() - source->at);
        std::memcpy(into, source->piece->data() + source->at, part);
        into += part;
        size -= part;
        source->at += part;
        if (source->at < source->piece->size()) continue;
        ++source->piece;
        source->at = 0;
    }
}

struct Header {
    png_uint_32 width = 0, height = 0;
    int depth = 0, colour = 0, interlacing = 0;
    std::array<std::array<std::uint8_t, 4>, 256> palette{};  // RGBA
    bool clear = false;                                      // tRNS of a grey or RGB image
    std::array<unsigned, 3> clear_colour{};

    bool grey() const { return colour == PNG_COLOR_TYPE_GRAY || colour == PNG_COLOR_TYPE_GRAY_ALPHA; }
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
    png_set_chunk_malloc_max(reader.png, kMaxChunkBytes);
    png_set_crc_action(reader.png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_read_info(reader.png, reader.info);
    png_get_IHDR(reader.png, reader.info, &header.width, &header.height, &header.depth, &header.colour,
                 &header.interlacing, nullptr, nullptr);
    // The caller refuses it; libpng would reserve a row of what the header claims, gigabytes of it.
    if (!fits(header.width, header.height)) return true;
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

bool read_row(Reader& reader, png_bytep row) {
    if (setjmp(png_jmpbuf(reader.png)) != 0) return false;
    png_read_row(reader.png, row, nullptr);
    return true;
}

// All rows of an interlaced picture, which come in seven passes.
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

// One row of samples, 8 bits each, apart: colours (one for a grey, else three) and alpha.
void take_apart(const Header& header, const std::uint8_t* from, std::uint8_t* colours, std::uint8_t* alphas) {
    for (png_uint_32 x = 0; x < header.width; ++x) {
        std::uint8_t alpha = 255;
        if (header.grey()) {
            const std::uint8_t grey = *colours++ = *from++;
            if (header.colour == PNG_COLOR_TYPE_GRAY_ALPHA) alpha = *from++;
            if (header.clear && grey == header.clear_colour[0]) alpha = 0;
        } else if (header.colour == PNG_COLOR_TYPE_PALETTE) {
            const auto& entry = header.palette[*from++];
            colours = std::copy_n(entry.begin(), 3, colours);
            alpha = entry[3];
        } else {
            colours = std::copy_n(from, 3, colours);
            if (header.clear && std::equal(from, from + 3, header.clear_colour.begin())) alpha = 0;
            from += 3;
            if (header.colour == PNG_COLOR_TYPE_RGB_ALPHA) alpha = *from++;
        }
        *alphas++ = alpha;
    }
}

std::string_view profile_of(Reader& reader) {
    png_charp name = nullptr;
    png_bytep profile = nullptr;
    png_uint_32 size = 0;
    int compression = 0;
    if (png_get_iCCP(reader.png, reader.info, &name, &compression, &profile, &size) == 0 || profile == nullptr) return {};
    return {reinterpret_cast<const char*>(profile), size};
}

// Turns rows of samples into rows of RGB: sRGB, on white.
class Painter {
public:
    Painter(const Header& header, std::string_view icc)
        : header_(header),
          colours_(std::size_t{header.width} * (header.grey() ? 1 : 3)),
          alphas_(header.width) {
        if (!icc.empty()) profile_.emplace(icc, header.grey() ? Samples::grey : Samples::rgb);
    }

    std::string unconverted() const { return profile_ ? profile_->unconverted() : std::string{}; }

    void paint(const std::uint8_t* samples, std::uint8_t* rgb) {
        take_apart(header_, samples, colours_.data(), alphas_.data());
        if (profile_ && profile_->converts()) {
            profile_->to_srgb(colours_.data(), rgb, header_.width);
        } else if (header_.grey()) {
            for (std::size_t x = 0; x < header_.width; ++x) rgb[3 * x] = rgb[3 * x + 1] = rgb[3 * x + 2] = colours_[x];
        } else {
            std::memcpy(rgb, colours_.data(), colours_.size());
        }
        for (std::size_t x = 0; x < header_.width; ++x, rgb += 3)
            if (alphas_[x] != 255)
                for (std::size_t channel = 0; channel < 3; ++channel) rgb[channel] = on_white(rgb[channel], alphas_[x]);
    }

private:
    const Header& header_;
    std::optional<ColourProfile> profile_;
    std::vector<std::uint8_t> colours_, alphas_;
};

}  // namespace

Decoded decode_png(const std::uint8_t* bytes, std::size_t size, const std::string& name) {
    const std::vector<std::string_view> pieces = without_texts({reinterpret_cast<const char*>(bytes), size});
    Reader reader;
    reader.source = {pieces.data(), pieces.data() + pieces.size(), 0, {}};
    reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader.source, leave, ignore);
    reader.info = reader.png != nullptr ? png_create_info_struct(reader.png) : nullptr;
    if (reader.info == nullptr) throw std::bad_alloc();
    Header header;
    if (!read_header(reader, header)) throw BrokenImage{reader.source.message};
    check_pixels(header.width, header.height, name);
    Painter painter(header, profile_of(reader));
    const std::size_t stride = png_get_rowbytes(reader.png, reader.info), line = std::size_t{header.width} * 3;
    const bool interlaced = header.interlacing != PNG_INTERLACE_NONE;
    // Nothing is written to memory before the pixels that the header announces are there.
    const std::unique_ptr<std::uint8_t[]> samples(new std::uint8_t[interlaced ? stride * header.height : stride]);
    if (interlaced) {
        std::vector<png_bytep> rows(header.height);
        for (std::size_t y = 0; y < rows.size(); ++y) rows[y] = samples.get() + y * stride;
        if (!read_rows(reader, rows.data())) throw BrokenImage{reader.source.message};
    }
    Decoded result;
    result.image.height = static_cast<int>(header.height);
    result.image.width = static_cast<int>(header.width);
    result.image.profile = painter.unconverted();
    result.image.rgb.reserve(line * header.height);
    for (std::size_t y = 0; y < header.height; ++y) {
        if (!interlaced && !read_row(reader, samples.get())) throw BrokenImage{reader.source.message};
        result.image.rgb.resize(line * (y + 1));
        painter.paint(samples.get() + (interlaced ? y * stride : 0), result.image.rgb.data() + line * y);
    }
    read_rest(reader);
    result.orientation = orientation_of(reader);
    return result;
}

}  // namespace realm
