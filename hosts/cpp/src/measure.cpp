// Measures of pictures: which are asked for, which graphs that takes, and the values of their columns.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "parts.hpp"
#include "unicode.hpp"

namespace realm {
namespace {

const std::vector<std::vector<std::int64_t>> kOneNumber{{}, {1}};  // of a picture, without the batch
const std::vector<std::vector<std::int64_t>> kFeatures{{-1}};
const std::vector<std::vector<std::int64_t>> kMoments{{nss::kScales, nss::kFields, nss::kMoments}};
const std::vector<std::vector<std::int64_t>> kMomentsOfBlocks{{-1, nss::kScales, nss::kFields, nss::kMoments}};

// What is asked of one graph through one view, for all the measures that share it.
struct Request {
    const MeasureSpec* first;
    std::vector<Wanted> outputs;
    bool reads_text = false;

    std::size_t place(const std::string& output) const {
        const auto found = std::find_if(outputs.begin(), outputs.end(), [&](const Wanted& each) { return each.name == output; });
        return static_cast<std::size_t>(found - outputs.begin());
    }

    void add(const std::string& output, const std::vector<std::vector<std::int64_t>>& shapes) {
        const std::size_t at = place(output);
        if (at == outputs.size()) outputs.push_back({output, shapes});
        else if (outputs[at].shapes != shapes) outputs[at].shapes = {{1}};  // a column that is a feature as well
    }
};

std::string key_of(const MeasureSpec& spec) { return spec.graph + "\n" + spec.view.key(); }

std::map<std::string, Request> requests_of(const std::vector<const MeasureSpec*>& chosen) {
    std::map<std::string, Request> requests;
    for (const MeasureSpec* spec : chosen) {
        Request& request = requests.try_emplace(key_of(*spec), Request{spec, {}, false}).first->second;
        request.reads_text = request.reads_text || spec->reads_text();
        if (spec->counts()) request.add(kMomentsOutput, spec->gaussian.empty() ? kMoments : kMomentsOfBlocks);
        else if (!spec->head.empty()) request.add(spec->features, kFeatures);
        else for (const ColumnSource& source : spec->sources) request.add(source.output, kOneNumber);
    }
    return requests;
}

// NaN also where the answer is a number that the column cannot have (3e38: a float16 that overflowed), or no place of a word.
double value_of(float answer, bool described, const Column& column, const ColumnSource& source) {
    constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
    const auto value = static_cast<double>(answer);
    if (!column.words.empty())
        return value >= column.low && value <= column.high && value == std::floor(value) ? value : kNone;
    if (!source.plausible(value, described, column.low, column.high)) return kNone;
    return source.value(value, described, column.low, column.high);
}

// What is wrong with an answer that is no value of a column.
std::string problem_of(const MeasureSpec& spec, std::size_t column, float answer) {
    const std::string where = "measure " + spec.told.name + ": ";
    const std::string by = " (" + spec.sources[column].output + " of graph " + spec.answers() + ")";
    if (!std::isfinite(answer)) return where + "the model's answer is not a number" + by;
    char number[32];
    std::snprintf(number, sizeof number, "%g", static_cast<double>(answer));
    return where + "the model's answer is " + number + by + ", far outside what " + spec.told.columns[column].name + " can be";
}

// Outputs of a head, in the order of its columns, from features of so many pictures.
std::vector<std::vector<float>> run_head(const Session& session, const std::string& input, const MeasureSpec& spec,
                                         const std::vector<float>& features, std::int64_t count) {
    Request request{&spec, {}, false};
    for (const ColumnSource& source : spec.sources) request.add(source.output, {{count}, {count, 1}});
    const std::int64_t width = static_cast<std::int64_t>(features.size()) / count;
    const auto answers =
        session.run({{input.c_str(), Element::float32, features.data(), {count, width}}}, request.outputs);
    std::vector<std::vector<float>> columns;
    for (const ColumnSource& source : spec.sources) columns.push_back(answers[request.place(source.output)]);
    return columns;
}

}  // namespace

const MeasureSpec& Engine::Parts::core() const {
    for (const MeasureSpec& spec : bundle.measures())
        if (spec.reads_text()) return spec;
    throw BundleError(bundle.name() + ": this bundle has no CORE and cannot score; use another");
}

std::vector<const MeasureSpec*> Engine::Parts::choose(const std::vector<std::string>& names) const {
    std::vector<const MeasureSpec*> chosen;
    std::vector<std::string> known;
    for (const MeasureSpec& spec : bundle.measures()) {
        if (!spec.problem.empty()) continue;
        known.push_back(spec.told.name);
        if (names.empty()) chosen.push_back(&spec);
    }
    if (known.empty())
        throw BundleError(bundle.name() + ": this bundle has no measure that this host supports and cannot score; use "
                          "another");
    for (const std::string& name : names) {
        const auto& all = bundle.measures();
        const auto found = std::find_if(all.begin(), all.end(), [&](const MeasureSpec& spec) { return spec.told.name == name; });
        if (found == all.end())
            throw UsageError("measure " + name + " is not in this bundle; it has " + joined(known));
        if (!found->problem.empty()) throw UsageError("measure " + name + " " + found->problem);
        chosen.push_back(&*found);
    }
    return chosen;
}

void Engine::Parts::prepare(const std::vector<const MeasureSpec*>& chosen, bool with_text) {
    const bool reads = std::any_of(chosen.begin(), chosen.end(), [](const MeasureSpec* spec) { return spec->reads_text(); });
    if (reads) need("core");
    auto text = reads && with_text ? std::async(std::launch::async, [&] { core_encoder(); }) : std::future<void>{};
    for (const MeasureSpec* spec : chosen) {
        looker(*spec)->per_call(1, 1);
        if (!spec->head.empty()) head(spec->head);
        if (!spec->machine.empty()) head(spec->machine);
        if (!spec->gaussian.empty()) gaussian(spec->gaussian);
    }
    if (text.valid()) text.get();
}

// The number of a measure that counts, of each picture; NaN, and why, where one has none. `moments`: of all pictures.
std::vector<float> Engine::Parts::counted(const MeasureSpec& spec, const std::vector<float>& moments,
                                          std::vector<std::string>& reasons) {
    const std::size_t each = moments.size() / reasons.size();
    std::vector<float> numbers(reasons.size(), std::numeric_limits<float>::quiet_NaN());
    for (std::size_t at = 0; at < reasons.size(); ++at) {
        const float* own = moments.data() + at * each;
        try {
            if (!spec.gaussian.empty()) {
                numbers[at] = static_cast<float>(nss::niqe(own, each / nss::kPicture, *gaussian(spec.gaussian)));
                continue;
            }
            const nss::Features found = nss::brisque_features(own);
            const std::vector<float> features(found.begin(), found.end());
            const std::vector<Feed> feeds{{kMachineInput, Element::float32, features.data(), {1, nss::kFeatures}}};
            numbers[at] = head(spec.machine)->run(feeds, {Wanted{spec.sources[0].output, {{1}, {1, 1}}}}).at(0).at(0);
        } catch (const ImageError& error) {
            reasons[at] = error.what();
        }
    }
    return numbers;
}

std::vector<Measured> Engine::Parts::measure(const std::vector<const MeasureSpec*>& chosen,
                                             const std::vector<ImageView>& images,
                                             const std::vector<std::string>& texts) {
    const std::map<std::string, Request> requests = requests_of(chosen);
    const bool reads = std::any_of(requests.begin(), requests.end(), [](const auto& each) { return each.second.reads_text; });
    std::vector<std::string> present;
    std::vector<std::size_t> owners;
    for (std::size_t index = 0; reads && index < texts.size(); ++index) {
        if (unicode::is_blank(texts[index])) continue;
        present.push_back(texts[index]);
        owners.push_back(index);
    }
    prepare(chosen, !present.empty());
    if (reads && present.size() < images.size() && bundle.core()->missing_text == "empty-description" && warn)
        std::call_once(warned_of_missing_text, [&] {
            warn(
                "this bundle was never trained without descriptions: where one is missing it is scored as if it "
                "were empty, which is less reliable (said once)");
        });
    const std::vector<Embedding> embedded = present.empty() ? std::vector<Embedding>{} : core_encoder()->features(present);
    TextRows rows(images.size(), nullptr);
    for (std::size_t at = 0; at < owners.size(); ++at) rows[owners[at]] = embedded[at].get();

    std::map<std::pair<int, int>, std::vector<std::size_t>> groups;
    for (std::size_t index = 0; index < images.size(); ++index)
        groups[{images[index].height, images[index].width}].push_back(index);
    std::vector<Measured> measured(images.size());
    for (const auto& group : groups) {
        const std::vector<std::size_t>& indices = group.second;
        std::vector<ImageView> views;
        TextRows own_rows;
        for (const std::size_t index : indices) {
            views.push_back(images[index]);
            own_rows.push_back(rows[index]);
        }
        const TextRows no_rows(views.size(), nullptr);
        std::map<std::string, std::vector<std::vector<float>>> answers;
        const auto fits = [&](const MeasureSpec& spec) { return std::min(group.first.first, group.first.second) >= spec.view.least_px; };
        for (const auto& [key, request] : requests)
            if (fits(*request.first)) answers[key] = looker(*request.first)->look(views, request.reads_text ? own_rows : no_rows, request.outputs);
        for (const MeasureSpec* spec : chosen) {
            const Request& request = requests.at(key_of(*spec));
            const auto& found = answers[key_of(*spec)];
            std::vector<std::vector<float>> columns;
            std::vector<std::string> reasons(views.size());  // why a picture has no number of this measure
            if (!fits(*spec)) {
                const std::string least = std::to_string(spec->view.least_px);
                reasons.assign(views.size(), "needs at least " + least + " x " + least + " pixels, this image has " +
                                                 std::to_string(views[0].width) + " x " + std::to_string(views[0].height));
                columns.assign(spec->sources.size(), std::vector<float>(views.size(), std::numeric_limits<float>::quiet_NaN()));
            } else if (spec->counts()) {
                columns.assign(spec->sources.size(), counted(*spec, found[request.place(kMomentsOutput)], reasons));
            } else if (!spec->head.empty()) {
                const std::string& input = bundle.graphs().at(spec->head).inputs.at(0).name;
                columns = run_head(*head(spec->head), input, *spec, found[request.place(spec->features)],
                                   static_cast<std::int64_t>(views.size()));
            } else {
                for (const ColumnSource& source : spec->sources) columns.push_back(found[request.place(source.output)]);
            }
            for (std::size_t at = 0; at < indices.size(); ++at) {
                Measured& into = measured[indices[at]];
                std::string wrong;
                const bool described = spec->reads_text() && own_rows[at] != nullptr;
                for (std::size_t column = 0; column < columns.size(); ++column) {
                    const Column& told = spec->told.columns[column];
                    const double value = value_of(columns[column][at], described, told, spec->sources[column]);
                    into.values.push_back(value);
                    const bool word = !told.words.empty() && !std::isnan(value);
                    into.words.push_back(word ? told.words[static_cast<std::size_t>(value)] : "");
                    if (told.flag_above && value > *told.flag_above) into.flags.push_back(told.name);
                    if (std::isnan(value) && wrong.empty()) 
                        wrong = reasons[at].empty() ? problem_of(*spec, column, columns[column][at])
                                                    : spec->told.name + ": " + reasons[at];
                }
                if (wrong.empty()) continue;
                into.error += (into.error.empty() ? "" : "; ") + wrong;
            }
        }
    }
    return measured;
}

}  // namespace realm
