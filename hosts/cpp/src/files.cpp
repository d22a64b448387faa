#include "files.hpp"

#include "text_format.hpp"

namespace realm {

std::string utf8(const std::filesystem::path& path) { return path.u8string(); }

std::filesystem::path from_utf8(const std::string& text) { return std::filesystem::u8path(text); }

std::string FileContent::problem() const {
    if (no_file != nullptr) return std::string(no_file) + ", not a file";
    return error_number != 0 ? "cannot be read (" + system_message(error_number) + ")" : std::string{};
}

}  // namespace realm
