// JPEG by libjpeg(-turbo) with Pillow's settings: accurate DCT, fancy upsampling, inverted CMYK.
#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <optional>
#include <vector>

extern "C" {
#include <jpeglib.h>
}

#include "colour.hpp"
#include "image_formats.hpp"
#include "jpeg_scans.hpp"
#include "limits.hpp"
#include "realm/error.hpp"

namespace realm {
namespace {

constexpr int kExifMarker = JPEG_APP0 + 1, kProfileMarker = JPEG_APP0 + 2;

// libjpeg reports errors by leaving: nothing between setjmp and here may own anything.
struct Failure {
    jpeg_error_mgr base;
    std::jmp_buf back;
    bool ended;  // nothing is wrong but that the file ends
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
[[noreturn]] void leave_at_end(j_decompress_ptr info) {
    reinterpret_cast<Failure*>(info->err)->ended = true;
    leave_with(reinterpret_cast<j_common_ptr>(info), "the file ends early");
}

boolean fill(j_decompress_ptr info) {
    leave_at_end(info);
    return FALSE;
}

void skip(j_decompress_ptr info, long count) {
    if (count <= 0) return;
    const auto wanted = static_cast<std::size_t>(count);
    if (wanted > info->src->bytes_in_buffer) leave_at_end(info);
    info->src->next_input_byte += wanted;
    info->src->bytes_in_buffer -= wanted;
}

void nothing(j_decompress_ptr) {}

// What libjpeg itself counts, should it find scans where we did not.
void limit_scans(j_common_ptr info) {
    const auto* decompress = reinterpret_cast<j_decompress_ptr>(info);
    if (decompress->input_scan_number > limits::kScans) leave_with(info, "more than 500 scans");
}

int orientation_of(const jpeg_decompress_struct& info) {
    constexpr std::string_view kExif("Exif\0\0", 6), kXmp("http://ns.adobe.com/xap/1.0/\0", 29);
    int xmp = 0;
    for (const auto* marker = info.marker_list; marker != nullptr; marker = marker->next) {
        const std::string_view data(reinterpret_cast<const char*>(marker->data), marker->data_length);
        if (marker->marker != kExifMarker) continue;
        if (data.substr(0, kExif.size()) == kExif) {
            if (const int found = exif_orientation(data); found != 0) return found;
        } else if (data.substr(0, kXmp.size()) == kXmp && xmp == 0) {
            xmp = xmp_orientation(data.substr(kXmp.size()));
        }
    }
    return xmp == 0 ? 1 : xmp;
}

// The colour profile, which may lie in several markers: each has its number and their count. Empty where one is missing.
std::string profile_of(const jpeg_decompress_struct& info) {
    constexpr std::string_view kIcc("ICC_PROFILE\0", 12);
    std::vector<std::string_view> parts;
    for (const auto* marker = info.marker_list; marker != nullptr; marker = marker->next) {
        const std::string_view data(reinterpret_cast<const char*>(marker->data), marker->data_length);
        if (marker->marker == kProfileMarker && data.size() >= kIcc.size() + 2 && data.substr(0, kIcc.size()) == kIcc)
            parts.push_back(data.substr(kIcc.size()));
    }
    std::sort(parts.begin(), parts.end());
    if (parts.empty() || static_cast<unsigned char>(parts[0][1]) != parts.size()) return {};
    std::string profile;
    for (const std::string_view part : parts) profile += part.substr(2);
    return profile;
}

void grey_to_rgb(const std::uint8_t* grey, std::uint8_t* rgb, std::size_t width) {
    for (std::size_t x = 0; x < width; ++x) rgb[3 * x] = rgb[3 * x + 1] = rgb[3 * x + 2] = grey[x];
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

// The steps that may leave by longjmp. They own nothing; memory comes from the caller.
bool read_header(Reader& reader) {
    if (setjmp(reader.failure.back) != 0) return false;
    jpeg_create_decompress(&reader.info);
    reader.info.src = &reader.source;
    reader.info.progress = &reader.progress;
    jpeg_save_markers(&reader.info, kExifMarker, 0xFFFF);
    jpeg_save_markers(&reader.info, kProfileMarker, 0xFFFF);
    jpeg_read_header(&reader.info, TRUE);
    return true;
}

bool start(Reader& reader) {
    if (setjmp(reader.failure.back) != 0) return false;
    jpeg_start_decompress(&reader.info);
    return true;
}

bool read_line(Reader& reader, std::uint8_t* line) {
    if (setjmp(reader.failure.back) != 0) return false;
    return jpeg_read_scanlines(&reader.info, &line, 1) == 1;
}

// What stands behind the last line. A file that breaks off there has given all its pixels, and is whole to Pillow as well.
bool finish(Reader& reader) {
    if (setjmp(reader.failure.back) != 0) return reader.failure.ended;
    jpeg_finish_decompress(&reader.info);
    return true;
}

// A line of samples to RGB, `line` is changed.
void to_rgb(const jpeg_decompress_struct& info, const std::optional<ColourProfile>& profile, std::uint8_t* line,
            std::uint8_t* rgb) {
    const std::size_t width = info.output_width;
    if (profile && profile->converts()) {
        if (info.num_components == 4)
            for (std::size_t at = 0; at < 4 * width; ++at) line[at] = static_cast<std::uint8_t>(255 - line[at]);
        profile->to_srgb(line, rgb, width);
    } else if (info.num_components == 1) {
        grey_to_rgb(line, rgb, width);
    } else if (info.num_components == 4) {
        cmyk_to_rgb(line, rgb, width);
    } else {
        std::copy_n(line, 3 * width, rgb);
    }
}

}  // namespace

Decoded decode_jpeg(const std::uint8_t* bytes, std::size_t size, const std::string& name) {
    const auto [scans, ended] = jpeg_scans({reinterpret_cast<const char*>(bytes), size}, limits::kScans);
    if (scans > limits::kScans)
        throw ImageError(name + ": more than " + std::to_string(limits::kScans) + " scans; save it anew as PNG or JPEG");
    if (scans > 0 && !ended) throw BrokenImage{"the file ends early"};
    Reader reader{};
    reader.info.err = jpeg_std_error(&reader.failure.base);
    reader.failure.base.error_exit = leave;
    reader.failure.base.output_message = be_silent;
    reader.failure.base.emit_message = ignore_message;
    reader.progress.progress_monitor = limit_scans;
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
    const std::uint64_t pixels = std::uint64_t{info.image_width} * info.image_height;
    const std::uint64_t most_scans = std::max<std::uint64_t>(1, limits::kScannedPx / std::max<std::uint64_t>(1, pixels));
    if (jpeg_has_multiple_scans(&info) && static_cast<std::uint64_t>(scans) > most_scans)
        throw ImageError(name + ": more than " + std::to_string(most_scans) + " scans of " + std::to_string(pixels / 1'000'000) +
                         " megapixels; save it anew as PNG or JPEG");
    if (info.num_components != 1 && info.num_components != 3 && info.num_components != 4)
        throw BrokenImage{std::to_string(info.num_components) + " colour channels"};
    info.out_color_space = info.num_components == 1 ? JCS_GRAYSCALE : info.num_components == 3 ? JCS_RGB : JCS_CMYK;
    Decoded result;
    result.orientation = orientation_of(info);
    result.image.height = static_cast<int>(info.image_height);
    result.image.width = static_cast<int>(info.image_width);
    std::optional<ColourProfile> profile;
    if (const std::string icc = profile_of(info); !icc.empty())
        profile.emplace(icc, info.num_components == 1 ? Samples::grey : info.num_components == 3 ? Samples::rgb : Samples::cmyk);
    if (profile) result.image.profile = profile->unconverted();
    const std::size_t width = info.image_width;
    std::vector<std::uint8_t> line(static_cast<std::size_t>(info.num_components) * width);
    const auto whole = [&](bool done) {
        if (!done) throw BrokenImage{reader.failure.message};
    };
    whole(start(reader));
    result.image.rgb.reserve(static_cast<std::size_t>(info.image_height) * width * 3);  // written as lines come
    for (std::size_t y = 0; y < info.image_height; ++y) {
        whole(read_line(reader, line.data()));
        result.image.rgb.resize(3 * width * (y + 1));
        to_rgb(info, profile, line.data(), result.image.rgb.data() + 3 * width * y);
    }
    whole(finish(reader));
    return result;
}

}  // namespace realm
