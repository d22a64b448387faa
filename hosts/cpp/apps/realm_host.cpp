// An example of a host: measures pictures to CSV on stdout, and maps them to files. Everything else is in the library.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <map>
#include <optional>
#include <set>

#include <CLI11/CLI11.hpp>

#include "files.hpp"
#include "realm/realm.hpp"
#include "system.hpp"

namespace {

namespace fs = std::filesystem;

struct Settings {
    std::string bundle, descriptions, text, output = "out/maps", aggregate, quantity = "realness";
    realm::Options engine;
    std::vector<std::string> paths, measures, texts;
    realm::MapOptions map;
};

void say(const std::string& line) { std::fprintf(stderr, "%s\n", host::printable(line).c_str()); }

// What was left out or happened to several pictures: the first three names, and how many more.
std::string named(const std::vector<std::string>& names) {
    constexpr std::size_t kNamed = 3;
    std::string text;
    for (std::size_t at = 0; at < std::min(kNamed, names.size()); ++at) text += (at > 0 ? ", " : "") + names[at];
    return names.size() <= kNamed ? text : text + " and " + std::to_string(names.size() - kNamed) + " more";
}

// Pictures whose colours stay those of their profile, said once.
class Profiles {
public:
    void add(const std::string& name, const realm::Image& image) {
        if (!image.profile.empty()) names_.push_back(name + " (" + image.profile + ")");
    }
    void tell() const {
        if (names_.empty()) return;
        say("warning: colours that are not sRGB are read as if they were: " + named(names_) +
            "; build with Little CMS (liblcms2-dev) to convert them");
    }

private:
    std::vector<std::string> names_;
};

// The paths themselves, and for a folder the JPEG and PNG files in it.
std::vector<std::string> pictures(const std::vector<std::string>& paths) {
    std::vector<std::string> found;
    for (const std::string& path : paths) {
        std::error_code failed;
        if (!fs::exists(host::path_of(path), failed)) throw realm::ImageError(path + ": no such file or folder");
        if (!fs::is_directory(host::path_of(path), failed)) {
            found.push_back(path);
            continue;
        }
        std::vector<std::string> inside, left_out;
        for (fs::directory_iterator at(host::path_of(path), failed), end; !failed && at != end; at.increment(failed)) {
            std::string extension = host::text_of(at->path().extension());
            for (char& each : extension) each = static_cast<char>(std::tolower(static_cast<unsigned char>(each)));
            if (extension != ".jpg" && extension != ".jpeg" && extension != ".png") continue;
            // A link that leads nowhere is a picture that cannot be read; a pipe would be waited for.
            std::error_code unknown;
            const bool other = fs::is_other(at->status(unknown)) || fs::is_directory(at->status(unknown));
            (other ? left_out : inside).push_back(host::text_of(at->path()));
        }
        if (failed) throw realm::ImageError(path + ": cannot be listed (" + failed.message() + ")");
        std::sort(left_out.begin(), left_out.end());
        if (!left_out.empty()) say("left out: " + named(left_out) + " (no regular file)");
        if (inside.empty()) throw realm::ImageError(path + ": no .jpg, .jpeg or .png in this folder");
        std::sort(inside.begin(), inside.end());
        found.insert(found.end(), inside.begin(), inside.end());
    }
    return found;
}

// The description of each picture, by its path or its bare file name; blank where there is none.
std::vector<std::string> descriptions(const std::vector<std::string>& paths, const std::string& csv) {
    std::vector<std::string> texts(paths.size());
    if (csv.empty()) return texts;
    const auto known = host::read_descriptions(csv);
    for (std::size_t at = 0; at < paths.size(); ++at)
        for (const std::string& name : {host::text_of(host::path_of(paths[at]).filename()), paths[at]})
            if (const auto found = known.find(name); found != known.end()) texts[at] = found->second;
    return texts;
}

// What the process can take, whoever asks for it: a graph of a stranger that makes a constant of 5 GB fails as any call
// for which there is no memory. The limit that was given, else 4 GiB and eight times the files; stacks of threads count.
void hold_within(const Settings& settings) {
    constexpr std::uint64_t kUsual = std::uint64_t{4} << 30, kStack = std::uint64_t{8} << 20, kFilesTimes = 8;
    constexpr std::uint64_t kLeast = std::uint64_t{256} << 20;  // with less, models would fail without saying what they need
    if (settings.engine.device != "cpu") return;  // a GPU's libraries reserve more than they use
    std::uint64_t bytes = settings.engine.max_memory;
    if (bytes == 0) {
        bytes = kUsual;
        std::error_code unknown;
        for (const auto& entry : fs::directory_iterator(host::path_of(settings.bundle), unknown)) {
            std::error_code ignored;
            const std::uintmax_t size = fs::file_size(entry.path(), ignored);
            if (!ignored) bytes += kFilesTimes * size;
        }
    }
    host::hold_within(std::max(bytes, kLeast), kStack);
}

realm::Engine open_engine(Settings& settings) {
    if (settings.bundle.empty()) throw realm::UsageError("no bundle; give --bundle DIR, a folder that holds bundle.json");
    hold_within(settings);
    settings.engine.on_warning = [](const std::string& warning) { say("warning: " + warning); };
    return realm::Engine(host::path_of(settings.bundle), settings.engine);
}

// What an action threw, in one line; empty where it threw nothing. Bugs go on.
template <typename Action>
std::string problem_of(const Action& action) {
    try {
        action();
        return {};
    } catch (const realm::OutputError&) {
        throw;
    } catch (const realm::Error& error) {
        return error.what();
    } catch (const std::bad_alloc&) {
        return "not enough memory; use a smaller picture";
    }
}

// The usual range and direction of a column, or its words, as the Python engine lists them.
std::string span(const realm::Column& column) {
    std::string text;
    for (const std::string& word : column.words) text += (text.empty() ? "" : ", ") + word;
    if (!text.empty()) return text;
    char range[64];
    std::snprintf(range, sizeof range, "%g to %g, %s = better", column.low, column.high,
                  column.better == realm::Better::high ? "high" : "low");
    return range;
}

int list_measures(Settings& settings) {
    const realm::Engine engine = open_engine(settings);
    for (const realm::LeftOut& other : engine.left_out())
        say("left out: " + host::printable(other.name + " " + other.why));
    for (const realm::Measure& measure : engine.measures())
        for (const realm::Column& column : measure.columns)
            std::printf("%s: %s, %s: %s\n", measure.name.c_str(), column.name.c_str(), span(column).c_str(),
                        host::printable(column.meaning).c_str());
    return 0;
}

int score(Settings& settings) {
    const std::vector<std::string> paths = pictures(settings.paths);
    std::vector<std::string> texts = descriptions(paths, settings.descriptions);
    if (!settings.text.empty()) texts.assign(paths.size(), settings.text);
    const realm::Engine engine = open_engine(settings);
    const std::vector<realm::Measure> all = engine.measures();
    std::vector<std::string> names = settings.measures;
    if (names.empty() && !all.empty()) names = {all[0].name};
    if (names == std::vector<std::string>{"all"}) {
        names.clear();
        for (const realm::Measure& measure : all) names.push_back(measure.name);
    }
    engine.prepare_measure(names, std::any_of(texts.begin(), texts.end(), [](const auto& text) { return !text.empty(); }));
    std::vector<realm::Column> columns;
    std::string header = "filename,";
    for (const std::string& name : names)
        for (const realm::Measure& measure : all)
            if (measure.name == name) columns.insert(columns.end(), measure.columns.begin(), measure.columns.end());
    for (const realm::Column& column : columns) header += host::csv_field(column.name) + ",";
    std::printf("%sdescription,error\n", header.c_str());
    const auto decode = [&](std::size_t at) {
        return std::async(std::launch::async, [&paths, at] { return realm::load_image(host::path_of(paths[at])); });
    };
    std::future<realm::Image> next = decode(0);
    // Into a file or pipe goes what a name is; a terminal would obey what is in it.
    const bool seen = host::is_seen();
    const auto cell = [&](const std::string& text) { return host::csv_field(seen ? host::printable(text) : text); };
    std::size_t failed = 0;
    Profiles profiles;
    std::map<std::string, std::size_t> flagged;
    for (std::size_t at = 0; at < paths.size(); ++at) {
        std::future<realm::Image> current = std::move(next);
        if (at + 1 < paths.size()) next = decode(at + 1);  // while the model looks at this one
        realm::Measured answer;
        const std::string problem = problem_of([&] {
            const realm::Image image = current.get();
            profiles.add(paths[at], image);
            answer = engine.measure(image, texts[at], names);
        });
        if (!problem.empty()) answer.error = problem;
        for (const std::string& name : answer.flags) ++flagged[name];
        failed += answer.error.empty() ? 0 : 1;
        answer.values.resize(columns.size(), NAN);
        answer.words.resize(columns.size());
        std::printf("%s,", cell(paths[at]).c_str());
        for (std::size_t column = 0; column < columns.size(); ++column) {
            if (!columns[column].words.empty()) std::printf("%s", answer.words[column].c_str());
            else if (std::isfinite(answer.values[column])) std::printf("%.*f", columns[column].decimals, answer.values[column]);
            std::printf(",");
        }
        std::printf("%s,%s\n", cell(texts[at]).c_str(), cell(answer.error).c_str());
        if (std::fflush(stdout) != 0) throw realm::OutputError("stdout: cannot be written");
    }
    for (const realm::Column& column : columns)
        if (flagged[column.name] > 0) {
            char limit[32];
            std::snprintf(limit, sizeof limit, "%g", *column.flag_above);
            say(std::to_string(flagged[column.name]) + " of " + std::to_string(paths.size()) + " images have " + column.name +
                " above " + limit + " (" + column.meaning + "): distrust their scores");
        }
    profiles.tell();
    if (failed > 0) say(std::to_string(failed) + " of " + std::to_string(paths.size()) + " images failed; see the column error");
    return failed == 0 ? 0 : 1;
}

int map(Settings& settings) {
    const std::vector<std::string> paths = pictures(settings.paths);
    const std::vector<std::string> texts = descriptions(paths, settings.descriptions);
    std::vector<std::string> stems;
    for (const std::string& path : paths) stems.push_back(host::text_of(host::path_of(settings.output) / host::path_of(path).stem()));
    if (std::set<std::string>(stems.begin(), stems.end()).size() != stems.size())
        throw realm::UsageError("two images have the same name without extension; map them into different --output");
    if (!settings.aggregate.empty())
        settings.map.aggregate = settings.aggregate == "max" ? realm::Aggregate::max : realm::Aggregate::mean;
    settings.map.quantity = settings.quantity == "similarity" ? realm::Quantity::similarity : realm::Quantity::realness;
    std::error_code failed_folder;
    fs::create_directories(host::path_of(settings.output), failed_folder);
    if (!fs::is_directory(host::path_of(settings.output), failed_folder))
        throw realm::OutputError(settings.output + ": is no folder and cannot be made; choose another --output");
    const realm::Engine engine = open_engine(settings);
    engine.prepare_map(settings.map);
    std::size_t failed = 0, known = 0, silent = 0;
    Profiles profiles;
    for (std::size_t at = 0; at < paths.size(); ++at) {
        const std::string problem = problem_of([&] {
            const realm::Image image = realm::load_image(host::path_of(paths[at]));
            profiles.add(paths[at], image);
            std::vector<std::string> own = settings.texts;
            if (own.empty() && !texts[at].empty()) own = {texts[at]};
            const realm::RealnessMap found = engine.map(image, own, settings.map);
            host::write_map(stems[at], paths[at], image, found, engine.info());
            const std::optional<bool> stands_out = found.stands_out();
            known += stands_out ? 1 : 0;
            silent += stands_out && !*stands_out ? 1 : 0;
        });
        if (problem.empty()) continue;
        ++failed;
        say("error: " + (problem.rfind(paths[at], 0) == 0 ? "" : paths[at] + ": ") + problem);
    }
    profiles.tell();
    say(std::to_string(paths.size() - failed) + " of " + std::to_string(paths.size()) + " maps in " + settings.output);
    if (known > 0) say("nothing stands out in " + std::to_string(silent) + " of " + std::to_string(known) + " maps");
    return failed == 0 ? 0 : 1;
}

void describe(CLI::App& app, Settings& settings) {
    const CLI::Range kPositive(1, 1'000'000);
    if (const char* bundle = std::getenv("REALM_BUNDLE")) settings.bundle = bundle;
    app.require_subcommand(1);
    app.set_version_flag("--version", std::string("realm_host ") + realm::version() + ", ONNX Runtime " + realm::runtime_version());
    app.footer("Exit codes: 0 all done; 1 some images failed, the others are done; 2 nothing could be done.");
    CLI::App* const list = app.add_subcommand("measures", "List what the bundle can measure.");
    CLI::App* const scores = app.add_subcommand("score", "Measure images: CSV on stdout.");
    CLI::App* const maps = app.add_subcommand("map", "Map where images look unreal: .npy, .json and .overlay.png of each.");
    for (CLI::App* verb : {list, scores, maps}) {
        verb->add_option("--bundle", settings.bundle, "A folder with bundle.json [$REALM_BUNDLE]");
        verb->add_option("--device", settings.engine.device, "cpu or cuda; never replaced by another");
        verb->add_option("--precision", settings.engine.precision, "auto, fp32, fp16 or int8, as the bundle has them");
        verb->add_option("--threads", settings.engine.threads, "CPU threads")->check(kPositive);
        verb->add_option("--max-memory", settings.engine.max_memory, "Memory that the process may hold, such as 800M")
            ->transform(CLI::AsSizeValue(false));
        if (verb == list) continue;
        verb->add_option("path", settings.paths, "JPEG and PNG files, or folders that hold some")->required();
        verb->add_option("--descriptions", settings.descriptions, "CSV with the columns filename and description");
    }
    scores->add_option("--measure", settings.measures, "Names, or all; without: the bundle's first")->allow_extra_args(false);
    scores->add_option("--text", settings.text, "The description of all images")->excludes("--descriptions");
    maps->add_option("--text", settings.texts, "What looks unreal; several: the mean of their maps; none: phrases that fit")
        ->allow_extra_args(false)->excludes("--descriptions");
    maps->add_option("--preset", settings.map.preset, "Windows, stride, aggregate and encoder");
    maps->add_option("--window", settings.map.windows_px, "Window sizes, px")->allow_extra_args(false)->check(kPositive);
    maps->add_option("--stride", settings.map.stride_px, "Px between windows")->check(kPositive);
    maps->add_option("--aggregate", settings.aggregate, "How window sizes are combined")->check(CLI::IsMember({"mean", "max"}));
    maps->add_option("--encoder", settings.map.encoder,
                     "each-window: each by itself; one-pass: all from one pass over the picture; auto: as the preset says")
        ->check(CLI::IsMember({"auto", "each-window", "one-pass"}))->capture_default_str();
    maps->add_option("--quantity", settings.quantity, "realness (low = unreal) or similarity (high = unreal)")
        ->check(CLI::IsMember({"realness", "similarity"}));
    maps->add_option("--output", settings.output, "Folder to write to")->capture_default_str();
}

}  // namespace

int main(int count, char** words) {
    host::prepare_streams();
    CLI::App app("Measures and maps of how real pictures look.");
    Settings settings;
    try {
        describe(app, settings);
        std::vector<std::string> arguments = host::arguments(count, words);
        std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
        app.parse(std::move(arguments));
        if (app.got_subcommand("measures")) return list_measures(settings);
        return app.got_subcommand("score") ? score(settings) : map(settings);
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
        std::string message = error.what();
        std::replace(message.begin(), message.end(), '\n', ' ');
        say("error: " + message + "; see --help");
    } catch (const realm::Error& error) {
        say(std::string("error: ") + error.what());
    } catch (const std::bad_alloc&) {
        say("error: not enough memory; use smaller images, or fewer at once");
    } catch (const std::exception& error) {
        say(std::string("realm_host: this is a bug: ") + error.what());
        return 3;
    }
    return 2;
}
