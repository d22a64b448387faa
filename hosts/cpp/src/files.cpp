#include "files.hpp"

#include <cerrno>
#include <cstdio>
#include <memory>

namespace realm {

FileContent read_file(const std::filesystem::path& path, std::uint64_t limit) {
    constexpr std::size_t kFirst = std::size_t{1} << 16;
    FileContent content;
    errno = 0;
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
    if (!file) {
        content.error_number = errno != 0 ? errno : EIO;
        return content;
    }
    std::setvbuf(file.get(), nullptr, _IONBF, 0);
    std::error_code unknown;
    const std::uintmax_t size = std::filesystem::file_size(path, unknown);
    // One byte more than the file has, so that a single read meets its end; a pipe or device says no size.
    std::size_t room = unknown || size >= limit ? kFirst : static_cast<std::size_t>(size) + 1;
    std::size_t used = 0;
    for (;;) {
        content.bytes.resize(used + room);
        errno = 0;
        const std::size_t got = std::fread(content.bytes.data() + used, 1, room, file.get());
        used += got;
        if (used > limit) {
            content.bytes.clear();
            content.too_large = true;
            return content;
        }
        if (std::ferror(file.get()) != 0) {
            content.error_number = errno != 0 ? errno : EIO;
            content.bytes.clear();
            return content;
        }
        if (got < room) break;
        room = used;
    }
    content.bytes.resize(used);
    return content;
}

}  // namespace realm
