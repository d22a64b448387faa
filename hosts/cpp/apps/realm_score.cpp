// realm_score: a table of how real images look.
#include <cmath>
#include <cstdio>
#include <optional>
#include <unistd.h>

#include "command_line.hpp"
#include "inputs.hpp"
#include "output.hpp"
#include "realm/realm.hpp"
#include "unicode.hpp"

namespace realm {
namespace {

constexpr std::size_t kMaxDecoders = 4;
constexpr const char* kHelp =
    "Usage: realm_score [OPTIONS] PATH...\n"
    "\n"
    "  Score images, or the images in directories: MOS (a z-score) and realness (0-100), higher = more real.\n"
    "  Columns: filename, mos, realness, description, error.\n"
    "\n"
    "  --text TEXT             The description of all images.\n"
    "  --descriptions CSV      Texts, columns filename and description.\n"
    "                          [default: image_descriptions.csv in or beside PATH]\n"
    "  --no-descriptions       Look for no descriptions: score the images alone.\n"
    "  --batch-size N          Images of one call; changes no result. [default: 8, on a GPU 32]\n"
    "  --output FILE           Table to write, .csv. [default: CSV on stdout]\n";

// Rows on stdout as they come, or all of them in a file at the end.
class Table {
public:
    explicit Table(std::string path) : path_(std::move(path)) {}

    void write(const std::vector<std::string>& fields) {
        if (!begun_) text_ = csv_line({"filename", "mos", "realness", "description", "error"});
        begun_ = true;
        text_ += csv_line(fields);
        if (!path_.empty()) return;
        if (std::fwrite(text_.data(), 1, text_.size(), stdout) != text_.size() || std::fflush(stdout) != 0)
            throw OutputError("stdout: cannot be written");
        text_.clear();
    }

    void finish() const {
        if (path_.empty()) return;
        write_atomically(path_, text_);
        say("wrote " + path_);
    }

private:
    std::string path_, text_;
    bool begun_ = false;
};

struct Settings {
    CommonOptions common;
    std::optional<std::string> text;
    bool no_descriptions = false;
    std::size_t batch = 0;
    std::string output;
};

// Scores items in order, images of one size together; returns how many failed.
std::size_t score_items(const Engine& engine, const std::vector<Item>& items, const Settings& settings, Table& table) {
    const Info info = engine.info();
    const std::size_t batch = settings.batch > 0 ? settings.batch : info.device == "cpu" ? 8 : 32;
    const std::size_t threads = std::min(kMaxDecoders, static_cast<std::size_t>(info.threads));
    Decoder decoder(items, threads, 2 * batch + threads);
    ProgressLine progress("scoring", items.size(), !settings.output.empty() || ::isatty(STDOUT_FILENO) == 0);
    std::vector<std::optional<Score>> scores(items.size());
    std::size_t failed = 0;
    for (std::size_t index = 0; index < items.size(); ++index) {
        Decoder::Slot& slot = decoder.wait(index);
        if (!scores[index] && slot.error.empty()) {
            std::vector<std::size_t> chosen;
            std::vector<ImageView> images;
            std::vector<std::string> texts;
            for (std::size_t other = index; other < items.size() && chosen.size() < batch; ++other) {
                const Decoder::Slot* candidate = other == index ? &slot : decoder.if_ready(other);
                if (candidate == nullptr) break;  // never wait: a decoder may wait for the memory of this one
                const bool fits = !scores[other] && candidate->error.empty() &&
                                  candidate->image.height == slot.image.height && candidate->image.width == slot.image.width;
                if (!fits) continue;
                chosen.push_back(other);
                images.push_back(candidate->image);
                texts.push_back(items[other].text.value_or(""));
            }
            constexpr const char* kNoMemory = "not enough memory to score it";
            try {
                const std::vector<Score> found = engine.score(images, texts);
                for (std::size_t at = 0; at < chosen.size(); ++at) scores[chosen[at]] = found[at];
            } catch (const std::exception&) {  // one by one: who is to blame?
                for (std::size_t at = 0; at < chosen.size(); ++at) {
                    try {
                        scores[chosen[at]] = engine.score(images[at], texts[at]);
                    } catch (const Error& error) {
                        decoder.if_ready(chosen[at])->error = error.what();
                    } catch (const std::bad_alloc&) {
                        decoder.if_ready(chosen[at])->error = kNoMemory;
                    }
                }
            }
        }
        const bool number = scores[index] && std::isfinite(scores[index]->mos);
        if (scores[index] && !number) slot.error = "the model's answer is not a number";
        failed += number ? 0 : 1;
        const bool described = items[index].error.empty();
        table.write({items[index].file.name, number ? fixed(scores[index]->mos, 6) : "",
                     number ? fixed(scores[index]->realness, 4) : "",
                     described ? items[index].text.value_or("") : "", number ? "" : slot.error});
        decoder.release(index);
        progress.show(static_cast<double>(index) + 1);
    }
    return failed;
}

int run(const std::vector<std::string>& words) {
    Settings settings;
    std::vector<Option> options = common_options(settings.common);
    using Values = const std::vector<std::string>&;
    options.push_back({"--text", 1, [&](Values values) { settings.text = values[0]; }});
    options.push_back({"--no-descriptions", 0, [&](Values) { settings.no_descriptions = true; }});
    options.push_back({"--output", 1, [&](Values values) { settings.output = plain_path(values[0]); }});
    options.push_back({"--batch-size", 1, [&](Values values) {
                           settings.batch = static_cast<std::size_t>(positive_number("--batch-size", values[0]));
                       }});
    const std::vector<std::string> paths = parse_words(words, options);
    const CommonOptions& common = settings.common;
    if (common.help) return std::printf("%s%s", kHelp, kCommonHelp) < 0 ? 2 : 0;
    if (common.version)
        return std::printf("realm_score %s, ONNX Runtime %s\n", version(), runtime_version().c_str()) < 0 ? 2 : 0;
    if (paths.empty()) throw UsageError("missing argument PATH...; see --help");
    if (settings.no_descriptions && !common.descriptions.empty())
        throw UsageError("--no-descriptions contradicts --descriptions; give one of them");
    if (settings.text && !common.descriptions.empty())
        throw UsageError("--text contradicts --descriptions; give one of them");
    const auto files = collect_images(paths);
    const ByRoot by_root = settings.no_descriptions || settings.text ? ByRoot{}
                                                                     : descriptions_by_root(files, common.descriptions);
    std::vector<Item> items = pair_items(files, by_root, common.text_required && !settings.text);
    if (settings.text && !unicode::is_blank(*settings.text))
        for (Item& item : items) item.text = settings.text;
    if (!settings.output.empty()) {
        std::vector<std::string> keep;
        for (const auto& entry : by_root) keep.push_back(entry.second.source);
        check_table(settings.output, keep);
    }
    say_descriptions(items, by_root);
    const Engine engine = open_engine(common, false);
    bool described = false;
    for (const Item& item : items) described = described || item.text;
    engine.prepare_score(described);
    Table table(settings.output);
    const std::size_t failed = score_items(engine, items, settings, table);
    table.finish();
    if (failed == 0) return 0;
    say(std::to_string(failed) + " of " + std::to_string(items.size()) + " images failed; see the column error");
    return 1;
}

}  // namespace
}  // namespace realm

int main(int count, char** words) { return realm::run_program(count, words, "realm_score", realm::run); }
