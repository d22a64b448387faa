// Text to token ids with a Hugging Face `tokenizers` JSON file, for the kinds that bundles hold.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace realm {

struct Encoding {
    std::vector<std::int64_t> ids;  // special tokens included
    bool closed = false;            // whether the last id is a special token that the template added
};

// WordPiece with BERT's normaliser and words, and byte-level BPE as GPT-2 or CLIP cut text. Immutable: may be
// used from several threads at once.
class Tokenizer {
public:
    // `json`: text of the file; `where` names it in errors. Padding and truncation in it are ignored, they are the
    // host's. Throws BundleError, one line, for anything that this class does not reproduce exactly.
    Tokenizer(const std::string& json, const std::string& where);
    ~Tokenizer();
    Tokenizer(Tokenizer&&) noexcept;
    Tokenizer& operator=(Tokenizer&&) noexcept;

    // Throws TextError where `utf8` is not UTF-8.
    Encoding encode(std::string_view utf8) const;

private:
    struct Parts;
    std::unique_ptr<const Parts> parts_;
};

}  // namespace realm
