#include "manifest.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "limits.hpp"
#include "realm/error.hpp"
#include "text_format.hpp"

namespace realm {
namespace {

constexpr int kFormatMajor = 1;

const std::vector<std::string> kInterpolations{"bilinear", "bicubic"};
const std::vector<std::string> kAggregates{"mean", "max"};

[[noreturn]] void refuse(const std::string& message) { throw BundleError(message); }

std::vector<TensorSpec> tensors(const Section& entry, const char* key) {
    std::vector<TensorSpec> found;
    for (const OrderedJson& item : entry.list(key)) {
        const Section tensor(&item, entry.where() + ", " + in_quotes(key));
        TensorSpec spec;
        spec.name = tensor.text("name");
        tensor.text("dtype");
        const OrderedJson& shape = tensor.list("shape");
        spec.rank = shape.size();
        if (spec.rank > limits::kDimensions)
            refuse(tensor.where() + ": 'shape' must list at most " + std::to_string(limits::kDimensions) +
                   " sizes; export the bundle again");
        if (!shape.empty() && shape.back().is_number_integer()) {
            const auto size = shape.back().get<std::int64_t>();
            if (size > 0 && size <= limits::kTokens) spec.last_dimension = size;
        }
        found.push_back(std::move(spec));
    }
    return found;
}

const TensorSpec* named(const std::vector<TensorSpec>& tensors, const std::string& name) {
    for (const TensorSpec& tensor : tensors)
        if (tensor.name == name) return &tensor;
    return nullptr;
}

TextSpec parse_text(const Section& section) {
    TextSpec spec;
    const int most = section.positive("max_tokens", limits::kTokens);
    const std::vector<int> given = section.positives("buckets");
    const std::set<int> sizes(given.begin(), given.end());
    if (*sizes.rbegin() != most)
        refuse(section.where() + ": 'buckets' must end with 'max_tokens'; export the bundle again");
    spec.max_tokens = static_cast<std::size_t>(most);
    for (const int size : sizes) spec.buckets.push_back(static_cast<std::size_t>(size));
    const OrderedJson name = section.text("tokenizer");
    spec.tokenizer = safe_relative(name, section.where());
    spec.pad_id = section.whole("pad_id");
    spec.fixed_length = section.truth("fixed_length");
    return spec;
}

// A number above 0 where there is one.
std::optional<double> parse_above_zero(const Section& section, const char* key) {
    if (!section.has(key)) return std::nullopt;
    const double value = section.number(key);
    if (!(value > 0)) refuse(section.where() + ": '" + key + "' must be above 0; export the bundle again");
    return value;
}

// One to four numbers of at most nine digits, with dots between.
bool is_version(const std::string& text) {
    int numbers = 0;
    for (std::size_t at = 0; at <= text.size();) {
        const std::size_t end = std::min(text.find('.', at), text.size());
        const auto digit = [](char each) { return each >= '0' && each <= '9'; };
        if (end == at || end - at > 9 || !std::all_of(&text[at], &text[end], digit)) return false;
        ++numbers;
        at = end + 1;
    }
    return numbers <= 4;
}

// Who asks for less than that by himself knows what it costs, who opens a bundle does not.
std::vector<int> preset_windows(const Section& preset) {
    std::vector<int> sizes = preset.positives("windows_px");
    const bool different = std::set<int>(sizes.begin(), sizes.end()).size() == sizes.size();
    if (!different || sizes.size() > limits::kScales || *std::min_element(sizes.begin(), sizes.end()) < limits::kLeastWindowPx)
        refuse(preset.where() + ": 'windows_px' must list at most " + std::to_string(limits::kScales) + " different sizes from " +
               std::to_string(limits::kLeastWindowPx) + " px; export the bundle again");
    return sizes;
}

PassSpec parse_pass(const Section& section) {
    PassSpec spec;
    spec.cells_px = section.positives("cells_px");
    spec.halo_px = section.positive("halo_px", limits::kInputPx);
    const int coarsest = spec.coarsest_px();
    const bool even = std::all_of(spec.cells_px.begin(), spec.cells_px.end(), [&](int px) { return coarsest % px == 0; });
    if (even && spec.halo_px % coarsest == 0) return spec;
    std::vector<std::string> cells;
    for (const int px : spec.cells_px) cells.push_back(std::to_string(px));
    refuse(section.where() + ": cells of " + joined(cells) + " px and a halo of " + std::to_string(spec.halo_px) +
           " px do not fit into one another; export the bundle again");
}

}  // namespace

std::vector<std::string> graphs_of(const std::string& encoder) {
    if (encoder == kOnePass) return {"trunk", "windows"};
    return {"dream"};
}

int PassSpec::coarsest_px() const { return *std::max_element(cells_px.begin(), cells_px.end()); }

const std::string* GraphSpec::file(const std::string& precision) const {
    for (const auto& [name, path] : variants)
        if (name == precision) return &path;
    return nullptr;
}

const TensorSpec* GraphSpec::input(const std::string& name) const { return named(inputs, name); }
const TensorSpec* GraphSpec::output(const std::string& name) const { return named(outputs, name); }

std::string ViewSpec::key() const {
    return native ? "native" : std::to_string(height_px) + " x " + std::to_string(width_px) + " " + interpolation;
}

Section::Section(const OrderedJson* data, std::string where) : data_(data), where_(std::move(where)) {
    if (data_ == nullptr || !data_->is_object()) refuse(where_ + " must be a JSON object; export the bundle again");
}

const OrderedJson& Section::get(const char* key, bool (*fits)(const OrderedJson&)) const {
    const auto found = data_->find(key);
    if (found == data_->end()) refuse(where_ + ": '" + key + "' is missing; export the bundle again");
    if (!fits(*found))
        refuse(where_ + ": '" + key + "' is " + repr(*found) + ", of the wrong kind; export the bundle again");
    return *found;
}

std::string Section::text(const char* key) const {
    return get(key, [](const OrderedJson& value) { return value.is_string(); }).get<std::string>();
}

std::int64_t Section::whole(const char* key) const {
    const OrderedJson& value = get(key, [](const OrderedJson& each) { return each.is_number_integer(); });
    if (value.is_number_unsigned() &&
        value.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
        refuse(where_ + ": '" + key + "' is " + repr(value) + ", too large; export the bundle again");
    return value.get<std::int64_t>();
}

int Section::positive(const char* key, int most, int least) const {
    const std::int64_t value = whole(key);
    if (value < least)
        refuse(where_ + ": '" + key + "' is " + std::to_string(value) + ", below " + std::to_string(least) +
               "; export the bundle again");
    if (value > most)
        refuse(where_ + ": '" + key + "' is " + std::to_string(value) + ", above " + std::to_string(most) +
               "; export the bundle again");
    return static_cast<int>(value);
}

std::vector<int> Section::positives(const char* key) const {
    const OrderedJson& values = list(key);
    std::vector<int> found;
    for (const OrderedJson& value : values)
        if (value.is_number_integer() && value >= 1 && value <= std::numeric_limits<int>::max())
            found.push_back(value.get<int>());
    if (found.empty() || found.size() != values.size() || found.size() > limits::kSizes)
        refuse(where_ + ": '" + key + "' must list 1 to " + std::to_string(limits::kSizes) + " whole numbers from 1 to " +
               std::to_string(std::numeric_limits<int>::max()) + "; export it again");
    return found;
}

double Section::number(const char* key) const {
    const double value = get(key, [](const OrderedJson& each) { return each.is_number(); }).get<double>();
    if (!(std::abs(value) <= limits::kNumber))
        refuse(where_ + ": '" + key + "' is " + repr(data_->at(key)) + ", no number within +- 1e+12; export the bundle again");
    return value;
}

bool Section::truth(const char* key) const {
    return get(key, [](const OrderedJson& value) { return value.is_boolean(); }).get<bool>();
}

std::string Section::choice(const char* key, const std::vector<std::string>& choices) const {
    std::string value = text(key);
    if (std::find(choices.begin(), choices.end(), value) == choices.end())
        refuse(where_ + ": '" + key + "' is " + in_quotes(value) + ", must be one of " + joined(choices));
    return value;
}

const OrderedJson& Section::list(const char* key) const {
    return get(key, [](const OrderedJson& value) { return value.is_array(); });
}

Section Section::section(const std::string& key) const {
    const auto found = data_->find(key);
    return {found == data_->end() ? nullptr : &*found, where_ + ", '" + key + "'"};
}

std::string safe_relative(const OrderedJson& path, const std::string& where) {
    bool plain = path.is_string();
    if (plain) {
        const auto& text = path.get_ref<const std::string&>();
        const bool drive = text.size() > 1 && text[1] == ':';
        plain = !text.empty() && text.find('\\') == std::string::npos && text.find('\0') == std::string::npos &&
                !drive && text.front() != '/';
        bool named = false;  // "." alone names nothing
        for (std::size_t at = 0; plain && at < text.size();) {
            const std::size_t end = std::min(text.find('/', at), text.size());
            const std::string part = text.substr(at, end - at);
            plain = part != "..";
            named = named || (!part.empty() && part != ".");
            at = end + 1;
        }
        if (plain && named) return text;
    }
    refuse(where + ": the path " + repr(path) + " leaves the bundle; do not use a bundle that asks for it");
}

void check_version(const Section& manifest) {
    const auto format = manifest.data().find("format");
    if (format == manifest.data().end() || *format != "realm-bundle")
        refuse(manifest.where() + ": 'format' is not 'realm-bundle'; this is no REALM bundle");
    const std::string version = manifest.text("format_version");
    if (!is_version(version))
        refuse(manifest.where() + ": format version " + in_quotes(version) + " is not a version; export the bundle again");
    const int value = std::stoi(version);
    if (value != kFormatMajor)
        refuse(manifest.where() + ": format version " + version + ", but this engine reads " +
               std::to_string(kFormatMajor) + ".x; " +
               (value > kFormatMajor ? "update realm-engine" : "export the bundle again"));
}

std::map<std::string, GraphSpec> parse_graphs(const Section& section, const std::set<std::string>& names) {
    std::map<std::string, GraphSpec> graphs;
    for (const std::string& name : names) {
        if (!section.has(name.c_str())) continue;
        const Section entry = section.section(name);
        const Section variants = entry.section("variants");
        if (variants.data().empty()) refuse(entry.where() + ": no variant; export the bundle again");
        GraphSpec spec;
        for (const auto& [precision, path] : variants.data().items())
            spec.variants.emplace_back(precision, safe_relative(path, entry.where()));
        spec.inputs = tensors(entry, "inputs");
        spec.outputs = tensors(entry, "outputs");
        graphs.emplace(name, std::move(spec));
    }
    return graphs;
}

CoreSpec parse_core(const Section& section) {
    const Section image = section.section("image");
    const Section rating = section.section("rating");
    CoreSpec spec;
    spec.height_px = image.positive("height_px", limits::kInputPx);
    spec.width_px = image.positive("width_px", limits::kInputPx);
    spec.interpolation = image.choice("interpolation", kInterpolations);
    spec.text = parse_text(section.section("text"));
    spec.missing_text = section.choice("missing_text", {"trained", "empty-description"});
    spec.rating_offset = rating.number("offset");
    spec.rating_slope = rating.number("slope");
    return spec;
}

std::vector<std::string> encoders_of(const std::map<std::string, GraphSpec>& graphs) {
    std::vector<std::string> found;
    for (const char* encoder : {kEachWindow, kOnePass}) {
        const std::vector<std::string> needed = graphs_of(encoder);
        if (std::all_of(needed.begin(), needed.end(), [&](const std::string& name) { return graphs.count(name) != 0; }))
            found.emplace_back(encoder);
    }
    return found;
}

void check_photographs(const DreamSpec& spec, const std::map<std::string, GraphSpec>& graphs, const std::string& where) {
    if (!spec.photographs) return;
    const auto columns = static_cast<std::int64_t>(spec.photographs->windows_px.size());
    const auto graph = graphs.find(kPhotographs);
    const auto fits = [&](const char* name) {
        const TensorSpec* output = graph == graphs.end() ? nullptr : graph->second.output(name);
        return output != nullptr && output->last_dimension == columns;
    };
    if (!fits("mean") || !fits("std"))
        refuse(where + ": 'photographs' needs a graph of that name whose mean and std have " + std::to_string(columns) +
               " columns; export the bundle again");
}

DreamSpec parse_dream(const Section& section, std::vector<std::string> encoders) {
    DreamSpec spec;
    const Section presets = section.section("presets");
    std::vector<std::string> names;
    for (const auto& [name, value] : presets.data().items()) {
        const Section entry(&value, presets.where() + ", '" + name + "'");
        PresetSpec preset;
        preset.name = name;
        preset.windows_px = preset_windows(entry);
        preset.stride_px = entry.positive("stride_px", limits::kWindowPx, limits::kLeastStridePx);
        preset.aggregate = entry.choice("aggregate", kAggregates);
        preset.encoder = entry.has("encoder") ? entry.choice("encoder", encoders) : encoders.front();
        if (entry.has("stands_out")) {
            const Section known = entry.section("stands_out");
            preset.text_stands_out = parse_above_zero(known, "text");
            preset.phrases_stand_out = parse_above_zero(known, "phrases");
        }
        names.push_back(name);
        spec.presets.push_back(std::move(preset));
    }
    if (names.empty()) refuse(section.where() + ": no preset; export the bundle again");
    spec.image_size_px = section.positive("image_size_px", limits::kInputPx);
    spec.interpolation = section.choice("interpolation", kInterpolations);
    spec.text = parse_text(section.section("text"));
    const std::string recommended = section.choice("recommended_preset", names);
    std::stable_partition(spec.presets.begin(), spec.presets.end(),
                          [&](const PresetSpec& preset) { return preset.name == recommended; });
    const auto phrases = section.data().find("phrases");
    if (phrases != section.data().end() && !phrases->is_null())
        spec.phrases = safe_relative(*phrases, section.where());
    if (std::find(encoders.begin(), encoders.end(), kOnePass) != encoders.end())
        spec.one_pass = parse_pass(section.section("one_pass"));
    if (section.has(kPhotographs)) {
        const Section entry = section.section(kPhotographs);
        spec.photographs = PhotographsSpec{entry.positives("windows_px"), entry.choice("encoder", {kEachWindow, kOnePass})};
    }
    spec.encoders = std::move(encoders);
    std::stable_partition(spec.encoders.begin(), spec.encoders.end(),
                          [&](const std::string& encoder) { return encoder == spec.presets.front().encoder; });
    return spec;
}

}  // namespace realm
