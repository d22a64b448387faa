#include "realm/image.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "files.hpp"
#include "image_formats.hpp"
#include "limits.hpp"
#include "realm/error.hpp"
#include "text_format.hpp"

namespace realm {
namespace {

enum class Format { jpeg, png, other, unknown };

Format format_of(std::string_view bytes, const char** name) {
    const auto starts = [&](std::string_view magic) { return bytes.substr(0, magic.size()) == magic; };
    if (starts("\xFF\xD8\xFF")) return Format::jpeg;
    if (starts("\x89PNG\r\n\x1A\n")) return Format::png;
    struct Known {
        std::string_view magic;
        const char* name;
    };
    static constexpr std::array<Known, 6> kOthers{{{"GIF8", "GIF"},
                                                   {"BM", "BMP"},
                                                   {std::string_view("II*\0", 4), "TIFF"},
                                                   {std::string_view("MM\0*", 4), "TIFF"},
                                                   {std::string_view("II+\0", 4), "TIFF"},
                                                   {std::string_view("MM\0+", 4), "TIFF"}}};
    for (const Known& other : kOthers)
        if (starts(other.magic)) return *name = other.name, Format::other;
    if (starts("RIFF") && bytes.substr(8, 4) == "WEBP") return *name = "WebP", Format::other;
    return Format::unknown;
}

Image decode(const std::uint8_t* bytes, std::size_t size, const std::string& name) {
    if (size == 0) throw ImageError(name + ": the file is empty (0 bytes)");
    const char* other = "";
    const Format format = format_of({reinterpret_cast<const char*>(bytes), size}, &other);
    if (format == Format::other)
        throw ImageError(name + ": " + other + " is not read by this program (formats: PNG, JPEG); save it as PNG");
    if (format == Format::unknown) throw ImageError(name + ": not an image that can be read (formats: PNG, JPEG)");
    try {
        Decoded found = format == Format::jpeg ? decode_jpeg(bytes, size, name) : decode_png(bytes, size, name);
        return upright(std::move(found.image), found.orientation);
    } catch (const BrokenImage& broken) {
        throw ImageError(name + ": broken or truncated image (" + one_line(broken.cause) + ")");
    } catch (const std::bad_alloc&) {
        throw ImageError(name + ": not enough memory to decode it");
    }
}

std::uint32_t number(std::string_view bytes, std::size_t at, std::size_t size, bool big) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < size; ++i) {
        const auto byte = static_cast<unsigned char>(bytes[at + (big ? i : size - 1 - i)]);
        value = value << 8 | byte;
    }
    return value;
}

}  // namespace

bool fits(std::uint64_t width, std::uint64_t height) {
    return width * height <= limits::kPixels && std::max(width, height) <= limits::kSidePx;
}

void check_pixels(std::uint64_t width, std::uint64_t height, const std::string& name) {
    if (fits(width, height)) return;
    const std::string size = name + ": " + std::to_string(width) + " x " + std::to_string(height);
    if (width * height > limits::kPixels) throw ImageError(size + " is more than 200 megapixels; scale it down first");
    throw ImageError(size + " has a side beyond " + std::to_string(limits::kSidePx) + " pixels; cut it into pieces");
}

int exif_orientation(std::string_view exif) {
    constexpr std::string_view kPrefix("Exif\0\0", 6);
    if (exif.substr(0, kPrefix.size()) == kPrefix) exif.remove_prefix(kPrefix.size());
    if (exif.size() < 8) return 0;
    const bool big = exif.substr(0, 2) == "MM";
    if (!big && exif.substr(0, 2) != "II") return 0;
    if (number(exif, 2, 2, big) != 42) return 0;
    const std::size_t directory = number(exif, 4, 4, big);
    if (directory > exif.size() || exif.size() - directory < 2) return 0;
    const std::size_t entries = number(exif, directory, 2, big);
    for (std::size_t index = 0; index < entries; ++index) {
        const std::size_t at = directory + 2 + 12 * index;
        if (exif.size() < 12 || at > exif.size() - 12) return 0;
        if (number(exif, at, 2, big) != 0x112) continue;
        const std::uint32_t type = number(exif, at + 2, 2, big), count = number(exif, at + 4, 4, big);
        const std::size_t size = type == 3 ? 2 : type == 4 ? 4 : type == 1 ? 1 : 0;
        if (size == 0 || count != 1) return 0;
        const std::uint32_t value = number(exif, at + 8, size, big);
        return value <= 8 ? static_cast<int>(value) : 0;
    }
    return 0;
}

int xmp_orientation(std::string_view xmp) {
    constexpr std::string_view kKey = "tiff:Orientation";
    for (std::size_t at = xmp.find(kKey); at != std::string_view::npos; at = xmp.find(kKey, at + 1)) {
        std::string_view rest = xmp.substr(at + kKey.size());
        const std::size_t skip = rest.substr(0, 2) == "=\"" ? 2 : rest.substr(0, 1) == ">" ? 1 : 0;
        rest.remove_prefix(skip);
        if (skip > 0 && !rest.empty() && rest[0] >= '0' && rest[0] <= '9') return rest[0] - '0';
    }
    return 0;
}

Image upright(Image image, int orientation) {
    if (orientation < 2 || orientation > 8) return image;
    const bool turned = orientation >= 5;
    Image result;
    result.height = turned ? image.width : image.height;
    result.width = turned ? image.height : image.width;
    result.rgb.resize(image.rgb.size());
    std::uint8_t* out = result.rgb.data();
    for (int y = 0; y < result.height; ++y) {
        for (int x = 0; x < result.width; ++x, out += 3) {
            int row = y, col = x;
            switch (orientation) {
                case 2: col = image.width - 1 - x; break;
                case 3: row = image.height - 1 - y, col = image.width - 1 - x; break;
                case 4: row = image.height - 1 - y; break;
                case 5: row = x, col = y; break;
                case 6: row = image.height - 1 - x, col = y; break;
                case 7: row = image.height - 1 - x, col = image.width - 1 - y; break;
                default: row = x, col = image.width - 1 - y; break;
            }
            const std::size_t from =
                (static_cast<std::size_t>(row) * static_cast<std::size_t>(image.width) + static_cast<std::size_t>(col)) * 3;
            std::memcpy(out, image.rgb.data() + from, 3);
        }
    }
    return result;
}

Image load_image(const std::filesystem::path& path) {
    const std::string name = utf8(path);
    const FileContent content = read_file(path, limits::kPictureBytes);
    if (content.too_large) throw ImageError(name + ": more than 1 GiB is no photograph; scale it down first");
    if (content.no_file != nullptr) throw ImageError(name + ": " + content.no_file + ", not an image");
    if (const std::string problem = content.problem(); !problem.empty()) throw ImageError(name + ": " + problem);
    return decode(content.bytes.data(), content.bytes.size(), name);
}

Image decode_image(const void* bytes, std::size_t size, const std::string& name) {
    return decode(static_cast<const std::uint8_t*>(bytes), size, name);
}

}  // namespace realm
