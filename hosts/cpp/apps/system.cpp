#include "system.hpp"

#include <algorithm>
#include <csignal>
#include <fstream>
#include <thread>

#ifdef _WIN32
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
// after windows.h
#include <io.h>
#include <shellapi.h>
#include <stdio.h>
#else
#include <sys/resource.h>
#include <unistd.h>
#endif

namespace host {

std::filesystem::path path_of(const std::string& text) { return std::filesystem::u8path(text); }
std::string text_of(const std::filesystem::path& path) { return path.u8string(); }

#ifdef _WIN32

// Those that main() gets are in the old code page of the machine, which lacks most characters.
std::vector<std::string> arguments(int, char**) {
    int count = 0;
    wchar_t** const words = ::CommandLineToArgvW(::GetCommandLineW(), &count);
    std::vector<std::string> found;
    for (int at = 1; at < count; ++at) found.push_back(text_of(words[at]));
    ::LocalFree(words);
    return found;
}

void prepare_streams() { ::SetConsoleOutputCP(CP_UTF8); }

bool is_seen() { return ::_isatty(::_fileno(stdout)) != 0; }

void hold_within(std::uint64_t, std::uint64_t) {}

#else

std::vector<std::string> arguments(int count, char** words) { return {words + std::min(1, count), words + count}; }

void prepare_streams() { std::signal(SIGPIPE, SIG_DFL); }

bool is_seen() { return ::isatty(STDOUT_FILENO) == 1; }

void hold_within(std::uint64_t bytes, std::uint64_t stack) {
    // What is mapped counts, used or not: the limit is on what comes on top of what there is.
    std::uint64_t pages = 0, resident = 0, shared = 0, text = 0, library = 0, data = 0;
    std::ifstream statm("/proc/self/statm");
    if (!(statm >> pages >> resident >> shared >> text >> library >> data)) return;
    const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    bytes -= std::min(bytes, resident * page);
    rlimit limit{};
    if (::getrlimit(RLIMIT_DATA, &limit) != 0) return;
    const std::uint64_t threads = std::max(1U, std::thread::hardware_concurrency()) + 4;
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, static_cast<rlim_t>(data * page + bytes + threads * stack));
    ::setrlimit(RLIMIT_DATA, &limit);
}

#endif

}  // namespace host
