// JPEG by libjpeg(-turbo) with Pillow's settings: accurate DCT, fancy upsampling, inverted CMYK.
#include <csetjmp>
#include <cstdio>

extern "C" {
#include <jpeglib.h>
}

#include "image_formats.hpp"

namespace realm {
namespace {

constexpr int kMaxScans = 500;  // a progressive file of many empty scans would take minutes

// libjpeg reports errors by leaving: nothing between setjmp and here may own anything.
struct Failure {
    jpeg_error_mgr base;
    std::jmp_buf back;
    char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void leave(j_common_ptr info) {
    auto* failure = reinterpret_cast<Failure*>(info->err);
    failure->base.format_message(info, failure->message);
    std::longjmp(failure->back, 1);
}

[[noreturn]] void leave_with(j_common_ptr info, const char* message) {
    auto* failure = reinterpret_cast<Failure*>(info->err);
    std::snprintf(failure->message, sizeof failure->message, "%s", message);
    std::longjmp(failure->back, 1);
}

void be_silent(j_common_ptr) {}
void ignore_message(j_common_ptr, int) {}

// All bytes are there from the start. libjpeg's own memory source invents an end where the file stops; here a
// truncated file is an error.
boolean fill(j_decompress_ptr info) {
    leave_with(reinterpret_cast<j_common_ptr>(info), "the file ends early");
    return FALSE;
}

void skip(j_decompress_ptr info, long count) {
    if (count <= 0) return;
    const auto wanted = static_cast<std::size_t>(count);
    if (wanted > info->src->bytes_in_buffer)
        leave_with(reinterpret_cast<j_common_ptr>(info), "the file ends early");
    info->src->next_input_byte += wanted;
    info->src->bytes_in_buffer -= wanted;
}

void nothing(j_decompress_ptr) {}

void count_scans(j_common_ptr info) {
    const auto* decompress = reinterpret_cast<j_decompress_ptr>(info);
    if (decompress->input_scan_number > kMaxScans) leave_with(info, "too many scans");
}

int orientation_of(const jpeg_decompress_struct& info) {
    constexpr std::string_view kExif("Exif\0\0", 6), kXmp("http://ns.adobe.com/xap/1.0/\0", 29);
    int xmp = 0;
    for (const auto* marker = info.marker_list; marker != nullptr; marker = marker->next) {
        const std::string_view data(reinterpret_cast<const char*>(marker->data), marker->data_length);
        if (data.substr(0, kExif.size()) == kExif) {
            if (const int found = exif_orientation(data); found != 0) return found;
        } else if (data.substr(0, kXmp.size()) == kXmp && xmp == 0) {
            xmp = xmp_orientation(data.substr(kXmp.size()));
        }
    }
    return xmp == 0 ? 1 : xmp;
}

void grey_to_rgb(std::uint8_t* row, std::size_t width) {
    for (std::size_t x = width; x-- > 0;) row[3 * x] = row[3 * x + 1] = row[3 * x + 2] = row[x];
}

// Pillow takes every CMYK JPEG as Adobe writes them, inverted; then r = (255 - k) - c * (255 - k) / 255, rounded.
void cmyk_to_rgb(const std::uint8_t* cmyk, std::uint8_t* rgb, std::size_t width) {
    for (std::size_t x = 0; x < width; ++x, cmyk += 4, rgb += 3) {
        const unsigned not_black = cmyk[3];
        for (int channel = 0; channel < 3; ++channel) {
            const unsigned product = (255U - cmyk[channel]) * not_black + 128;
            const unsigned taken = ((product >> 8) + product) >> 8;
            rgb[channel] = static_cast<std::uint8_t>(not_black > taken ? not_black - taken : 0);
        }
    }
}

struct Reader {
    jpeg_decompress_struct info;
    Failure failure;
    jpeg_source_mgr source;
    jpeg_progress_mgr progress;
};

// The two steps that may leave by longjmp. They own nothing; memory comes from the caller.
bool read_header(Reader& reader) {
    if (setjmp(reader.failure.back) != 0) return false;
    jpeg_create_decompress(&reader.info);
    reader.info.src = &reader.source;
    reader.info.progress = &reader.progress;
    jpeg_save_markers(&reader.info, JPEG_APP0 + 1, 0xFFFF);
    jpeg_read_header(&reader.info, TRUE);
    return true;
}

bool read_pixels(Reader& reader, std::uint8_t* rgb, std::uint8_t* line) {
    if (setjmp(reader.failure.back) != 0) return false;
    jpeg_decompress_struct& info = reader.info;
    jpeg_start_decompress(&info);
    const std::size_t width = info.output_width;
    while (info.output_scanline < info.output_height) {
        std::uint8_t* row = rgb + static_cast<std::size_t>(info.output_scanline) * width * 3;
        JSAMPROW into = info.num_components == 4 ? line : row;
        if (jpeg_read_scanlines(&info, &into, 1) != 1) return false;
        if (info.num_components == 1) grey_to_rgb(row, width);
        if (info.num_components == 4) cmyk_to_rgb(line, row, width);
    }
    jpeg_finish_decompress(&info);
    return true;
}

}  // namespace

Decoded decode_jpeg(const std::uint8_t* bytes, std::size_t size, const std::string& name) {
    Reader reader{};
    reader.info.err = jpeg_std_error(&reader.failure.base);
    reader.failure.base.error_exit = leave;
    reader.failure.base.output_message = be_silent;
    reader.failure.base.emit_message = ignore_message;
    reader.progress.progress_monitor = count_scans;
    reader.source.next_input_byte = bytes;
    reader.source.bytes_in_buffer = size;
    reader.source.init_source = nothing;
    reader.source.fill_input_buffer = fill;
    reader.source.skip_input_data = skip;
    reader.source.resync_to_restart = jpeg_resync_to_restart;
    reader.source.term_source = nothing;
    struct Owner {
        jpeg_decompress_struct* info;
        ~Owner() { jpeg_destroy_decompress(info); }
    };
    const Owner owner{&reader.info};
    if (!read_header(reader)) throw BrokenImage{reader.failure.message};
    jpeg_decompress_struct& info = reader.info;
    check_pixels(info.image_width, info.image_height, name);
    if (info.num_components != 1 && info.num_components != 3 && info.num_components != 4)
        throw BrokenImage{std::to_string(info.num_components) + " colour channels"};
    info.out_color_space = info.num_components == 1 ? JCS_GRAYSCALE : info.num_components == 3 ? JCS_RGB : JCS_CMYK;
    Decoded result;
    result.orientation = orientation_of(info);
    result.image.height = static_cast<int>(info.image_height);
    result.image.width = static_cast<int>(info.image_width);
    const std::size_t width = info.image_width;
    result.image.rgb.resize(static_cast<std::size_t>(info.image_height) * width * 3);
    std::vector<std::uint8_t> line(info.num_components == 4 ? width * 4 : 0);
    if (!read_pixels(reader, result.image.rgb.data(), line.data())) throw BrokenImage{reader.failure.message};
    return result;
}

}  // namespace realm
