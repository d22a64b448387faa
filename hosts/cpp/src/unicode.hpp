// What the tokenizers need to know about Unicode: kinds of code points, lower case, normal forms, UTF-8.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace realm::unicode {

// Kinds, as the `tokenizers` library judges them (its parts follow different versions of Unicode).
enum Kind : std::uint8_t {
    kControl = 1 << 0,      // what BERT's clean_text removes
    kWhite = 1 << 1,        // white space that separates words
    kMark = 1 << 2,         // non-spacing mark: an accent that stands alone
    kPunctuation = 1 << 3,  // a word of its own for BERT
    kChinese = 1 << 4,      // a CJK ideograph, a word of its own for BERT
    kLetter = 1 << 5,       // \p{L}
    kNumber = 1 << 6,       // \p{N}
    kRegexSpace = 1 << 7,   // \s
};

std::uint8_t kinds(char32_t code);
inline bool is(char32_t code, Kind kind) { return (kinds(code) & kind) != 0; }

// Lower case of every code point by itself, as Rust's char::to_lowercase (no final sigma, no language).
std::u32string lower(const std::u32string& text);
std::u32string nfd(const std::u32string& text);
std::u32string nfc(const std::u32string& text);

// Code points of UTF-8; nothing where the bytes are not UTF-8 (overlong forms and surrogates are not).
std::optional<std::u32string> decode(std::string_view utf8);
// Position of the first byte that is not UTF-8, npos where all are.
std::size_t invalid_at(std::string_view utf8);
std::string encode(const std::u32string& text);
void append(std::string& utf8, char32_t code);

// White space as Python's str.isspace counts it; bytes that are not UTF-8 are none.
bool is_blank(std::string_view utf8);
std::string_view strip(std::string_view utf8);

}  // namespace realm::unicode
