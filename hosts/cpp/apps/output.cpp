#include "output.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "descriptions.hpp"
#include "realm/error.hpp"
#include "text_format.hpp"

namespace realm {

namespace fs = std::filesystem;

void say(const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); }

std::string csv_line(const std::vector<std::string>& fields) {
    std::string line;
    for (std::size_t at = 0; at < fields.size(); ++at) {
        if (at > 0) line += ',';
        if (fields[at].find_first_of(",\"\n\r") == std::string::npos) {
            line += fields[at];
            continue;
        }
        line += '"';
        for (const char each : fields[at]) {
            if (each == '"') line += '"';
            line += each;
        }
        line += '"';
    }
    return line + '\n';
}

std::string fixed(double value, int decimals) {
    char text[400];
    std::snprintf(text, sizeof text, "%.*f", decimals, value);
    return text;
}

void check_folder(const std::string& folder) {
    std::error_code failed;
    fs::create_directories(folder, failed);
    std::error_code ignored;
    int error_number = fs::is_directory(folder, ignored) ? 0 : fs::exists(folder, ignored) ? EEXIST : failed.value();
    if (error_number == 0) {
        const std::string probe = join(folder, ".realm-probe-" + std::to_string(::getpid()));
        errno = 0;
        if (std::FILE* file = std::fopen(probe.c_str(), "wb")) {
            std::fclose(file);
            fs::remove(probe, failed);
        } else {
            error_number = errno;
        }
    }
    if (error_number != 0)
        throw OutputError(folder + ": cannot be written (" + system_message(error_number) + "); choose another output");
}

void check_table(const std::string& path, const std::vector<std::string>& keep) {
    const std::string name = name_of(path);
    const std::size_t dot = name.rfind('.');
    if (dot == std::string::npos || dot == 0 || name.substr(dot) != ".csv")
        throw UsageError("--output " + path + ": the name must end in .csv");
    std::error_code ignored;
    if (fs::is_directory(path, ignored))
        throw OutputError(path + ": is a directory; give a file name such as " + join(path, "scores.csv"));
    check_folder(parent_of(path));
    for (const std::string& other : keep)
        if (fs::exists(path, ignored) && fs::equivalent(path, other, ignored))
            throw UsageError("--output " + path + ": is the file of descriptions; choose another name");
    if (fs::exists(path, ignored) && ::access(path.c_str(), W_OK) != 0)
        throw OutputError(path + ": exists and is write-protected; choose another name");
}

void write_atomically(const std::string& path, std::string_view content) {
    const std::string temporary =
        join(parent_of(path), "." + name_of(path) + "." + std::to_string(::getpid()) + ".tmp");
    const auto fail = [&](int error_number) {
        ::unlink(temporary.c_str());
        return OutputError(path + ": cannot be written (" + system_message(error_number) + ")");
    };
    errno = 0;
    std::FILE* file = std::fopen(temporary.c_str(), "wb");
    if (file == nullptr) throw fail(errno);
    const bool written = std::fwrite(content.data(), 1, content.size(), file) == content.size() &&
                         std::fflush(file) == 0 && ::fsync(::fileno(file)) == 0;
    const int error_number = errno;
    if (std::fclose(file) != 0 || !written) throw fail(error_number);
    if (std::rename(temporary.c_str(), path.c_str()) != 0) throw fail(errno);
}

ProgressLine::ProgressLine(std::string what, std::size_t total, bool shown)
    : what_(std::move(what)), total_(total), shown_(shown && ::isatty(STDERR_FILENO) != 0) {}

ProgressLine::~ProgressLine() { clear(); }

void ProgressLine::show(double done) {
    constexpr std::chrono::milliseconds kBetween{100};
    const auto now = std::chrono::steady_clock::now();
    if (!shown_ || now - last_ < kBetween) return;
    last_ = now;
    visible_ = true;
    std::fprintf(stderr, "\r\x1b[K%s: %.1f of %zu", what_.c_str(), done, total_);
    std::fflush(stderr);
}

void ProgressLine::clear() {
    if (!visible_) return;
    visible_ = false;
    std::fputs("\r\x1b[K", stderr);
    std::fflush(stderr);
}

}  // namespace realm
