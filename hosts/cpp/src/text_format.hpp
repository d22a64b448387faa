// Pieces of messages, written as the Python engine writes them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace realm {

// Python's repr() of a string: 'x', with the escapes of ASCII controls.
std::string in_quotes(std::string_view text);

// Words with ", " in between.
std::string joined(const std::vector<std::string>& words, std::string_view between = ", ");

// The text with U+FFFD for every byte that is not UTF-8.
std::string readable(std::string_view text);

// A cause in one line, at most 300 bytes.
std::string one_line(std::string_view text);

// What strerror says, without its static buffer.
std::string system_message(int error_number);

}  // namespace realm
