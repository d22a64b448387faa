// The columns of a measure: numbers and words, and how sure they are.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <set>

#include "limits.hpp"
#include "manifest_columns.hpp"
#include "realm/error.hpp"
#include "text_format.hpp"

namespace realm {
namespace {

constexpr int kMaxDecimals = 17;
constexpr std::size_t kMaxPoints = 4096;  // of a curve

[[noreturn]] void refuse(const std::string& where, const std::string& what) {
    throw BundleError(where + ": " + what + "; export the bundle again");
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

// What is said of a column of numbers and of words.
Column parse_told(const Section& entry) {
    Column column;
    column.name = entry.text("name");
    column.meaning = entry.text("meaning");
    column.better = entry.choice("better", {"high", "low"}) == "high" ? Better::high : Better::low;
    return column;
}

void parse_numbers(const Section& section, const char* key, MeasureSpec& into) {
    for (const OrderedJson& item : section.list(key)) {
        const Section entry(&item, section.where() + ", '" + key + "'");
        Column column = parse_told(entry);
        ColumnSource source;
        column.low = entry.number("low");
        column.high = entry.number("high");
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
}

// Columns whose output is the place of a word.
void parse_words(const Section& section, MeasureSpec& into) {
    constexpr const char* kKey = "word_columns";
    for (const OrderedJson& item : section.list(kKey)) {
        const Section entry(&item, section.where() + ", '" + kKey + "'");
        Column column = parse_told(entry);
        column.decimals = 0;
        for (const OrderedJson& word : entry.list("words")) {
            if (!word.is_string() || !is_name(word.get<std::string>()))
                refuse(entry.where(), "'words' must have letters, digits, '-' and '_', a letter first");
            column.words.push_back(word.get<std::string>());
        }
        if (column.words.size() < 2 ||
            std::set<std::string>(column.words.begin(), column.words.end()).size() != column.words.size())
            refuse(entry.where(), "'words' must be two or more different ones");
        column.high = static_cast<double>(column.words.size() - 1);
        into.told.columns.push_back(std::move(column));
        into.sources.push_back({entry.text("output"), {}, {}, {}});
    }
}

}  // namespace

bool is_name(const std::string& text) {
    constexpr std::size_t kLongest = 64 + 5;
    const auto letter = [](char each) { return (each >= 'a' && each <= 'z') || (each >= 'A' && each <= 'Z'); };
    const auto more = [&](char each) { return letter(each) || (each >= '0' && each <= '9') || each == '_' || each == '-'; };
    return !text.empty() && text.size() <= kLongest && letter(text.front()) && std::all_of(text.begin(), text.end(), more);
}

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

void parse_columns(const Section& measure, MeasureSpec& into) {
    parse_numbers(measure, "columns", into);
    if (measure.has("more_columns")) parse_numbers(measure, "more_columns", into);
    if (measure.has("word_columns")) parse_words(measure, into);
    if (into.sources.empty()) refuse(measure.where(), "no column");
}

}  // namespace realm
