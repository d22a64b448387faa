// WordPiece and BPE.
#include <queue>
#include <utility>

#include "text_format.hpp"
#include "tokenizer_parts.hpp"
#include "unicode.hpp"

namespace realm {
namespace {

constexpr std::size_t kMaxWordChars = 1000;  // of WordPiece: its search is quadratic in a word's length

class WordPiece final : public Model {
public:
    explicit WordPiece(const Json& description)
        : vocabulary_(read_vocabulary(description)),
          prefix_(description.at("continuing_subword_prefix").get<std::string>()),
          longest_(0) {
        const Json& longest = description.at("max_input_chars_per_word");
        if (!longest.is_number_integer() || longest < 1 || longest > kMaxWordChars)
            throw Unsupported{"words of " + one_line(longest.dump()) + " characters"};
        longest_ = longest.get<std::size_t>();
        const auto unknown = vocabulary_.find(description.at("unk_token").get<std::string>());
        if (unknown == vocabulary_.end()) throw Unsupported{"a vocabulary without its unknown token"};
        unknown_ = unknown->second;
    }

    // The longest piece of the vocabulary first; a word with any part outside the vocabulary is unknown.
    void append(const std::u32string& word, Ids& ids) const override {
        if (word.size() > longest_) {
            ids.push_back(unknown_);
            return;
        }
        Ids pieces;
        std::string piece;
        std::vector<std::size_t> ends;  // of every prefix of the rest, in bytes
        for (std::size_t start = 0; start < word.size();) {
            piece = start > 0 ? prefix_ : std::string{};
            ends.clear();
            for (std::size_t at = start; at < word.size(); ++at) {
                unicode::append(piece, word[at]);
                ends.push_back(piece.size());
            }
            auto found = vocabulary_.end();
            for (; !ends.empty(); ends.pop_back()) {
                piece.resize(ends.back());
                found = vocabulary_.find(piece);
                if (found != vocabulary_.end()) break;
            }
            if (ends.empty()) {
                ids.push_back(unknown_);
                return;
            }
            pieces.push_back(found->second);
            start += ends.size();
        }
        ids.insert(ids.end(), pieces.begin(), pieces.end());
    }

private:
    std::unordered_map<std::string, std::int64_t> vocabulary_;
    std::string prefix_;
    std::size_t longest_;
    std::int64_t unknown_ = 0;
};

bool absent(const Json& description, const char* key) {
    return !description.contains(key) || description[key].is_null() || description[key] == "" ||
           description[key] == false;
}

std::uint64_t pair_key(std::int64_t left, std::int64_t right) {
    return static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint64_t>(right);
}

class Bpe final : public Model {
public:
    explicit Bpe(const Json& description) {
        for (const char* key : {"dropout", "continuing_subword_prefix", "fuse_unk", "byte_fallback", "ignore_merges"})
            if (!absent(description, key)) throw Unsupported{std::string("BPE with '") + key + "'"};
        const auto vocabulary = read_vocabulary(description);
        const auto id_of = [&](const std::string& token) {
            const auto found = vocabulary.find(token);
            if (found == vocabulary.end()) throw Unsupported{"a vocabulary without " + in_quotes(token)};
            return found->second;
        };
        if (!absent(description, "unk_token")) unknown_ = id_of(description["unk_token"].get<std::string>());
        const std::string suffix =
            absent(description, "end_of_word_suffix") ? "" : description["end_of_word_suffix"].get<std::string>();
        for (const auto& [token, id] : vocabulary) {
            const auto chars = unicode::decode(token);
            if (!chars) continue;
            if (chars->size() == 1) inner_.emplace(chars->front(), id);
            // One character with the suffix ends a word; without a suffix every character may.
            const auto stem = token.size() > suffix.size() ? token.size() - suffix.size() : 0;
            if (stem > 0 && token.compare(stem, suffix.size(), suffix) == 0) {
                const auto body = unicode::decode(token.substr(0, stem));
                if (body && body->size() == 1) last_.emplace(body->front(), id);
            }
        }
        std::uint32_t rank = 0;
        for (const Json& merge : description.at("merges")) {
            std::string left, right;
            if (merge.is_array() && merge.size() == 2) {
                left = merge[0].get<std::string>();
                right = merge[1].get<std::string>();
            } else {  // the older form, "left right"
                const auto text = merge.get<std::string>();
                const std::size_t space = text.find(' ');
                if (space == std::string::npos) throw Unsupported{"the merge " + in_quotes(text)};
                left = text.substr(0, space);
                right = text.substr(space + 1);
            }
            // Of a pair that stands twice the last rank counts, as in the library.
            merges_[pair_key(id_of(left), id_of(right))] = {rank++, id_of(left + right)};
        }
    }

    void append(const std::u32string& word, Ids& ids) const override {
        struct Symbol {
            std::int64_t id;
            std::ptrdiff_t previous, next;
            bool alive;
        };
        std::vector<Symbol> symbols;
        symbols.reserve(word.size());
        for (std::size_t at = 0; at < word.size(); ++at) {
            const auto& table = at + 1 == word.size() ? last_ : inner_;
            const auto found = table.find(word[at]);
            const std::int64_t id = found != table.end() ? found->second : unknown_;
            if (id < 0) continue;
            const auto place = static_cast<std::ptrdiff_t>(symbols.size());
            symbols.push_back({id, place - 1, place + 1, true});
        }
        if (symbols.empty()) return;
        symbols.back().next = -1;
        const auto symbol = [&](std::ptrdiff_t at) -> Symbol& { return symbols[static_cast<std::size_t>(at)]; };
        // The pair that was learned first is merged first, of equal ones the leftmost.
        struct Candidate {
            std::uint32_t rank;
            std::ptrdiff_t at;
            std::int64_t left, right, whole;
            bool operator<(const Candidate& other) const {
                return rank != other.rank ? rank > other.rank : at > other.at;
            }
        };
        std::priority_queue<Candidate> queue;
        const auto consider = [&](std::ptrdiff_t at) {
            if (at < 0 || symbol(at).next < 0) return;
            const std::int64_t left = symbol(at).id, right = symbol(symbol(at).next).id;
            const auto found = merges_.find(pair_key(left, right));
            if (found != merges_.end()) queue.push({found->second.rank, at, left, right, found->second.whole});
        };
        for (std::size_t at = 0; at + 1 < symbols.size(); ++at) consider(static_cast<std::ptrdiff_t>(at));
        while (!queue.empty()) {
            const Candidate best = queue.top();
            queue.pop();
            Symbol& left = symbol(best.at);
            if (!left.alive || left.id != best.left || left.next < 0 || symbol(left.next).id != best.right) continue;
            Symbol& right = symbol(left.next);
            left.id = best.whole;
            left.next = right.next;
            right.alive = false;
            if (left.next >= 0) symbol(left.next).previous = best.at;
            consider(left.previous);
            consider(best.at);
        }
        for (std::ptrdiff_t at = 0; at >= 0; at = symbol(at).next) ids.push_back(symbol(at).id);
    }

private:
    struct Merge {
        std::uint32_t rank;
        std::int64_t whole;
    };
    std::unordered_map<char32_t, std::int64_t> inner_, last_;
    std::unordered_map<std::uint64_t, Merge> merges_;
    std::int64_t unknown_ = -1;
};

}  // namespace

std::unordered_map<std::string, std::int64_t> read_vocabulary(const Json& description) {
    const Json& vocab = description.at("vocab");
    if (!vocab.is_object()) throw Unsupported{"a vocabulary that is no object"};
    std::unordered_map<std::string, std::int64_t> vocabulary;
    vocabulary.reserve(vocab.size());
    for (const auto& [token, value] : vocab.items()) {
        if (!value.is_number_integer() || value < 0 || value > 0x7FFFFFFF)
            throw Unsupported{"a token id out of range"};
        vocabulary.emplace(token, value.get<std::int64_t>());
    }
    return vocabulary;
}

std::unique_ptr<const Model> make_word_piece(const Json& description) {
    return std::make_unique<WordPiece>(description);
}

std::unique_ptr<const Model> make_bpe(const Json& description) { return std::make_unique<Bpe>(description); }

}  // namespace realm
