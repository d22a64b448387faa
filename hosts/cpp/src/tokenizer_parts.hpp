// The steps of a tokenizer: normalise, cut into words, cut words into tokens.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "json.hpp"

namespace realm {

// Thrown while reading a tokenizer file; the reason without the file's name.
struct Unsupported {
    std::string reason;
};

using Normalizer = std::function<std::u32string(std::u32string)>;
using Words = std::vector<std::u32string>;
using PreTokenizer = std::function<Words(const std::u32string&)>;
using Ids = std::vector<std::int64_t>;

// Throw Unsupported, or nlohmann's exceptions where a field is missing or of the wrong kind.
Normalizer make_normalizer(const Json& description);
// Sets `byte_level` where words are bytes written as GPT-2's printable characters.
PreTokenizer make_pre_tokenizer(const Json& description, bool& byte_level);

class Model {
public:
    Model() = default;
    virtual ~Model() = default;
    Model(const Model&) = delete;
    Model& operator=(const Model&) = delete;
    virtual void append(const std::u32string& word, Ids& ids) const = 0;
};

std::unique_ptr<const Model> make_word_piece(const Json& description);
std::unique_ptr<const Model> make_bpe(const Json& description);

// "vocab" of a model: token -> id. Throws Unsupported for ids below 0 or beyond 2^31.
std::unordered_map<std::string, std::int64_t> read_vocabulary(const Json& description);

}  // namespace realm
