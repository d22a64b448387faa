// The manifest's measures, what they look through, and the policy of maps (format 1.1).
#include <algorithm>
#include <set>

#include "limits.hpp"
#include "manifest.hpp"
#include "manifest_columns.hpp"
#include "realm/error.hpp"
#include "text_format.hpp"

namespace realm {
namespace {

constexpr double kLowestMos = -3.0, kHighestMos = 2.0;
constexpr double kHighestRating = 100.0;

[[noreturn]] void refuse(const std::string& where, const std::string& what) {
    throw BundleError(where + ": " + what + "; export the bundle again");
}

ViewSpec whole_view(const Section& section) {
    return {false, section.positive("height_px", limits::kInputPx), section.positive("width_px", limits::kInputPx),
            section.choice("interpolation", {"bilinear", "bicubic"})};
}

// Fills graph and view from a section that holds both, a measure's or a tower's.
void parse_look(const Section& section, MeasureSpec& into) {
    into.graph = section.text("graph");
    const Section view = section.section("view");
    const std::string kind = view.text("kind");
    if (kind == "native") {
        into.view.native = true;
        if (view.has("least_px")) into.view.least_px = view.positive("least_px", limits::kInputPx);
    }
    else if (kind == "whole") into.view = whole_view(view);
    else into.problem = "looks through a view of the kind " + in_quotes(kind) + ", that this host does not support";
}

void parse_licence(const Section& section, MeasureSpec& into) {
    const Section licence = section.section("licence");
    into.told.licence = licence.text("weights");
    into.told.commercial_use = licence.truth("commercial_use");
    section.text("training_data");
    section.section("metrics");
}

// Format 1.0 has no measures: what its CORE says.
MeasureSpec core_of_old(const CoreSpec& core) {
    MeasureSpec spec;
    spec.told.name = spec.told.kind = "core";
    spec.told.says = "How real does it look to people: a mean opinion score, from the picture and a description of its flaws.";
    spec.told.columns = {
        {"mos", "mean opinion score as a z-score", kLowestMos, kHighestMos, Better::high, 6, {}, {}, {}},
        {"realness", "the 0-100 rating behind the score", 0.0, kHighestRating, Better::high, 4, {}, {}, {}}};
    spec.sources = {{"mos", {}, {}, {}}, {"mos", std::make_pair(core.rating_offset, core.rating_slope), {}, {}}};
    return spec;
}

MeasureSpec parse_measure(const std::string& name, const Section& entry, const Section& manifest,
                          const std::optional<CoreSpec>& core) {
    MeasureSpec spec;
    spec.told.name = name;
    spec.told.kind = entry.text("kind");
    const std::string& kind = spec.told.kind;
    const bool counts = kind == "niqe" || kind == "brisque";
    if (kind != "core" && kind != "graph" && kind != "head" && !counts) {
        spec.problem = "is of a kind that this host does not support (" + in_quotes(kind) + ")";
        return spec;
    }
    spec.told.says = entry.text("says");
    parse_columns(entry, spec);
    parse_licence(entry, spec);
    if (kind == "graph" || counts) parse_look(entry, spec);
    if (counts) {
        // Its number is made here and has the name of the kind.
        for (const ColumnSource& source : spec.sources)
            if (source.output != kind)
                refuse(entry.where(), "it gives " + in_quotes(kind) + " alone, not " + in_quotes(source.output));
        (kind == "niqe" ? spec.gaussian : spec.machine) = entry.text(kind == "niqe" ? "gaussian" : "machine");
    }
    if (kind == "head") {
        const std::string tower = entry.text("tower");
        const Section towers = manifest.section("towers");
        if (!towers.has(tower.c_str())) refuse(entry.where(), "the tower " + in_quotes(tower) + " is not in 'towers'");
        const Section section = towers.section(tower);
        parse_look(section, spec);
        spec.features = section.text("output");
        spec.head = entry.text("graph");
        if (entry.has("fitted_on")) {
            const Section fitted_on = entry.section("fitted_on");
            for (const auto& item : fitted_on.data().items())
                spec.fitted_on.emplace_back(item.key(), fitted_on.text(item.key().c_str()));
        }
    }
    if (kind == "core" && !core) refuse(entry.where(), "the graphs core_text and core are not there");
    return spec;
}

// "nothing" where it is not there: a section of its own or a number.
double number_or(const Section& section, const char* key, double nothing, double least, double most) {
    if (!section.has(key)) return nothing;
    const double value = section.number(key);
    if (!(value >= least && value <= most)) refuse(section.where(), std::string("'") + key + "' is out of range");
    return value;
}

}  // namespace

std::vector<MeasureSpec> parse_measures(const Section& manifest, const std::optional<CoreSpec>& core) {
    std::vector<MeasureSpec> found;
    if (manifest.has("measures")) {
        const Section section = manifest.section("measures");
        for (const auto& [name, value] : section.data().items())
            found.push_back(parse_measure(name, Section(&value, section.where() + ", " + in_quotes(name)), manifest, core));
    } else if (core) {
        found.push_back(core_of_old(*core));
    }
    std::set<std::string> columns{"filename", "description", "error"};
    for (MeasureSpec& spec : found) {
        if (spec.reads_text() && core) {
            spec.graph = "core";
            spec.view = {false, core->height_px, core->width_px, core->interpolation};
        }
        for (const Column& column : spec.told.columns)
            if (!is_name(column.name) || !columns.insert(column.name).second)
                refuse(manifest.where(), "the column " + in_quotes(column.name) + " is named twice or not allowed");
    }
    return found;
}

void check_measures(const std::vector<MeasureSpec>& measures, const std::map<std::string, GraphSpec>& graphs,
                    const std::string& where) {
    for (const MeasureSpec& spec : measures) {
        if (!spec.problem.empty()) continue;
        const std::string own = where + ", 'measures', " + in_quotes(spec.told.name);
        const auto graph_of = [&](const std::string& name) -> const GraphSpec& {
            const auto found = graphs.find(name);
            if (found == graphs.end()) refuse(own, "the graph " + in_quotes(name) + " is not in 'graphs'");
            return found->second;
        };
        const auto check_output = [&](const std::string& graph, const std::string& output) {
            if (graph_of(graph).output(output) == nullptr)
                refuse(own, "the graph " + in_quotes(graph) + " has no output " + in_quotes(output));
        };
        const auto check_number = [&](const std::string& output) {
            check_output(spec.answers(), output);
            const TensorSpec& tensor = *graph_of(spec.answers()).output(output);
            if (tensor.rank != 1 && !(tensor.rank == 2 && tensor.last_dimension == 1))
                refuse(own, "the output " + in_quotes(output) + " is not a number for each picture");
        };
        if (!spec.head.empty()) {
            check_output(spec.graph, spec.features);
            if (graph_of(spec.head).inputs.size() != 1 || graph_of(spec.head).file("fp32") == nullptr)
                refuse(own, "the graph " + in_quotes(spec.head) + " is no head: one input, a variant fp32");
        }
        if (spec.counts()) {
            check_output(spec.graph, kMomentsOutput);
            if (graph_of(spec.graph).file("fp32") == nullptr)
                refuse(own, "the graph " + in_quotes(spec.graph) + " has no variant fp32");
        }
        if (!spec.machine.empty()) {
            const GraphSpec& machine = graph_of(spec.machine);
            if (machine.inputs.size() != 1 || machine.input(kMachineInput) == nullptr || machine.file("fp32") == nullptr)
                refuse(own, "the graph " + in_quotes(spec.machine) + " does not take features, in a variant fp32");
        }
        const GraphSpec& looks = graph_of(spec.graph);
        const bool resized = looks.input("resample_rows") != nullptr && looks.input("resample_cols") != nullptr;
        if (looks.input("pixels") == nullptr || resized == spec.view.native)
            refuse(own, "the inputs of the graph " + in_quotes(spec.graph) + " do not suit its view");
        if (!spec.gaussian.empty()) continue;  // its number comes from no graph
        for (const ColumnSource& source : spec.sources) check_number(source.output);
    }
}

void check_fitted_on(std::vector<MeasureSpec>& measures, const std::map<std::string, GraphSpec>& graphs,
                     const Section& files) {
    constexpr std::size_t kTold = 4;  // digits of a sha256 that tell two files apart for eyes
    for (MeasureSpec& spec : measures) {
        if (!spec.problem.empty()) continue;
        for (const auto& [graph, sha256] : spec.fitted_on) {
            const auto found = graphs.find(graph);
            const std::string* file = found == graphs.end() ? nullptr : found->second.file("fp32");
            if (file != nullptr && !files.has(file->c_str())) continue;  // refused by its name when it is opened
            if (file != nullptr && files.section(*file).text("sha256") == sha256) continue;
            spec.problem = "was fitted on another " + graph + " graph (" + sha256.substr(0, kTold) +
                           "...); fit it again with realm-train, or use that bundle";
            break;
        }
    }
}

MapPolicy parse_maps(const Section& manifest) {
    constexpr double kAnything = 1e9;
    MapPolicy policy;
    if (!manifest.has("maps")) return policy;
    const Section maps = manifest.section("maps");
    if (maps.has("phrases")) {
        const Section phrases = maps.section("phrases");
        if (phrases.has("most")) policy.phrases.most = phrases.positive("most", static_cast<int>(limits::kPhrases));
        policy.phrases.margin_z = number_or(phrases, "margin_z", policy.phrases.margin_z, 0.0, kAnything);
        policy.phrases.percentile = number_or(phrases, "percentile", policy.phrases.percentile, 0.0, 100.0);
    }
    if (maps.has("regions")) {
        const Section regions = maps.section("regions");
        RegionPolicy& own = policy.regions;
        own.below_std = number_or(regions, "below_std", own.below_std, -kAnything, kAnything);
        own.least_window_areas = number_or(regions, "least_window_areas", own.least_window_areas, 0.0, kAnything);
        if (regions.has("most")) own.most = static_cast<std::size_t>(regions.positive("most", static_cast<int>(limits::kPhrases)));
    }
    return policy;
}

}  // namespace realm
