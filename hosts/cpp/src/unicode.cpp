#include "unicode.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <unordered_map>
#include <vector>

namespace realm::unicode {
namespace {

struct Run {
    std::uint32_t first;
    std::uint32_t value;
};
struct Decomposition {
    std::uint32_t code, first, second, composes;
};
struct Lower {
    std::uint32_t code, lower;
};
#include "unicode_tables.inc"

// Hangul syllables are put together by arithmetic (Unicode, section 3.12).
constexpr char32_t kSyllables = 0xAC00, kLeads = 0x1100, kVowels = 0x1161, kTails = 0x11A7;
constexpr char32_t kLeadCount = 19, kVowelCount = 21, kTailCount = 28;
constexpr char32_t kSyllableCount = kLeadCount * kVowelCount * kTailCount;
constexpr char32_t kCapitalDottedI = 0x130, kCombiningDot = 0x307;

template <std::size_t N>
std::uint32_t value_at(const Run (&runs)[N], char32_t code) {
    const auto* after = std::upper_bound(std::begin(runs), std::end(runs), static_cast<std::uint32_t>(code),
                                         [](std::uint32_t wanted, const Run& run) { return wanted < run.first; });
    return after == std::begin(runs) ? 0 : std::prev(after)->value;
}

std::uint32_t combining_class(char32_t code) { return code < 0x300 ? 0 : value_at(kCombiningRuns, code); }

template <typename Row, std::size_t N>
const Row* find(const Row (&rows)[N], char32_t code) {
    const auto* row = std::lower_bound(std::begin(rows), std::end(rows), static_cast<std::uint32_t>(code),
                                       [](const Row& each, std::uint32_t wanted) { return each.code < wanted; });
    return row != std::end(rows) && row->code == code ? row : nullptr;
}

void decompose(char32_t code, std::u32string& out) {
    if (code < 0xC0) {
        out.push_back(code);
        return;
    }
    if (code >= kSyllables && code < kSyllables + kSyllableCount) {
        const char32_t index = code - kSyllables;
        out.push_back(kLeads + index / (kVowelCount * kTailCount));
        out.push_back(kVowels + index % (kVowelCount * kTailCount) / kTailCount);
        if (index % kTailCount != 0) out.push_back(kTails + index % kTailCount);
        return;
    }
    const Decomposition* row = find(kDecompositions, code);
    if (row == nullptr) {
        out.push_back(code);
        return;
    }
    decompose(row->first, out);
    if (row->second != 0) decompose(row->second, out);
}

char32_t compose(char32_t first, char32_t second) {
    static const std::unordered_map<std::uint64_t, char32_t> pairs = [] {
        std::unordered_map<std::uint64_t, char32_t> made;
        for (const Decomposition& row : kDecompositions)
            if (row.composes != 0) made.emplace(std::uint64_t{row.first} << 32 | row.second, row.code);
        return made;
    }();
    if (first >= kLeads && first < kLeads + kLeadCount && second >= kVowels && second < kVowels + kVowelCount)
        return kSyllables + ((first - kLeads) * kVowelCount + (second - kVowels)) * kTailCount;
    if (first >= kSyllables && first < kSyllables + kSyllableCount && (first - kSyllables) % kTailCount == 0 &&
        second > kTails && second < kTails + kTailCount)
        return first + (second - kTails);
    const auto found = pairs.find(std::uint64_t{first} << 32 | second);
    return found == pairs.end() ? 0 : found->second;
}

// Length of the valid UTF-8 sequence at the start of `bytes`, and its code point; 0 where there is none.
std::size_t decode_one(std::string_view bytes, char32_t& code) {
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(bytes[at]); };
    const unsigned lead = byte(0);
    if (lead < 0x80) {
        code = lead;
        return 1;
    }
    const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || bytes.size() < length) return 0;
    code = lead & (0x7Fu >> length);
    for (std::size_t at = 1; at < length; ++at) {
        if ((byte(at) & 0xC0u) != 0x80u) return 0;
        code = code << 6 | (byte(at) & 0x3Fu);
    }
    constexpr std::array<char32_t, 5> kLeast{0, 0, 0x80, 0x800, 0x10000};
    const bool surrogate = code >= 0xD800 && code < 0xE000;
    return code < kLeast[length] || code > 0x10FFFF || surrogate ? 0 : length;
}

bool python_space(char32_t code) { return is(code, kWhite) || (code >= 0x1C && code <= 0x1F); }

}  // namespace

std::uint8_t kinds(char32_t code) {
    static const std::array<std::uint8_t, 256> latin = [] {
        std::array<std::uint8_t, 256> table{};
        for (char32_t each = 0; each < table.size(); ++each)
            table[each] = static_cast<std::uint8_t>(value_at(kFlagRuns, each));
        return table;
    }();
    return code < latin.size() ? latin[code] : static_cast<std::uint8_t>(value_at(kFlagRuns, code));
}

std::u32string lower(const std::u32string& text) {
    std::u32string result;
    result.reserve(text.size());
    for (const char32_t code : text) {
        if (code == kCapitalDottedI) {
            result += U'i';
            result += kCombiningDot;
        } else if (code < 0x80) {
            result += code >= U'A' && code <= U'Z' ? code + 32 : code;
        } else {
            const Lower* row = find(kLowerCase, code);
            result += row == nullptr ? code : static_cast<char32_t>(row->lower);
        }
    }
    return result;
}

std::u32string nfd(const std::u32string& text) {
    std::u32string result;
    result.reserve(text.size());
    for (const char32_t code : text) decompose(code, result);
    // Canonical order: stretches of marks stably sorted by class. Classes are looked up once.
    std::vector<std::pair<std::uint32_t, char32_t>> marks;
    for (std::size_t at = 0; at < result.size();) {
        marks.clear();
        std::size_t end = at;
        for (; end < result.size(); ++end) {
            const std::uint32_t order = combining_class(result[end]);
            if (order == 0) break;
            marks.emplace_back(order, result[end]);
        }
        std::stable_sort(marks.begin(), marks.end(),
                         [](const auto& one, const auto& other) { return one.first < other.first; });
        for (std::size_t index = 0; index < marks.size(); ++index) result[at + index] = marks[index].second;
        at = std::max(end, at + 1);
    }
    return result;
}

std::u32string nfc(const std::u32string& text) {
    const std::u32string apart = nfd(text);
    std::u32string result;
    result.reserve(apart.size());
    std::size_t starter = std::u32string::npos;
    std::uint32_t last_class = 0;
    for (const char32_t code : apart) {
        const std::uint32_t own = combining_class(code);
        if (starter != std::u32string::npos) {
            // Blocked where a mark of the same or a higher class, or another starter, stands in between.
            const bool adjacent = starter + 1 == result.size();
            if (adjacent || last_class < own) {
                if (const char32_t whole = compose(result[starter], code); whole != 0 && (adjacent || own != 0)) {
                    result[starter] = whole;
                    continue;
                }
            }
        }
        if (own == 0) starter = result.size();
        last_class = own;
        result += code;
    }
    return result;
}

std::optional<std::u32string> decode(std::string_view utf8) {
    std::u32string text;
    text.reserve(utf8.size());
    while (!utf8.empty()) {
        char32_t code = 0;
        const std::size_t length = decode_one(utf8, code);
        if (length == 0) return std::nullopt;
        text += code;
        utf8.remove_prefix(length);
    }
    return text;
}

std::size_t invalid_at(std::string_view utf8) {
    for (std::size_t at = 0; at < utf8.size();) {
        char32_t code = 0;
        const std::size_t length = decode_one(utf8.substr(at), code);
        if (length == 0) return at;
        at += length;
    }
    return std::string_view::npos;
}

void append(std::string& utf8, char32_t code) {
    const auto put = [&](char32_t value) { utf8 += static_cast<char>(static_cast<unsigned char>(value)); };
    if (code < 0x80) {
        put(code);
    } else if (code < 0x800) {
        put(0xC0 | code >> 6);
        put(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        put(0xE0 | code >> 12);
        put(0x80 | (code >> 6 & 0x3F));
        put(0x80 | (code & 0x3F));
    } else {
        put(0xF0 | code >> 18);
        put(0x80 | (code >> 12 & 0x3F));
        put(0x80 | (code >> 6 & 0x3F));
        put(0x80 | (code & 0x3F));
    }
}

std::string encode(const std::u32string& text) {
    std::string utf8;
    utf8.reserve(text.size());
    for (const char32_t code : text) append(utf8, code);
    return utf8;
}

std::string_view strip(std::string_view utf8) {
    std::size_t begin = utf8.size(), end = 0;
    for (std::size_t at = 0; at < utf8.size();) {
        char32_t code = 0;
        const std::size_t length = decode_one(utf8.substr(at), code);
        const std::size_t step = std::max<std::size_t>(length, 1);
        if (length == 0 || !python_space(code)) {
            begin = std::min(begin, at);
            end = at + step;
        }
        at += step;
    }
    return begin < end ? utf8.substr(begin, end - begin) : std::string_view{};
}

bool is_blank(std::string_view utf8) { return strip(utf8).empty(); }

}  // namespace realm::unicode
