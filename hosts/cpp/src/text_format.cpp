#include "text_format.hpp"

#include <cstdio>
#include <system_error>

#include "unicode.hpp"

namespace realm {

std::string in_quotes(std::string_view text) {
    const bool single = text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
    const char quote = single ? '"' : '\'';
    std::string result(1, quote);
    for (const char each : text) {
        const auto byte = static_cast<unsigned char>(each);
        if (each == quote || each == '\\') {
            result += '\\';
            result += each;
        } else if (each == '\n') {
            result += "\\n";
        } else if (each == '\r') {
            result += "\\r";
        } else if (each == '\t') {
            result += "\\t";
        } else if (byte < 0x20 || byte == 0x7F) {
            char escape[8];
            std::snprintf(escape, sizeof escape, "\\x%02x", byte);
            result += escape;
        } else {
            result += each;
        }
    }
    return result + quote;
}

std::string joined(const std::vector<std::string>& words, std::string_view between) {
    std::string result;
    for (const std::string& word : words) {
        if (!result.empty()) result += between;
        result += word;
    }
    return result;
}

std::string readable(std::string_view text) {
    std::string result;
    for (;;) {
        const std::size_t bad = unicode::invalid_at(text);
        result += text.substr(0, bad);
        if (bad == std::string_view::npos) return result;
        unicode::append(result, 0xFFFD);
        text.remove_prefix(bad + 1);
    }
}

std::string one_line(std::string_view given) {
    constexpr std::size_t kLongest = 300;
    const std::string text = readable(given.substr(0, 4 * kLongest));
    std::string result;
    bool gap = false;
    for (const char each : text) {
        if (static_cast<unsigned char>(each) <= ' ') {
            gap = true;
            continue;
        }
        if (gap && !result.empty()) result += ' ';
        gap = false;
        result += each;
    }
    return result.size() <= kLongest ? result : readable(result.substr(0, kLongest - 3)) + "...";
}

std::string system_message(int error_number) { return std::generic_category().message(error_number); }

}  // namespace realm
