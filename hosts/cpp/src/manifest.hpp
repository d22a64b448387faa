// `bundle.json` as plain structures: every field checked once, with an error that names the field.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "json.hpp"
#include "realm/realm.hpp"

namespace realm {

struct TensorSpec {
    std::string name;
    std::int64_t last_dimension = -1;  // -1 where it is free
    std::size_t rank = 0;
};

// One graph: its files by precision, in the manifest's order, and its interface.
struct GraphSpec {
    std::vector<std::pair<std::string, std::string>> variants;
    std::vector<TensorSpec> inputs, outputs;

    const std::string* file(const std::string& precision) const;
    const TensorSpec* input(const std::string& name) const;
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

// Ways to encode the windows of a map.
constexpr const char* kEachWindow = "each-window";
constexpr const char* kOnePass = "one-pass";
// The graph that knows windows of untouched photographs.
constexpr const char* kPhotographs = "photographs";
// The graphs that one needs beside the text tower; the precisions of the last are those of the maps.
std::vector<std::string> graphs_of(const std::string& encoder);

struct PresetSpec {
    std::string name;
    std::vector<int> windows_px;
    int stride_px = 0;
    std::string aggregate;
    std::string encoder;
    // The z-scores that maps of few untouched photographs reach: of a text that was given, of phrases that were picked.
    std::optional<double> text_stands_out, phrases_stand_out;
};

// Which windows the graph `photographs` knows: sizes in the order of its columns, and what encoded them.
struct PhotographsSpec {
    std::vector<int> windows_px;
    std::string encoder;
};

// How a trunk runs over a picture.
struct PassSpec {
    std::vector<int> cells_px;  // sides of the cells of its stages, each once
    int halo_px = 0;            // how far a cell sees beyond itself, at most

    // Pictures are filled up to whole cells of this side.
    int coarsest_px() const;
};

struct DreamSpec {
    int image_size_px = 0;
    std::string interpolation;
    TextSpec text;
    std::vector<PresetSpec> presets;  // the recommended one first
    std::optional<std::string> phrases;
    std::vector<std::string> encoders;  // what can encode windows here, that of the recommended preset first
    std::optional<PassSpec> one_pass;
    std::optional<PhotographsSpec> photographs;

    // The graph whose precisions are those of the maps.
    std::string main_graph() const { return graphs_of(encoders.front()).back(); }
};

// How pixels get into a graph: a whole picture resized by matrices that go along, or as it is.
struct ViewSpec {
    bool native = false;
    int height_px = 0, width_px = 0;  // of a whole picture
    std::string interpolation;
    int least_px = 1;  // native: shorter sides have no answer

    std::string key() const;
};

// What differs between pictures that are looked at with a description and without one.
template <typename T>
struct ByText {
    T with_text, image_only;

    const T& of(bool described) const { return described ? with_text : image_only; }
};

// Straight lines between points; before the first and after the last its ends. x rises strictly.
struct Curve {
    std::vector<double> x, y;

    double at(double value) const;
};

// Where a column's value comes from: an output of the measure's graph, perhaps along a line that is clipped, or a curve.
struct ColumnSource {
    std::string output;
    std::optional<std::pair<double, double>> line;  // offset, slope
    std::optional<ByText<Curve>> curve;
    std::optional<ByText<double>> bound;  // added to the value: one end of another column's interval

    double value(double answer, bool described, double low, double high) const;
    // Whether an answer is a number that the column could have: finite, and no further outside its usual range (of a
    // curve: its points) than 100 times its width. What a float16 that overflowed gives is not.
    bool plausible(double answer, bool described, double low, double high) const;
};

// A measure of the manifest. One with a problem cannot be computed here, while others can: it is left out.
struct MeasureSpec {
    Measure told;                       // what a user is told
    std::vector<ColumnSource> sources;  // one per column
    std::string graph;                  // looks at the picture
    ViewSpec view;
    std::string features;  // kind head: what `graph` gives to `head`
    std::string head;
    // Kind head: the sha256 of the fp32 files that it was fitted on, by the name of the graph.
    std::vector<std::pair<std::string, std::string>> fitted_on;
    std::string gaussian;  // kind niqe: the file that says what photographs are like
    std::string machine;   // kind brisque: the graph that makes a number of features
    std::string problem;

    // Whether it counts moments of contrast, in float32 on the CPU whatever the others run in.
    bool counts() const { return !gaussian.empty() || !machine.empty(); }
    bool reads_text() const { return told.kind == "core"; }
    // The graph whose outputs are the columns'.
    const std::string& answers() const { return !machine.empty() ? machine : head.empty() ? graph : head; }
};

constexpr const char* kMomentsOutput = "moments";    // of the graph of a measure that counts
constexpr const char* kMachineInput = "features";    // of `machine`

// Policy of maps, the numbers of the format where a manifest says nothing.
struct PhrasePolicy {
    int most = 3;
    double margin_z = 1.0;  // a phrase this far behind the best describes something else
    double percentile = 95.0;
};
struct MapPolicy {
    PhrasePolicy phrases;
    RegionPolicy regions;
};

// A JSON object of the manifest together with the place it stands, for errors that name both.
class Section {
public:
    Section(const OrderedJson* data, std::string where);  // null: the member is missing

    const OrderedJson& data() const { return *data_; }
    const std::string& where() const { return where_; }

    std::string text(const char* key) const;
    std::int64_t whole(const char* key) const;
    int positive(const char* key, int most, int least = 1) const;
    std::vector<int> positives(const char* key) const;
    double number(const char* key) const;
    bool truth(const char* key) const;
    bool has(const char* key) const { return data_->find(key) != data_->end(); }
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
// Those of the named graphs that are there.
std::map<std::string, GraphSpec> parse_graphs(const Section& section, const std::set<std::string>& names);
CoreSpec parse_core(const Section& section);
// The encoders whose graphs are all there.
std::vector<std::string> encoders_of(const std::map<std::string, GraphSpec>& graphs);
// `encoders`: those that are there, at least one.
DreamSpec parse_dream(const Section& section, std::vector<std::string> encoders);
// The graph `photographs` is there as the section says. Throws BundleError.
void check_photographs(const DreamSpec& spec, const std::map<std::string, GraphSpec>& graphs, const std::string& where);
// In the manifest's order. Without a section `measures` (format 1.0) CORE, where there is one, is a measure.
std::vector<MeasureSpec> parse_measures(const Section& manifest, const std::optional<CoreSpec>& core);
// Graphs, their inputs and outputs are there as the measures need them. Throws BundleError.
void check_measures(const std::vector<MeasureSpec>& measures, const std::map<std::string, GraphSpec>& graphs,
                    const std::string& where);
// Heads answer for the very towers that they were fitted on: one whose tower is another, as `files` of the manifest says,
// gets a problem.
void check_fitted_on(std::vector<MeasureSpec>& measures, const std::map<std::string, GraphSpec>& graphs,
                     const Section& files);
MapPolicy parse_maps(const Section& manifest);

}  // namespace realm
