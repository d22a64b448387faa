// `bundle.json` as plain structures: every field checked once, with an error that names the field.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "json.hpp"

namespace realm {

struct TensorSpec {
    std::string name;
    std::int64_t last_dimension = -1;  // -1 where it is free
};

// One graph: its files by precision, in the manifest's order, and its interface.
struct GraphSpec {
    std::vector<std::pair<std::string, std::string>> variants;
    std::vector<TensorSpec> inputs, outputs;

    const std::string* file(const std::string& precision) const;
    const TensorSpec* output(const std::string& name) const;
};

struct TextSpec {
    std::string tokenizer;
    std::size_t max_tokens = 0;
    std::int64_t pad_id = 0;
    bool fixed_length = false;
    std::vector<std::size_t> buckets;  // ascending; the last is max_tokens
};

struct CoreSpec {
    int height_px = 0, width_px = 0;
    std::string interpolation;
    TextSpec text;
    std::string missing_text;
    double rating_offset = 0, rating_slope = 0;
};

struct PresetSpec {
    std::string name;
    std::vector<int> windows_px;
    int stride_px = 0;
    std::string aggregate;
};

struct DreamSpec {
    int image_size_px = 0;
    std::string interpolation;
    TextSpec text;
    std::vector<PresetSpec> presets;  // the recommended one first
    std::optional<std::string> phrases;
};

// A JSON object of the manifest together with the place it stands, for errors that name both.
class Section {
public:
    Section(const OrderedJson* data, std::string where);  // null: the member is missing

    const OrderedJson& data() const { return *data_; }
    const std::string& where() const { return where_; }

    std::string text(const char* key) const;
    std::int64_t whole(const char* key) const;
    int positive(const char* key, int most) const;
    std::vector<int> positives(const char* key) const;
    double number(const char* key) const;
    bool truth(const char* key) const;
    std::string choice(const char* key, const std::vector<std::string>& choices) const;
    const OrderedJson& list(const char* key) const;
    Section section(const std::string& key) const;

private:
    const OrderedJson& get(const char* key, bool (*fits)(const OrderedJson&)) const;

    const OrderedJson* data_;
    std::string where_;
};

// The path when it is a plain relative POSIX path that cannot leave its folder. Throws BundleError otherwise.
std::string safe_relative(const OrderedJson& path, const std::string& where);
void check_version(const Section& manifest);
std::map<std::string, GraphSpec> parse_graphs(const Section& section);
CoreSpec parse_core(const Section& section);
DreamSpec parse_dream(const Section& section);

}  // namespace realm
