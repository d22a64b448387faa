#include "dream.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "json.hpp"
#include "percentile.hpp"
#include "resample.hpp"
#include "text_format.hpp"

namespace realm {
namespace {

constexpr int kSmallWindowPx = 112;  // of a tower's input: such windows leave a core idle between operators
constexpr std::size_t kMostPhrases = 10000;

}  // namespace

Dream::Dream(DreamSpec spec, MapPolicy policy, std::shared_ptr<const TextEncoder> encoder, std::shared_ptr<const Session> session,
             const MemoryLimit& memory, std::size_t batch, bool bounded)
    : spec_(std::move(spec)),
      policy_(policy),
      encoder_(std::move(encoder)),
      session_(std::move(session)),
      memory_(memory),
      batch_(spec_.image_size_px <= kSmallWindowPx ? 2 * batch : batch),
      bounded_(bounded) {}

std::size_t Dream::fitting(std::uint64_t pixels) const {
    if (!bounded_) return batch_;
    return memory_.inputs_per_call(spec_.image_size_px, spec_.image_size_px, batch_, pixels, 0);
}

std::vector<float> Dream::embed(const std::vector<std::string>& texts) const {
    std::vector<float> stacked;
    const std::vector<Embedding> rows = encoder_->features(texts);
    for (const Embedding& row : rows) {
        if (row->size() != rows[0]->size())
            throw DeviceError("the text graph gives embeddings of several widths; export the bundle again");
        stacked.insert(stacked.end(), row->begin(), row->end());
    }
    return stacked;
}

std::vector<float> Dream::similarities(ImageView image, int window_px, const std::vector<std::int64_t>& top,
                                       const std::vector<std::int64_t>& left, const std::vector<float>& embeddings,
                                       std::size_t texts, const std::function<void(std::size_t)>& seen) const {
    const auto pixels = static_cast<std::uint64_t>(image.height) * static_cast<std::uint64_t>(image.width);
    const std::size_t batch = std::max<std::size_t>(1, fitting(pixels));
    const auto matrix = resample_matrix(window_px, spec_.image_size_px, spec_.interpolation);
    const auto count = static_cast<std::int64_t>(texts);
    const std::int64_t width = count > 0 ? static_cast<std::int64_t>(embeddings.size()) / count : 0;
    std::vector<float> result;
    result.reserve(top.size() * texts);
    std::vector<std::int64_t> own_top;
    for (std::size_t start = 0; start < top.size(); start += batch) {
        const std::size_t end = std::min(start + batch, top.size());
        const auto from = top.begin() + static_cast<std::ptrdiff_t>(start);
        own_top.assign(from, top.begin() + static_cast<std::ptrdiff_t>(end));
        // Only the rows that these windows touch: work per call is then free of the image's height.
        const auto [least, most] = std::minmax_element(own_top.begin(), own_top.end());
        const std::int64_t first = *least, rows = *most + window_px - first;
        for (std::int64_t& each : own_top) each -= first;
        const auto windows = static_cast<std::int64_t>(end - start);
        const std::vector<Feed> feeds{
            {"image", Element::uint8, image.rgb + static_cast<std::ptrdiff_t>(first) * image.width * 3,
             {rows, image.width, 3}},
            {"top", Element::int64, own_top.data(), {windows}},
            {"left", Element::int64, left.data() + start, {windows}},
            {"resample", Element::float32, matrix->data(), {spec_.image_size_px, window_px}},
            {"text", Element::float32, embeddings.data(), {count, width}},
        };
        const std::vector<float> values =
            finite(session_->run(feeds, "similarity", {windows, count}), "similarity");
        result.insert(result.end(), values.begin(), values.end());
        if (seen) seen(end - start);
    }
    return result;
}

RealnessMap Dream::map(ImageView image, const std::vector<std::string>& texts, const MapOptions& options) const {
    std::vector<WindowGrid> grids;
    std::size_t total = 0, done = 0;
    for (const int window : options.windows_px) {
        grids.emplace_back(image.height, image.width, window, options.stride_px);
        total += grids.back().count();
    }
    const std::vector<float> embeddings = embed(texts);
    std::vector<std::vector<double>> realness;
    for (const WindowGrid& grid : grids) {
        std::vector<std::int64_t> top(grid.count()), left(grid.count());
        for (std::size_t index = 0; index < grid.count(); ++index) {
            top[index] = grid.top(index);
            left[index] = grid.left(index);
        }
        const auto seen = [&](std::size_t windows) {
            done += windows;
            if (options.progress) options.progress(done, total);
        };
        const std::vector<float> values =
            similarities(image, grid.window_px, top, left, embeddings, texts.size(), seen);
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
        const double value = !similarity ? spread[at] : result.covered[at] != 0 ? 1.0 - spread[at] : 0.0;
        result.values[at] = static_cast<float>(value);
    }
    result.quantity = options.quantity;
    result.aggregate = maximum ? Aggregate::max : Aggregate::mean;
    result.windows_px = options.windows_px;
    result.stride_px = options.stride_px;
    result.texts = texts;
    result.windows = total;
    result.policy = policy_.regions;
    return result;
}

std::vector<Phrase> Dream::pick(const std::vector<BankEntry>& bank, ImageView image, int window_px) const {
    const WindowGrid grid(image.height, image.width, window_px, std::max(1, window_px / 2));
    std::vector<std::int64_t> top(grid.count()), left(grid.count());
    for (std::size_t index = 0; index < grid.count(); ++index) {
        top[index] = grid.top(index);
        left[index] = grid.left(index);
    }
    std::vector<std::string> texts;
    for (const BankEntry& entry : bank) texts.push_back(entry.text);
    const std::vector<float> values = similarities(image, window_px, top, left, embed(texts), texts.size());
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
    if (const std::string problem = json_problem(json, 4 * kMostPhrases + 1); !problem.empty()) throw refuse(problem);
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
        return entry.std > 0 && std::isfinite(entry.std) && std::isfinite(entry.mean);
    });
    if (entries.empty() || !sound)
        throw BundleError(where + ": a phrase bank needs phrases, each with std > 0; export the bundle again");
    return entries;
}

}  // namespace realm
