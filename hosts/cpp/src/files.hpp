// Reading files whole, with a bound, and their SHA-256.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace realm {

// Paths and texts: UTF-8 on every system.
std::string utf8(const std::filesystem::path& path);
std::filesystem::path from_utf8(const std::string& text);

struct FileContent {
    std::vector<std::uint8_t> bytes;
    int error_number = 0;              // errno where the file cannot be read
    const char* no_file = nullptr;     // "a pipe", "a device", ...: what it is where it is no regular file
    bool too_large = false;            // more than the bound; `bytes` is then empty

    // Why there are no bytes, in words ("a pipe, not a file"); empty where there are. Not of what is too large.
    std::string problem() const;
};

// A whole regular file, at most `limit` bytes. Anything else, such as a pipe that may have no writer, is never waited
// for. Never throws but std::bad_alloc.
FileContent read_file(const std::filesystem::path& path, std::uint64_t limit);

// A file in the address space, so that of a large one only what is looked at is read. Throws std::invalid_argument, in
// words, where it cannot be read or is empty.
class MappedFile {
public:
    explicit MappedFile(const std::filesystem::path& path);
    ~MappedFile();
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;

    std::string_view view() const { return {static_cast<const char*>(data_), size_}; }

private:
    const void* data_ = nullptr;
    std::size_t size_ = 0;
};

// SHA-256 (FIPS 180-4) of memory, 64 lower-case hexadecimal digits.
std::string sha256(const void* data, std::size_t size);
// The same in plain C++, for the test that compares it with the processor's own instructions.
std::string sha256_portable(const void* data, std::size_t size);
// SHA-256 of a file, read in pieces; empty where it cannot be read.
std::string sha256_file(const std::filesystem::path& path);

}  // namespace realm
