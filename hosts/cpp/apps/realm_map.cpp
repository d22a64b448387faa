// realm_map: pictures and values of where images do not look real.
#include <cmath>
#include <cstdio>
#include <limits>
#include <set>

#include "command_line.hpp"
#include "inputs.hpp"
#include "map_files.hpp"
#include "output.hpp"
#include "realm/realm.hpp"
#include "text_format.hpp"
#include "unicode.hpp"

namespace realm {
namespace {

constexpr std::size_t kAhead = 2;
constexpr const char* kHelp =
    "Usage: realm_map [OPTIONS] PATH...\n"
    "\n"
    "  Map where images look unreal: per image an overlay, a heat map, the values (.npy) and a record (.json).\n"
    "  Without --text and --descriptions, the bundle's phrases that fit an image best are used and named.\n"
    "\n"
    "  --text TEXT             What looks unreal. Given several times: the mean of their maps.\n"
    "  --descriptions CSV      A text per image, columns filename and description.\n"
    "  --preset NAME           Windows, stride and aggregate. [default: the one the bundle recommends]\n"
    "  --window PX             Window size; may be repeated.\n"
    "  --stride PX             Distance between windows.\n"
    "  --aggregate mean|max    How several window sizes are combined.\n"
    "  --quantity NAME         realness = 1 - cosine, low = unreal; similarity = cosine, high = unreal.\n"
    "                          [default: realness]\n"
    "  --output DIR            Folder to write to. [default: out/maps]\n"
    "  --format LIST           Files to write. [default: overlay,heatmap,npy,json]\n"
    "  --range LOW HIGH        Values at the ends of the colours. [default: each map's own]\n"
    "  --regions N             Most unreal regions to frame and list. [default: 5]\n";

struct Settings {
    CommonOptions common;
    std::vector<std::string> texts;
    MapOptions map;
    MapFolder folder{"out/maps", {}, {}, 5};
    std::string formats = "overlay,heatmap,npy,json";
};

std::vector<Option> options_of(Settings& settings) {
    using Values = const std::vector<std::string>&;
    std::vector<Option> options = common_options(settings.common);
    options.push_back({"--text", 1, [&](Values values) { settings.texts.push_back(values[0]); }});
    options.push_back({"--preset", 1, [&](Values values) { settings.map.preset = values[0]; }});
    options.push_back({"--window", 1, [&](Values values) {
                           settings.map.windows_px.push_back(whole_number("--window", values[0]));
                       }});
    options.push_back({"--stride", 1, [&](Values values) {
                           settings.map.stride_px = whole_number("--stride", values[0]);
                           if (settings.map.stride_px == 0)  // which would stand for the preset's
                               throw WindowError("window sizes and stride must be whole numbers from 1, not 0");
                       }});
    options.push_back({"--aggregate", 1, [&](Values values) {
                           if (values[0] != "mean" && values[0] != "max")
                               throw UsageError("--aggregate " + values[0] + ": choose one of mean, max");
                           settings.map.aggregate = values[0] == "max" ? Aggregate::max : Aggregate::mean;
                       }});
    options.push_back({"--quantity", 1, [&](Values values) {
                           if (values[0] != "realness" && values[0] != "similarity")
                               throw UsageError("--quantity " + values[0] + ": choose one of realness, similarity");
                           settings.map.quantity =
                               values[0] == "similarity" ? Quantity::similarity : Quantity::realness;
                       }});
    options.push_back({"--output", 1, [&](Values values) { settings.folder.folder = plain_path(values[0]); }});
    options.push_back({"--format", 1, [&](Values values) { settings.formats = values[0]; }});
    options.push_back({"--range", 2, [&](Values values) {
                           settings.folder.limits = {real_number("--range", values[0]), real_number("--range", values[1])};
                       }});
    options.push_back({"--regions", 1, [&](Values values) {
                           const int count = whole_number("--regions", values[0]);
                           if (count < 0) throw UsageError("--regions " + values[0] + ": give a number of at least 0");
                           settings.folder.regions = static_cast<std::size_t>(count);
                       }});
    return options;
}

void check_range(const MapFolder& folder) {
    if (!folder.limits) return;
    const auto [low, high] = *folder.limits;
    if (low < high && high < std::numeric_limits<double>::infinity()) return;
    char text[80];
    std::snprintf(text, sizeof text, "--range %g %g", low, high);
    throw UsageError(std::string(text) + ": give the lower value first, then the higher");
}

void say_phrases(const std::string& name, const std::vector<Phrase>& phrases) {
    std::vector<std::string> chosen;
    for (const Phrase& phrase : phrases) {
        char score[40];
        std::snprintf(score, sizeof score, " (z %+.1f)", phrase.z_score);
        chosen.push_back(phrase.text + score);
    }
    if (!chosen.empty()) say(name + ": phrases chosen: " + joined(chosen, "; "));
}

// Maps items in order and writes their files; returns how many failed.
std::size_t map_items(const Engine& engine, const std::vector<Item>& items, const Settings& settings) {
    const Info info = engine.info();
    const OrderedJson about{{"bundle", info.bundle},   {"weights", info.weights},
                            {"device", info.device},   {"runtime", info.runtime},
                            {"precision", info.map_precision}, {"threads", info.threads}};
    std::vector<std::string> names;
    for (const Item& item : items) names.push_back(item.file.name);
    const std::vector<std::string> stems = output_stems(names);
    Decoder decoder(items, 1, kAhead);
    ProgressLine progress("mapping", items.size());
    std::size_t failed = 0;
    for (std::size_t index = 0; index < items.size(); ++index) {
        const Item& item = items[index];
        const Decoder::Slot& slot = decoder.wait(index);
        std::string problem = slot.error;
        if (problem.empty()) {
            std::vector<std::string> texts = settings.texts;
            if (texts.empty() && item.text) texts.push_back(*item.text);
            MapOptions options = settings.map;
            options.progress = [&](std::size_t done, std::size_t total) {
                progress.show(static_cast<double>(index) + static_cast<double>(done) / static_cast<double>(total));
            };
            try {
                const RealnessMap map = engine.map(slot.image, texts, options);
                const char* source =
                    !map.phrases.empty() ? "phrases of the bundle" : settings.texts.empty() ? "descriptions" : "given";
                OrderedJson facts{{"image", item.file.name}, {"engine_version", std::string(version()) + " (C++)"}};
                facts.update(about);
                facts["text_source"] = source;
                settings.folder.write(stems[index], slot.image, map, facts);
                progress.clear();
                say_phrases(item.file.name, map.phrases);
            } catch (const OutputError&) {
                throw;
            } catch (const Error& error) {
                problem = error.what();
            } catch (const std::bad_alloc&) {
                problem = "not enough memory to map it";
            }
        }
        if (!problem.empty()) {
            ++failed;
            const bool named = problem.find(item.file.name) != std::string::npos;
            progress.clear();
            say("error: " + (named || !item.error.empty() ? problem : item.file.name + ": " + problem));
        }
        decoder.release(index);
    }
    return failed;
}

int run(const std::vector<std::string>& words) {
    Settings settings;
    const std::vector<std::string> paths = parse_words(words, options_of(settings));
    const CommonOptions& common = settings.common;
    if (common.help) return std::printf("%s%s", kHelp, kCommonHelp) < 0 ? 2 : 0;
    if (common.version)
        return std::printf("realm_map %s, ONNX Runtime %s\n", version(), runtime_version().c_str()) < 0 ? 2 : 0;
    if (paths.empty()) throw UsageError("missing argument PATH...; see --help");
    if (!settings.texts.empty() && !common.descriptions.empty())
        throw UsageError("--text contradicts --descriptions; give one of them");
    for (const std::string& text : settings.texts)
        if (unicode::is_blank(text)) throw UsageError("--text is empty; say what looks unreal, or leave it out");
    const auto files = collect_images(paths);
    const ByRoot by_root = common.descriptions.empty() ? ByRoot{} : descriptions_by_root(files, common.descriptions);
    const std::vector<Item> items = pair_items(files, by_root, common.text_required && settings.texts.empty());
    settings.folder.formats = parse_formats(settings.formats);
    check_range(settings.folder);
    check_folder(settings.folder.folder);
    say_descriptions(items, by_root);
    if (settings.texts.empty() && by_root.empty()) {
        std::set<std::string> found;
        for (const Item& item : items) found.insert(find_descriptions(item.file.root));
        for (const std::string& path : found)
            if (!path.empty()) say(path + " is not used; --descriptions " + path + " would use it");
    }
    const Engine engine = open_engine(common, true);
    engine.resolve(settings.map);
    engine.prepare_map();
    const std::size_t failed = map_items(engine, items, settings);
    say(std::to_string(items.size() - failed) + " of " + std::to_string(items.size()) + " maps in " +
        settings.folder.folder);
    return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace realm

int main(int count, char** words) { return realm::run_program(count, words, "realm_map", realm::run); }
