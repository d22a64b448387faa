// Embeds texts with one text graph, each different text once.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "manifest.hpp"
#include "session.hpp"
#include "tokenizer.hpp"

namespace realm {

using Warn = std::function<void(const std::string&)>;
using Embedding = std::shared_ptr<const std::vector<float>>;

// Token ids of a text, at most spec.max_tokens: a longer one loses its end but keeps its closing special token.
// `cut`, where given, is told how many tokens there were.
std::vector<std::int64_t> token_ids(const Tokenizer& tokenizer, const TextSpec& spec, std::string_view text,
                                    std::size_t* whole_length = nullptr);
// The length that ids of so many tokens are padded to.
std::size_t padded_length(const TextSpec& spec, std::size_t tokens);

class TextEncoder {
public:
    // `inputs`: which of input_ids and attention_mask the graph takes. `output`: its name.
    TextEncoder(TextSpec spec, std::shared_ptr<const Tokenizer> tokenizer, std::shared_ptr<const Session> session,
                std::vector<std::string> inputs, std::string output, Warn warn);

    // Features of the texts, in order; all of one width. Safe from several threads at once.
    std::vector<Embedding> features(const std::vector<std::string>& texts) const;

private:
    std::vector<Embedding> embed(const std::vector<std::vector<std::int64_t>>& token_lists) const;
    Embedding cached(const std::string& text) const;
    void keep(const std::string& text, const Embedding& row) const;

    TextSpec spec_;
    std::shared_ptr<const Tokenizer> tokenizer_;
    std::shared_ptr<const Session> session_;
    std::vector<std::string> inputs_;
    std::string output_;
    Warn warn_;
    mutable std::once_flag warned_;
    mutable std::mutex mutex_;  // of the cache
    mutable std::list<std::pair<std::string, Embedding>> recent_;
    mutable std::unordered_map<std::string, std::list<std::pair<std::string, Embedding>>::iterator> places_;
};

}  // namespace realm
