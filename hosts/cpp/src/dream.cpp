#include "dream.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "adaptive.hpp"
#include "json.hpp"
#include "limits.hpp"
#include "percentile.hpp"
#include "text_format.hpp"
#include "windows.hpp"

namespace realm {
namespace {

// Of UTF-8: bytes that begin one.
std::size_t characters(const std::string& text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char each) { return (static_cast<unsigned char>(each) & 0xC0) != 0x80; }));
}

}  // namespace

std::optional<Photographs> PhotographScale::of(const TextEmbeddings& texts, const MapOptions& options) const {
    const auto sizes = static_cast<std::int64_t>(spec_.windows_px.size());
    std::vector<std::size_t> columns;
    for (const int size : options.windows_px) {
        const auto found = std::find(spec_.windows_px.begin(), spec_.windows_px.end(), size);
        if (found == spec_.windows_px.end() || options.encoder != spec_.encoder) return std::nullopt;
        columns.push_back(static_cast<std::size_t>(found - spec_.windows_px.begin()));
    }
    const std::vector<std::int64_t> shape{texts.texts, sizes};
    const std::vector<std::vector<float>> answers = session_->run({texts.feed()}, {Wanted{"mean", {shape}}, Wanted{"std", {shape}}});
    const std::vector<float> means = finite(answers[0], "mean"), stds = finite(answers[1], "std");
    if (std::any_of(means.begin(), means.end(), [](float value) { return std::abs(value) > limits::kCosine; }))
        throw BundleError("graph 'photographs': a mean is no cosine; export the bundle again");
    if (std::any_of(stds.begin(), stds.end(), [](float value) { return !(value >= limits::kLeastStd && value <= limits::kCosine); }))
        throw BundleError("graph 'photographs': a standard deviation is not above 0, or none of cosines; export the bundle again");
    const auto average = [&](const std::vector<float>& values) {
        double sum = 0.0;
        for (std::size_t text = 0; text < static_cast<std::size_t>(texts.texts); ++text)
            for (const std::size_t column : columns)
                sum += static_cast<double>(values[text * spec_.windows_px.size() + column]);
        return sum / static_cast<double>(static_cast<std::size_t>(texts.texts) * columns.size());
    };
    return Photographs{average(means), average(stds), std::nullopt};
}

TextEmbeddings Dream::embed(const std::vector<std::string>& texts) const {
    TextEmbeddings stacked;
    const std::vector<Embedding> rows = text_->features(texts);
    for (const Embedding& row : rows) {
        if (row->size() != rows[0]->size())
            throw DeviceError("the text graph gives embeddings of several widths; export the bundle again");
        stacked.values.insert(stacked.values.end(), row->begin(), row->end());
    }
    stacked.texts = static_cast<std::int64_t>(rows.size());
    return stacked;
}

RealnessMap Dream::map(const Canvas& canvas, const std::vector<std::string>& texts, const MapOptions& options) const {
    const ImageView image = canvas.image();
    std::vector<WindowGrid> grids;
    std::size_t total = 0, done = 0;
    for (const int window : options.windows_px) {
        grids.emplace_back(image.height, image.width, window, options.stride_px);
        total += windows_to_encode(grids.back().count(), options.fraction);
    }
    const TextEmbeddings embeddings = embed(texts);
    std::vector<std::vector<double>> realness;
    for (const WindowGrid& grid : grids) {
        const auto seen = [&](std::size_t windows) {
            done += windows;
            if (options.progress) options.progress(done, total);
        };
        const auto some = [&](const std::vector<std::size_t>& indices) {
            return canvas.similarities(grid, embeddings, seen, &indices);
        };
        const double overlap = static_cast<double>(grid.window_px) / grid.stride_px;
        const std::vector<float> values =
            options.fraction < 1.0
                ? adaptive_similarities(grid.rows, grid.cols, options.fraction, texts.size(), overlap, some)
                : canvas.similarities(grid, embeddings, seen);
        std::vector<double>& scale = realness.emplace_back(grid.count());
        for (std::size_t index = 0; index < scale.size(); ++index) {
            const float* first = values.data() + index * texts.size();
            scale[index] = 1.0 - std::accumulate(first, first + texts.size(), 0.0) / static_cast<double>(texts.size());
        }
    }
    const bool maximum = options.aggregate == Aggregate::max;
    const std::vector<double> spread = spread_scales(realness, grids, maximum);
    RealnessMap result;
    result.height = image.height;
    result.width = image.width;
    result.covered = covered_by_any(grids);
    result.values.resize(spread.size());
    const bool similarity = options.quantity == Quantity::similarity;
    for (std::size_t at = 0; at < spread.size(); ++at) {
        const double value = similarity ? 1.0 - spread[at] : spread[at];
        result.values[at] =
            result.covered[at] != 0 ? static_cast<float>(value) : std::numeric_limits<float>::quiet_NaN();
    }
    result.quantity = options.quantity;
    result.aggregate = maximum ? Aggregate::max : Aggregate::mean;
    result.windows_px = options.windows_px;
    result.stride_px = options.stride_px;
    result.encoder = options.encoder;
    result.texts = texts;
    result.windows = total;
    for (const WindowGrid& grid : grids) result.windows_of_grid += grid.count();
    result.policy = policy_.regions;
    if (photographs_) result.photographs = photographs_->of(embeddings, options);
    return result;
}

std::vector<Phrase> Dream::pick(const std::vector<BankEntry>& bank, const Canvas& canvas, int window_px) const {
    const ImageView image = canvas.image();
    const WindowGrid grid(image.height, image.width, window_px, std::max(1, window_px / 2));
    std::vector<std::string> texts;
    for (const BankEntry& entry : bank) texts.push_back(entry.text);
    const std::vector<float> values = canvas.similarities(grid, embed(texts));
    // A flaw is local: a mean over windows would dilute it, and a maximum would follow a single one.
    std::vector<double> scores, column(grid.count());
    for (std::size_t phrase = 0; phrase < bank.size(); ++phrase) {
        for (std::size_t index = 0; index < column.size(); ++index)
            column[index] =
                (static_cast<double>(values[index * bank.size() + phrase]) - bank[phrase].mean) / bank[phrase].std;
        scores.push_back(percentile(column, policy_.phrases.percentile));
    }
    std::vector<std::size_t> order(bank.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t one, std::size_t other) { return scores[one] > scores[other]; });
    std::vector<Phrase> chosen;
    for (std::size_t at = 0; at < std::min(static_cast<std::size_t>(policy_.phrases.most), order.size()); ++at) {
        const double score = scores[order[at]];
        if (score < scores[order[0]] - policy_.phrases.margin_z) break;
        chosen.push_back({bank[order[at]].text, bank[order[at]].kind, std::nearbyint(score * 1000.0) / 1000.0});
    }
    return chosen;
}

std::vector<BankEntry> read_bank(const std::string& json, const std::string& where) {
    const auto refuse = [&](const std::string& why) {
        return BundleError(where + ": not a phrase bank (" + why + "); export the bundle again");
    };
    if (const std::string problem = json_problem(json, limits::kManifestMembers); !problem.empty()) throw refuse(problem);
    std::vector<BankEntry> entries;
    try {
        const Json file = Json::parse(json);
        for (const Json& item : file.at("phrases"))
            entries.push_back({item.at("text").get<std::string>(), item.at("kind").get<std::string>(),
                               item.at("mean").get<double>(), item.at("std").get<double>()});
    } catch (const Json::exception& error) {
        throw refuse(one_line(error.what()));
    }
    const bool sound = std::all_of(entries.begin(), entries.end(), [](const BankEntry& entry) {
        const auto cosine = static_cast<double>(limits::kCosine);
        return entry.std >= static_cast<double>(limits::kLeastStd) && entry.std <= cosine && std::abs(entry.mean) <= cosine &&
               characters(entry.text) <= limits::kPhraseCharacters;
    });
    if (entries.empty() || entries.size() > limits::kPhrases || !sound)
        throw BundleError(where + ": a phrase bank needs 1 to " + std::to_string(limits::kPhrases) + " phrases of at most " +
                          std::to_string(limits::kPhraseCharacters) + " characters, with mean and std > 0 of cosines; export the bundle again");
    return entries;
}

}  // namespace realm
