// What the programs write: tables, files that are complete or not there, remarks and progress on stderr.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace realm {

// One line to the user, on stderr: stdout holds results only.
void say(const std::string& line);

// A line of CSV as Python's csv module writes it, with its line end.
std::string csv_line(const std::vector<std::string>& fields);
std::string fixed(double value, int decimals);

// Throw OutputError where nothing can be written there.
void check_folder(const std::string& folder);
void check_table(const std::string& path, const std::vector<std::string>& keep);
// Under a temporary name first, then renamed.
void write_atomically(const std::string& path, std::string_view content);

// How far the work is: a line that is written over on a terminal, nothing elsewhere.
class ProgressLine {
public:
    ProgressLine(std::string what, std::size_t total, bool shown = true);
    ~ProgressLine();
    ProgressLine(const ProgressLine&) = delete;
    ProgressLine& operator=(const ProgressLine&) = delete;
    void show(double done);
    void clear();  // before another line is said

private:
    std::string what_;
    std::size_t total_;
    bool shown_;
    bool visible_ = false;
    std::chrono::steady_clock::time_point last_{};
};

}  // namespace realm
