// Normalisers and pre-tokenizers.
#include <algorithm>
#include <array>
#include <utility>

#include "realm/error.hpp"
#include "text_format.hpp"
#include "tokenizer_parts.hpp"
#include "unicode.hpp"

namespace realm {
namespace {

using unicode::is;

[[noreturn]] void unsupported(const std::string& what) { throw Unsupported{what}; }

bool is_hex(char each) {
    return (each >= '0' && each <= '9') || (each >= 'a' && each <= 'f') || (each >= 'A' && each <= 'F');
}

// A class of single code points and ranges, written with \xHH and \uHHHH escapes: "[\u2018-\u201B]".
class CharClass {
public:
    static bool parse(const std::string& pattern, CharClass& result) {
        if (pattern.size() < 3 || pattern.front() != '[' || pattern.back() != ']') return false;
        const std::string inside = pattern.substr(1, pattern.size() - 2);
        std::size_t at = 0;
        while (at < inside.size()) {
            char32_t first = 0, last = 0;
            if (!read(inside, at, first)) return false;
            last = first;
            if (at < inside.size() && inside[at] == '-') {
                ++at;
                if (!read(inside, at, last)) return false;
            }
            if (last < first) return false;
            result.ranges_.emplace_back(first, last);
        }
        return true;
    }

    bool holds(char32_t code) const {
        return std::any_of(ranges_.begin(), ranges_.end(),
                           [&](const auto& range) { return code >= range.first && code <= range.second; });
    }

private:
    static bool read(const std::string& text, std::size_t& at, char32_t& code) {
        if (text.size() - at < 2 || text[at] != '\\') return false;
        const std::size_t digits = text[at + 1] == 'x' ? 2 : text[at + 1] == 'u' ? 4 : 0;
        if (digits == 0 || text.size() - at - 2 < digits) return false;
        const std::string number = text.substr(at + 2, digits);
        if (!std::all_of(number.begin(), number.end(), is_hex)) return false;
        code = static_cast<char32_t>(std::stoul(number, nullptr, 16));
        at += 2 + digits;
        return true;
    }

    std::vector<std::pair<char32_t, char32_t>> ranges_;
};

// Terminal escapes first, then controls alone: the pattern that export/towers/tokenizer.py writes.
constexpr const char* kControls = "\\x1B\\[[0-9;]*[A-Za-z]|[\\x00-\\x08\\x0B\\x0E-\\x1F\\x7F\\uFEFF]";

std::size_t terminal_escape(const std::u32string& text, std::size_t at) {
    if (text[at] != 0x1B || at + 1 >= text.size() || text[at + 1] != U'[') return 0;
    std::size_t end = at + 2;
    while (end < text.size() && ((text[end] >= U'0' && text[end] <= U'9') || text[end] == U';')) ++end;
    const bool letter = end < text.size() && ((text[end] >= U'A' && text[end] <= U'Z') ||
                                              (text[end] >= U'a' && text[end] <= U'z'));
    return letter ? end + 1 - at : 0;
}

bool is_control(char32_t code) {
    return code <= 8 || code == 0x0B || (code >= 0x0E && code <= 0x1F) || code == 0x7F || code == 0xFEFF;
}

constexpr std::size_t kMostCharacters = std::size_t{1} << 22;  // of a text that replacements make longer

void check_growth(const std::u32string& text) {
    if (text.size() > kMostCharacters) throw BundleError("tokenizer.json: its replacements make a text longer and longer; export the bundle again");
}

std::u32string replace_literal(std::u32string text, const std::u32string& from, const std::u32string& to) {
    std::size_t at = text.find(from);
    if (at == std::u32string::npos) return text;
    std::u32string result;
    std::size_t copied = 0;
    for (; at != std::u32string::npos; at = text.find(from, copied)) {
        result.append(text, copied, at - copied).append(to);
        copied = at + from.size();
        check_growth(result);
    }
    return result.append(text, copied);
}

// Replaces every match: `match` gives the length of one that starts at a place, 0 where there is none.
template <typename Match>
std::u32string replace_matches(const std::u32string& text, const std::u32string& to, Match&& match) {
    std::u32string result;
    result.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        if (const std::size_t length = match(text, at); length > 0) {
            result += to;
            at += length;
            check_growth(result);
        } else {
            result += text[at++];
        }
    }
    return result;
}

Normalizer make_replace(const Json& description) {
    const auto to = unicode::decode(description.at("content").get<std::string>()).value_or(U"");
    const Json& pattern = description.at("pattern");
    if (pattern.contains("String")) {
        const auto from = unicode::decode(pattern["String"].get<std::string>()).value_or(U"");
        if (from.empty()) unsupported("a replacement of nothing");
        return [from, to](std::u32string text) { return replace_literal(std::move(text), from, to); };
    }
    const auto regex = pattern.at("Regex").get<std::string>();
    if (regex == "\\s+")
        return [to](const std::u32string& text) {
            return replace_matches(text, to, [](const std::u32string& in, std::size_t at) {
                std::size_t end = at;
                while (end < in.size() && is(in[end], unicode::kRegexSpace)) ++end;
                return end - at;
            });
        };
    if (regex == kControls)
        return [to](const std::u32string& text) {
            return replace_matches(text, to, [](const std::u32string& in, std::size_t at) {
                const std::size_t escape = terminal_escape(in, at);
                return escape > 0 ? escape : std::size_t{is_control(in[at])};
            });
        };
    CharClass chars;
    if (!CharClass::parse(regex, chars)) unsupported("the regular expression " + in_quotes(regex));
    return [to, chars](const std::u32string& text) {
        return replace_matches(text, to, [&](const std::u32string& in, std::size_t at) {
            return std::size_t{chars.holds(in[at])};
        });
    };
}

Normalizer make_bert(const Json& description) {
    const bool clean = description.at("clean_text").get<bool>();
    const bool chinese = description.at("handle_chinese_chars").get<bool>();
    const bool lower = description.at("lowercase").get<bool>();
    const Json& accents = description.at("strip_accents");
    const bool strip = accents.is_null() ? lower : accents.get<bool>();
    return [=](std::u32string text) {
        std::u32string result;
        result.reserve(text.size());
        for (const char32_t code : text) {
            if (clean && is(code, unicode::kControl)) continue;
            const char32_t kept = clean && is(code, unicode::kWhite) ? U' ' : code;
            const bool alone = chinese && is(kept, unicode::kChinese);
            if (alone) result += U' ';
            result += kept;
            if (alone) result += U' ';
        }
        if (strip) {
            result = unicode::nfd(result);
            result.erase(std::remove_if(result.begin(), result.end(),
                                        [](char32_t code) { return is(code, unicode::kMark); }),
                         result.end());
        }
        return lower ? unicode::lower(result) : result;
    };
}

// ---- words

Words bert_words(const std::u32string& text) {
    Words words;
    std::u32string word;
    const auto finish = [&] {
        if (!word.empty()) words.push_back(std::move(word));
        word.clear();
    };
    for (const char32_t code : text) {
        if (is(code, unicode::kWhite)) {
            finish();
        } else if (is(code, unicode::kPunctuation)) {
            finish();
            words.emplace_back(1, code);
        } else {
            word += code;
        }
    }
    finish();
    return words;
}

std::size_t contraction(const std::u32string& text, std::size_t at) {
    static const std::array<std::u32string, 7> kEndings{U"'s", U"'t", U"'re", U"'ve", U"'m", U"'ll", U"'d"};
    for (const std::u32string& ending : kEndings)
        if (text.compare(at, ending.size(), ending) == 0) return ending.size();
    return 0;
}

bool is_letter(char32_t code) { return is(code, unicode::kLetter); }
bool is_number(char32_t code) { return is(code, unicode::kNumber); }
bool is_space(char32_t code) { return is(code, unicode::kRegexSpace); }
bool is_other(char32_t code) {
    return (unicode::kinds(code) & (unicode::kLetter | unicode::kNumber | unicode::kRegexSpace)) == 0;
}

std::size_t run(const std::u32string& text, std::size_t at, bool (*fits)(char32_t)) {
    std::size_t end = at;
    while (end < text.size() && fits(text[end])) ++end;
    return end - at;
}

constexpr const char* kClipPattern =
    "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+";

// The matches of CLIP's pattern; what is between them (white space) is dropped.
Words clip_words(const std::u32string& text) {
    Words words;
    for (std::size_t at = 0; at < text.size();) {
        std::size_t length = contraction(text, at);
        if (length == 0) length = run(text, at, is_letter);
        if (length == 0) length = std::size_t{is_number(text[at])};
        if (length == 0) length = run(text, at, is_other);
        if (length > 0) words.push_back(text.substr(at, length));
        at += std::max<std::size_t>(length, 1);
    }
    return words;
}

// GPT-2's pattern: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
Words gpt2_words(const std::u32string& text) {
    Words words;
    for (std::size_t at = 0; at < text.size();) {
        std::size_t length = contraction(text, at);
        const std::size_t gap = text[at] == U' ' && at + 1 < text.size() ? 1 : 0;
        for (bool (*fits)(char32_t) : {is_letter, is_number, is_other}) {
            if (length > 0) break;
            const std::size_t found = run(text, at + gap, fits);
            if (found > 0) length = gap + found;
        }
        if (length == 0) {  // white space: the last one before a word belongs to nobody else
            length = run(text, at, is_space);
            if (at + length < text.size() && length > 1) --length;
        }
        words.push_back(text.substr(at, length));
        at += length;
    }
    return words;
}

// GPT-2's printable stand-in for every byte.
const std::array<char32_t, 256>& byte_symbols() {
    static const std::array<char32_t, 256> table = [] {
        std::array<char32_t, 256> made{};
        char32_t next = 256;
        for (char32_t byte = 0; byte < made.size(); ++byte) {
            const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
            made[byte] = printable ? byte : next++;
        }
        return made;
    }();
    return table;
}

std::u32string to_bytes(const std::u32string& word) {
    std::u32string result;
    for (const char byte : unicode::encode(word)) result += byte_symbols()[static_cast<unsigned char>(byte)];
    return result;
}

PreTokenizer make_byte_level(const Json& description) {
    const bool prefix = description.at("add_prefix_space").get<bool>();
    const bool split = !description.contains("use_regex") || description["use_regex"].get<bool>();
    if (prefix) unsupported("a pre-tokenizer with 'add_prefix_space'");
    return [split](const std::u32string& text) {
        Words words = split ? gpt2_words(text) : Words{text};
        for (std::u32string& word : words) word = to_bytes(word);
        return words;
    };
}

}  // namespace

Normalizer make_normalizer(const Json& description) {
    if (description.is_null()) return [](std::u32string text) { return text; };
    const auto kind = description.at("type").get<std::string>();
    if (kind == "Sequence") {
        std::vector<Normalizer> steps;
        for (const Json& each : description.at("normalizers")) steps.push_back(make_normalizer(each));
        return [steps](std::u32string text) {
            for (const Normalizer& step : steps) text = step(std::move(text));
            return text;
        };
    }
    if (kind == "BertNormalizer") return make_bert(description);
    if (kind == "Replace") return make_replace(description);
    if (kind == "Lowercase") return [](const std::u32string& text) { return unicode::lower(text); };
    if (kind == "NFC") return [](const std::u32string& text) { return unicode::nfc(text); };
    if (kind == "NFD") return [](const std::u32string& text) { return unicode::nfd(text); };
    unsupported("normaliser " + in_quotes(kind));
}

PreTokenizer make_pre_tokenizer(const Json& description, bool& byte_level) {
    const auto kind = description.at("type").get<std::string>();
    if (kind == "BertPreTokenizer") return bert_words;
    if (kind == "ByteLevel") {
        byte_level = true;
        return make_byte_level(description);
    }
    if (kind == "Split") {
        if (!description.at("pattern").contains("Regex") || description["pattern"]["Regex"] != kClipPattern ||
            description.at("behavior") != "Removed" || description.at("invert") != true)
            unsupported("a split by " + one_line(description.at("pattern").dump()));
        return clip_words;
    }
    if (kind == "Sequence") {
        std::vector<PreTokenizer> steps;
        for (const Json& each : description.at("pretokenizers")) {
            if (byte_level) unsupported("a pre-tokenizer after the bytes");
            steps.push_back(make_pre_tokenizer(each, byte_level));
        }
        return [steps](const std::u32string& text) {
            Words words{text};
            for (const PreTokenizer& step : steps) {
                Words next;
                for (const std::u32string& word : words)
                    for (std::u32string& piece : step(word)) next.push_back(std::move(piece));
                words = std::move(next);
            }
            return words;
        };
    }
    unsupported("pre-tokenizer " + in_quotes(kind));
}

}  // namespace realm
