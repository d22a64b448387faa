#include "tokenizer.hpp"

#include <optional>
#include <utility>

#include "json.hpp"
#include "limits.hpp"
#include "realm/error.hpp"
#include "text_format.hpp"
#include "tokenizer_parts.hpp"
#include "unicode.hpp"

namespace realm {
namespace {


struct AddedToken {
    std::string content;
    std::int64_t id;
};

std::int64_t token_id(const Json& value) {
    if (!value.is_number_integer() || value < 0 || value > 0x7FFFFFFF) throw Unsupported{"a token id out of range"};
    return value.get<std::int64_t>();
}

std::vector<AddedToken> read_added(const Json& list) {
    std::vector<AddedToken> tokens;
    for (const Json& each : list) {
        for (const char* flag : {"single_word", "lstrip", "rstrip", "normalized"})
            if (each.at(flag).get<bool>())
                throw Unsupported{"added token " + in_quotes(each.at("content").get<std::string>()) + " is '" + flag +
                                  "'"};
        tokens.push_back({each.at("content").get<std::string>(), token_id(each.at("id"))});
        if (tokens.back().content.empty()) throw Unsupported{"an added token is empty"};
    }
    return tokens;
}

// What the template puts before and after the ids of a text.
struct Template {
    Ids before, after;
};

Template read_template(const Json& description) {
    Template result;
    if (description.is_null()) return result;
    if (description.at("type") != "TemplateProcessing")
        throw Unsupported{"post-processor " + in_quotes(description.at("type").get<std::string>())};
    bool seen = false;
    for (const Json& piece : description.at("single")) {
        if (piece.contains("Sequence")) {
            if (std::exchange(seen, true) || piece["Sequence"].at("id") != "A")
                throw Unsupported{"a template that repeats its text"};
            continue;
        }
        const auto name = piece.at("SpecialToken").at("id").get<std::string>();
        Ids& side = seen ? result.after : result.before;
        for (const Json& id : description.at("special_tokens").at(name).at("ids")) side.push_back(token_id(id));
    }
    if (!seen) throw Unsupported{"a template without its text"};
    return result;
}

}  // namespace

struct Tokenizer::Parts {
    std::vector<AddedToken> added;
    Normalizer normalize;
    PreTokenizer split;
    std::unique_ptr<const Model> model;
    Template frame;

    // The longest added token at a place of the text as it was given, null where there is none.
    const AddedToken* added_at(std::string_view text) const {
        const AddedToken* best = nullptr;
        for (const AddedToken& token : added)
            if (text.substr(0, token.content.size()) == token.content &&
                (best == nullptr || token.content.size() > best->content.size()))
                best = &token;
        return best;
    }

    void append_plain(std::string_view utf8, Ids& ids) const {
        if (utf8.empty()) return;
        for (const std::u32string& word : split(normalize(unicode::decode(utf8).value())))
            if (!word.empty()) model->append(word, ids);
    }
};

Tokenizer::Tokenizer(const std::string& json, const std::string& where) {
    const auto refuse = [&](const std::string& what) {
        return BundleError(where + ": " + what + "; export the bundle again");
    };
    if (const std::string problem = json_problem(json, limits::kTokenizerMembers); !problem.empty())
        throw refuse("not a tokenizer file (" + problem + ")");
    auto parts = std::make_unique<Parts>();
    try {
        const Json file = Json::parse(json);
        parts->added = read_added(file.at("added_tokens"));
        parts->normalize = make_normalizer(file.at("normalizer"));
        bool byte_level = false;
        parts->split = make_pre_tokenizer(file.at("pre_tokenizer"), byte_level);
        parts->frame = read_template(file.at("post_processor"));
        const Json& model = file.at("model");
        const auto kind = model.at("type").get<std::string>();
        if (kind == "WordPiece" && !byte_level) {
            parts->model = make_word_piece(model);
        } else if (kind == "BPE" && byte_level) {
            parts->model = make_bpe(model);
        } else {
            throw Unsupported{"model " + in_quotes(kind) + (byte_level ? " on bytes" : " on characters")};
        }
    } catch (const Unsupported& problem) {
        throw refuse("this host reads WordPiece and byte-level BPE as bundles hold them, not " + problem.reason);
    } catch (const Json::exception& error) {
        throw refuse("not a tokenizer file (" + one_line(error.what()) + ")");
    }
    parts_ = std::move(parts);
}

Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

Encoding Tokenizer::encode(std::string_view utf8) const {
    if (const std::size_t at = unicode::invalid_at(utf8); at != std::string_view::npos)
        throw TextError("the text is not UTF-8 (byte " + std::to_string(at) + "); encode it as UTF-8");
    Encoding result;
    result.ids = parts_->frame.before;
    // Added tokens count wherever they stand in the text; what is between them is tokenised by itself.
    std::size_t plain = 0;
    for (std::size_t at = 0; at < utf8.size();) {
        const AddedToken* token = parts_->added_at(utf8.substr(at));
        if (token == nullptr) {
            ++at;
            continue;
        }
        parts_->append_plain(utf8.substr(plain, at - plain), result.ids);
        result.ids.push_back(token->id);
        at += token->content.size();
        plain = at;
    }
    parts_->append_plain(utf8.substr(plain), result.ids);
    const Ids& after = parts_->frame.after;
    result.ids.insert(result.ids.end(), after.begin(), after.end());
    // A template that only opens has its special token last in an empty text, as the library's mask says.
    const bool only_frame = result.ids.size() == parts_->frame.before.size() + after.size();
    result.closed = !after.empty() || (only_frame && !parts_->frame.before.empty());
    return result;
}

}  // namespace realm
