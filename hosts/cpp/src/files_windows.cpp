// Files of Windows.
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>

#include "files.hpp"

namespace realm {
namespace {

class Handle {
public:
    explicit Handle(HANDLE handle) : handle_(handle) {}
    ~Handle() {
        if (good()) ::CloseHandle(handle_);
    }
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;

    bool good() const { return handle_ != nullptr && handle_ != INVALID_HANDLE_VALUE; }
    HANDLE get() const { return handle_; }

private:
    HANDLE handle_;
};

HANDLE open_to_read(const std::filesystem::path& path) {
    return ::CreateFileW(path.c_str(), GENERIC_READ, FILE_SHARE_READ, nullptr, OPEN_EXISTING,
                         FILE_ATTRIBUTE_NORMAL | FILE_FLAG_SEQUENTIAL_SCAN, nullptr);
}

int errno_of(DWORD error) {
    switch (error) {
        case ERROR_FILE_NOT_FOUND:
        case ERROR_PATH_NOT_FOUND:
        case ERROR_INVALID_NAME: return ENOENT;
        case ERROR_ACCESS_DENIED:
        case ERROR_SHARING_VIOLATION: return EACCES;
        case ERROR_TOO_MANY_OPEN_FILES: return EMFILE;
        default: return EIO;
    }
}

FileContent failed() {
    FileContent content;
    content.error_number = errno_of(::GetLastError());
    return content;
}

}  // namespace

FileContent read_file(const std::filesystem::path& path, std::uint64_t limit) {
    FileContent content;
    const DWORD attributes = ::GetFileAttributesW(path.c_str());
    if (attributes == INVALID_FILE_ATTRIBUTES) return failed();
    if ((attributes & FILE_ATTRIBUTE_DIRECTORY) != 0) {
        content.no_file = "a directory";
        return content;
    }
    const Handle file(open_to_read(path));
    if (!file.good()) return failed();
    const DWORD type = ::GetFileType(file.get());
    if (type != FILE_TYPE_DISK) {
        content.no_file = type == FILE_TYPE_PIPE ? "a pipe" : "a device";
        return content;
    }
    LARGE_INTEGER size{};
    if (::GetFileSizeEx(file.get(), &size) == 0) return failed();
    if (static_cast<std::uint64_t>(size.QuadPart) > limit) {
        content.too_large = true;
        return content;
    }
    content.bytes.resize(static_cast<std::size_t>(size.QuadPart));
    constexpr std::size_t kPiece = std::size_t{1} << 26;
    for (std::size_t used = 0; used < content.bytes.size();) {
        DWORD got = 0;
        const auto wanted = static_cast<DWORD>(std::min(kPiece, content.bytes.size() - used));
        if (::ReadFile(file.get(), content.bytes.data() + used, wanted, &got, nullptr) == 0) return failed();
        used += got;
        if (got == 0) content.bytes.resize(used);  // it became shorter
    }
    return content;
}

MappedFile::MappedFile(const std::filesystem::path& path) {
    const Handle file(open_to_read(path));
    LARGE_INTEGER size{};
    if (!file.good() || ::GetFileType(file.get()) != FILE_TYPE_DISK || ::GetFileSizeEx(file.get(), &size) == 0)
        throw std::invalid_argument("it cannot be read");
    if (size.QuadPart <= 0) throw std::invalid_argument("the file is empty");
    const Handle mapping(::CreateFileMappingW(file.get(), nullptr, PAGE_READONLY, 0, 0, nullptr));
    if (mapping.good()) data_ = ::MapViewOfFile(mapping.get(), FILE_MAP_READ, 0, 0, 0);  // outlives both handles
    if (data_ == nullptr) throw std::invalid_argument("it cannot be read");
    size_ = static_cast<std::size_t>(size.QuadPart);
}

MappedFile::~MappedFile() { ::UnmapViewOfFile(data_); }

}  // namespace realm
