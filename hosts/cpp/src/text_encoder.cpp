#include "text_encoder.hpp"

#include <algorithm>
#include <map>
#include <unordered_set>
#include <utility>

#include "unicode.hpp"

namespace realm {
namespace {

constexpr std::size_t kTextsPerCall = 32;
constexpr std::size_t kCachedTexts = 4096;

std::string beginning(const std::string& text) {
    constexpr std::size_t kShown = 40;
    const auto codes = unicode::decode(text);
    return codes && codes->size() > kShown ? unicode::encode(codes->substr(0, kShown)) : text;
}

}  // namespace

std::vector<std::int64_t> token_ids(const Tokenizer& tokenizer, const TextSpec& spec, std::string_view text,
                                    std::size_t* whole_length) {
    Encoding encoding = tokenizer.encode(text);
    std::vector<std::int64_t>& ids = encoding.ids;
    if (whole_length != nullptr) *whole_length = ids.size();
    if (ids.size() > spec.max_tokens) {
        const std::int64_t last = ids.back();
        ids.resize(spec.max_tokens);
        if (encoding.closed) ids.back() = last;
    }
    return std::move(ids);
}

std::size_t padded_length(const TextSpec& spec, std::size_t tokens) {
    if (spec.fixed_length) return spec.max_tokens;
    const auto bucket = std::lower_bound(spec.buckets.begin(), spec.buckets.end(), tokens);
    return bucket == spec.buckets.end() ? spec.max_tokens : *bucket;
}

TextEncoder::TextEncoder(TextSpec spec, std::shared_ptr<const Tokenizer> tokenizer,
                         std::shared_ptr<const Session> session, std::vector<std::string> inputs, std::string output,
                         Warn warn)
    : spec_(std::move(spec)),
      tokenizer_(std::move(tokenizer)),
      session_(std::move(session)),
      inputs_(std::move(inputs)),
      output_(std::move(output)),
      warn_(std::move(warn)) {}

std::vector<Embedding> TextEncoder::features(const std::vector<std::string>& texts) const {
    struct Group {
        std::vector<std::string> names;
        std::vector<std::vector<std::int64_t>> tokens;
    };
    std::unordered_map<std::string, Embedding> known;
    std::map<std::size_t, Group> groups;  // one length at a time: a short text never pays for a long one
    std::unordered_set<std::string> seen;
    for (const std::string& text : texts) {
        if (!seen.insert(text).second) continue;
        if (Embedding row = cached(text)) {
            known[text] = std::move(row);
            continue;
        }
        std::size_t length = 0;
        auto tokens = token_ids(*tokenizer_, spec_, text, &length);
        if (length > spec_.max_tokens && warn_)
            std::call_once(warned_, [&] {
                warn_("a text of " + std::to_string(length) + " tokens is cut to the first " +
                      std::to_string(spec_.max_tokens) + ": '" + beginning(text) + "...' (said once)");
            });
        Group& group = groups[padded_length(spec_, tokens.size())];
        group.names.push_back(text);
        group.tokens.push_back(std::move(tokens));
    }
    for (auto& [length, group] : groups) {
        for (std::size_t start = 0; start < group.names.size(); start += kTextsPerCall) {
            const std::size_t end = std::min(start + kTextsPerCall, group.names.size());
            const auto rows = embed({group.tokens.begin() + static_cast<std::ptrdiff_t>(start),
                                     group.tokens.begin() + static_cast<std::ptrdiff_t>(end)});
            for (std::size_t at = start; at < end; ++at) {
                known[group.names[at]] = rows[at - start];
                keep(group.names[at], rows[at - start]);
            }
        }
    }
    std::vector<Embedding> result;
    result.reserve(texts.size());
    for (const std::string& text : texts) result.push_back(known.at(text));
    return result;
}

std::vector<Embedding> TextEncoder::embed(const std::vector<std::vector<std::int64_t>>& token_lists) const {
    std::size_t longest = 1;
    for (const auto& tokens : token_lists) longest = std::max(longest, tokens.size());
    const std::size_t length = padded_length(spec_, longest), count = token_lists.size();
    std::vector<std::int64_t> ids(count * length, spec_.pad_id), mask(count * length, 0);
    for (std::size_t row = 0; row < count; ++row) {
        const auto start = static_cast<std::ptrdiff_t>(row * length);
        std::copy(token_lists[row].begin(), token_lists[row].end(), ids.begin() + start);
        std::fill_n(mask.begin() + start, token_lists[row].size(), 1);
    }
    const std::vector<std::int64_t> shape{static_cast<std::int64_t>(count), static_cast<std::int64_t>(length)};
    std::vector<Feed> feeds;
    for (const std::string& name : inputs_) {
        if (name == "input_ids") feeds.push_back({"input_ids", Element::int64, ids.data(), shape});
        if (name == "attention_mask") feeds.push_back({"attention_mask", Element::int64, mask.data(), shape});
    }
    const std::vector<float> values = finite(session_->run(feeds, output_.c_str(), {shape[0], -1}), output_);
    const std::size_t width = values.size() / count;
    std::vector<Embedding> rows;
    for (std::size_t row = 0; row < count; ++row) {
        const float* first = values.data() + row * width;
        rows.push_back(std::make_shared<const std::vector<float>>(first, first + width));
    }
    return rows;
}

Embedding TextEncoder::cached(const std::string& text) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = places_.find(text);
    if (found == places_.end()) return nullptr;
    recent_.splice(recent_.begin(), recent_, found->second);
    return found->second->second;
}

void TextEncoder::keep(const std::string& text, const Embedding& row) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (places_.count(text) != 0) return;  // another thread was faster
    recent_.emplace_front(text, row);
    places_[text] = recent_.begin();
    if (recent_.size() > kCachedTexts) {
        places_.erase(recent_.back().first);
        recent_.pop_back();
    }
}

}  // namespace realm
