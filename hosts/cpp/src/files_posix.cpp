// Files of POSIX systems.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>

#include "files.hpp"

namespace realm {
namespace {

const char* kind_of(mode_t mode) {
    if (S_ISDIR(mode)) return "a directory";
    if (S_ISFIFO(mode)) return "a pipe";
    if (S_ISSOCK(mode)) return "a socket";
    return "a device";
}

class Opened {
public:
    // Not blocking: a pipe that took the file's place since it was looked at must not be waited for.
    explicit Opened(const std::filesystem::path& path) : number_(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {}
    ~Opened() {
        if (number_ >= 0) ::close(number_);
    }
    Opened(const Opened&) = delete;
    Opened& operator=(const Opened&) = delete;

    int number() const { return number_; }

private:
    int number_;
};

FileContent failed() {
    FileContent content;
    content.error_number = errno != 0 ? errno : EIO;
    return content;
}

}  // namespace

FileContent read_file(const std::filesystem::path& path, std::uint64_t limit) {
    FileContent content;
    struct stat about {};
    if (::stat(path.c_str(), &about) != 0) return failed();
    if (!S_ISREG(about.st_mode)) {  // opening a device may already do something
        content.no_file = kind_of(about.st_mode);
        return content;
    }
    const Opened file(path);
    if (file.number() < 0 || ::fstat(file.number(), &about) != 0) return failed();
    if (!S_ISREG(about.st_mode)) {
        content.no_file = kind_of(about.st_mode);
        return content;
    }
    if (static_cast<std::uint64_t>(about.st_size) > limit) {
        content.too_large = true;
        return content;
    }
    // One byte more than the file has, so that a single read meets its end; files of /proc say that they have none.
    content.bytes.resize(static_cast<std::size_t>(about.st_size) + 1);
    std::size_t used = 0;
    for (;;) {
        const ssize_t got = ::read(file.number(), content.bytes.data() + used, content.bytes.size() - used);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return failed();
        used += static_cast<std::size_t>(got);
        if (got == 0) break;
        if (used > limit) {
            content.bytes.clear();
            content.too_large = true;
            return content;
        }
        if (used == content.bytes.size()) content.bytes.resize(2 * used + 4096);
    }
    content.bytes.resize(used);
    return content;
}

MappedFile::MappedFile(const std::filesystem::path& path) {
    const Opened file(path);
    struct stat about {};
    if (file.number() < 0 || ::fstat(file.number(), &about) != 0 || !S_ISREG(about.st_mode))
        throw std::invalid_argument("it cannot be read");
    if (about.st_size <= 0) throw std::invalid_argument("the file is empty");
    size_ = static_cast<std::size_t>(about.st_size);
    void* const mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.number(), 0);
    if (mapped == MAP_FAILED) throw std::invalid_argument("it cannot be read");
    data_ = mapped;
}

MappedFile::~MappedFile() { ::munmap(const_cast<void*>(data_), size_); }

}  // namespace realm
