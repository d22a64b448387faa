// The manifest's measures, what they look through, and the policy of maps (format 1.1).
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <set>

#include "limits.hpp"
#include "manifest.hpp"
#include "realm/error.hpp"
#include "text_format.hpp"

namespace realm {
namespace {

constexpr int kMaxDecimals = 17;
constexpr std::size_t kMaxPoints = 4096;  // of a curve
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
    if (kind == "native") into.view.native = true;
    else if (kind == "whole") into.view = whole_view(view);
    else into.problem = "looks through a view of the kind " + in_quotes(kind) + ", that this host does not support";
}

double above_zero(const Section& section, const char* key) {
    const double value = section.number(key);
    if (!(value > 0)) refuse(section.where(), std::string("'") + key + "' is not above 0");
    return value;
}

// What stands under "with_text" and "image_only", or for both under "any".
template <typename T>
ByText<T> by_text(const Section& section, T (*read)(const Section&, const char*)) {
    if (!section.has("any")) return {read(section, "with_text"), read(section, "image_only")};
    T both = read(section, "any");
    return {both, both};
}

std::vector<double> numbers(const Section& section, const char* key) {
    std::vector<double> found;
    for (const OrderedJson& item : section.list(key))
        found.push_back(item.is_number() ? item.get<double>() : std::numeric_limits<double>::quiet_NaN());
    const bool finite = std::all_of(found.begin(), found.end(), [](double value) { return std::abs(value) <= limits::kNumber; });
    if (found.empty() || found.size() > kMaxPoints || !finite)
        refuse(section.where(), std::string("'") + key + "' must list 1 to " + std::to_string(kMaxPoints) + " finite numbers");
    return found;
}

Curve parse_curve(const Section& section, const char* key) {
    const Section points = section.section(key);
    Curve curve{numbers(points, "x"), numbers(points, "y")};
    const bool rises = std::adjacent_find(curve.x.begin(), curve.x.end(), std::greater_equal<>()) == curve.x.end();
    if (!rises || curve.x.size() != curve.y.size())
        refuse(points.where(), "'x' must rise from point to point and have a 'y' each");
    return curve;
}

// The ends of a column's interval, as columns behind it.
void add_bounds(const ByText<double>& width, MeasureSpec& into) {
    const Column told = into.told.columns.back();
    const ColumnSource source = into.sources.back();
    for (const auto& [end, sign] : {std::pair{"low", -1.0}, std::pair{"high", 1.0}}) {
        Column column = told;
        column.name += std::string("_") + end;
        column.meaning = std::string(end) + " end of " + told.name;
        column.interval_share = column.flag_above = std::nullopt;
        into.told.columns.push_back(std::move(column));
        into.sources.push_back(source);
        into.sources.back().bound = ByText<double>{sign * width.with_text, sign * width.image_only};
    }
}

void parse_columns(const Section& section, const char* key, MeasureSpec& into) {
    for (const OrderedJson& item : section.list(key)) {
        const Section entry(&item, section.where() + ", '" + key + "'");
        Column column;
        ColumnSource source;
        column.name = entry.text("name");
        column.meaning = entry.text("meaning");
        column.low = entry.number("low");
        column.high = entry.number("high");
        column.better = entry.choice("better", {"high", "low"}) == "high" ? Better::high : Better::low;
        if (!(column.low < column.high)) refuse(entry.where(), "'low' must lie below 'high'");
        if (entry.has("decimals")) {
            const std::int64_t decimals = entry.whole("decimals");
            if (decimals < 0 || decimals > kMaxDecimals)
                refuse(entry.where(), "'decimals' is " + std::to_string(decimals) + ", must be 0 to 17");
            column.decimals = static_cast<int>(decimals);
        }
        source.output = entry.text("output");
        if (entry.has("line")) {
            const Section line = entry.section("line");
            source.line = {line.number("offset"), line.number("slope")};
        }
        if (entry.has("curve")) {
            if (source.line || entry.has("interval")) refuse(entry.where(), "a 'curve' has no line and no interval");
            source.curve = by_text<Curve>(entry.section("curve"), parse_curve);
        }
        if (entry.has("flag_above")) column.flag_above = entry.number("flag_above");
        std::optional<ByText<double>> width;
        if (entry.has("interval")) {
            const Section interval = entry.section("interval");
            column.interval_share = above_zero(interval, "share");
            if (!(*column.interval_share < 1)) refuse(interval.where(), "'share' must lie between 0 and 1");
            width = by_text<double>(interval, above_zero);
        }
        into.told.columns.push_back(std::move(column));
        into.sources.push_back(std::move(source));
        if (width) add_bounds(*width, into);
    }
    if (into.sources.empty()) refuse(section.where(), "no column");
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
        {"mos", "mean opinion score as a z-score", kLowestMos, kHighestMos, Better::high, 6, {}, {}},
        {"realness", "the 0-100 rating behind the score", 0.0, kHighestRating, Better::high, 4, {}, {}}};
    spec.sources = {{"mos", {}, {}, {}}, {"mos", std::make_pair(core.rating_offset, core.rating_slope), {}, {}}};
    return spec;
}

MeasureSpec parse_measure(const std::string& name, const Section& entry, const Section& manifest,
                          const std::optional<CoreSpec>& core) {
    MeasureSpec spec;
    spec.told.name = name;
    spec.told.kind = entry.text("kind");
    const std::string& kind = spec.told.kind;
    if (kind != "core" && kind != "graph" && kind != "head") {
        spec.problem = "is of a kind that this host does not support (" + in_quotes(kind) + ")";
        return spec;
    }
    spec.told.says = entry.text("says");
    parse_columns(entry, "columns", spec);
    if (entry.has("more_columns")) parse_columns(entry, "more_columns", spec);
    parse_licence(entry, spec);
    if (kind == "graph") parse_look(entry, spec);
    if (kind == "head") {
        const std::string tower = entry.text("tower");
        const Section towers = manifest.section("towers");
        if (!towers.has(tower.c_str())) refuse(entry.where(), "the tower " + in_quotes(tower) + " is not in 'towers'");
        const Section section = towers.section(tower);
        parse_look(section, spec);
        spec.features = section.text("output");
        spec.head = entry.text("graph");
    }
    if (kind == "core" && !core) refuse(entry.where(), "the graphs core_text and core are not there");
    return spec;
}

// Letters, digits, "-" and "_", a letter first; "_low" and "_high" of an interval's ends count.
bool is_name(const std::string& text) {
    constexpr std::size_t kLongest = 64 + 5;
    const auto letter = [](char each) { return (each >= 'a' && each <= 'z') || (each >= 'A' && each <= 'Z'); };
    const auto more = [&](char each) { return letter(each) || (each >= '0' && each <= '9') || each == '_' || each == '-'; };
    return !text.empty() && text.size() <= kLongest && letter(text.front()) && std::all_of(text.begin(), text.end(), more);
}

// "nothing" where it is not there: a section of its own or a number.
double number_or(const Section& section, const char* key, double nothing, double least, double most) {
    if (!section.has(key)) return nothing;
    const double value = section.number(key);
    if (!(value >= least && value <= most)) refuse(section.where(), std::string("'") + key + "' is out of range");
    return value;
}

}  // namespace

double Curve::at(double value) const {
    const auto right = static_cast<std::size_t>(std::upper_bound(x.begin(), x.end(), value) - x.begin());
    if (right == 0) return y.front();
    if (right == x.size()) return y.back();
    return y[right - 1] + (y[right] - y[right - 1]) * ((value - x[right - 1]) / (x[right] - x[right - 1]));
}

bool ColumnSource::plausible(double answer, bool described, double low, double high) const {
    double value = answer;
    if (curve) {
        const Curve& points = curve->of(described);
        low = points.x.front(), high = points.x.back();
    } else if (line) {
        value = line->first + line->second * answer;
    }
    const double reach = limits::kRanges * std::max(high - low, 1.0);
    return low - reach <= value && value <= high + reach;
}

double ColumnSource::value(double answer, bool described, double low, double high) const {
    if (curve) return curve->of(described).at(answer);
    const double more = bound ? bound->of(described) : 0.0;
    if (!line) return answer + more;
    return std::clamp(std::clamp(line->first + line->second * answer, low, high) + more, low, high);
}

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
        const GraphSpec& looks = graph_of(spec.graph);
        const bool resized = looks.input("resample_rows") != nullptr && looks.input("resample_cols") != nullptr;
        if (looks.input("pixels") == nullptr || resized == spec.view.native)
            refuse(own, "the inputs of the graph " + in_quotes(spec.graph) + " do not suit its view");
        for (const ColumnSource& source : spec.sources) check_number(source.output);
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
