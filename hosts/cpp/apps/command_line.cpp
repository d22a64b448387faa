#include "command_line.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <limits>
#include <utility>

#include "output.hpp"
#include "text_format.hpp"

namespace realm {

const char* const kCommonHelp =
    "  --bundle DIR            The models: a folder with bundle.json. [default: $REALM_BUNDLE]\n"
    "  --device cpu|cuda       Where to compute; never replaced by another. [default: cpu]\n"
    "  --precision NAME        auto, fp32, fp16 or int8, as the bundle has them. [default: auto]\n"
    "  --threads N             CPU threads. [default: all this process may use]\n"
    "  --max-memory SIZE       Memory this process may hold, such as 800M. [default: 2G, more where models need it]\n"
    "  --missing-text WHAT     image-only or error: an image without a description. [default: image-only]\n"
    "  -h, --help              Show this.\n"
    "  --version               Show the version of this program and of ONNX Runtime.\n"
    "\n"
    "Reads JPEG and PNG. Exit codes: 0 all done; 1 some images failed, the others are done; 2 nothing could be done.\n";

std::vector<std::string> parse_words(const std::vector<std::string>& words, const std::vector<Option>& options) {
    std::vector<std::string> paths;
    for (std::size_t at = 0; at < words.size(); ++at) {
        const std::string& word = words[at];
        if (word == "--") {
            paths.insert(paths.end(), words.begin() + static_cast<std::ptrdiff_t>(at) + 1, words.end());
            break;
        }
        if (word.size() < 2 || word[0] != '-') {
            paths.push_back(word);
            continue;
        }
        const std::size_t equals = word.rfind("--", 0) == 0 ? word.find('=') : std::string::npos;
        const std::string name = word.substr(0, equals);
        const auto option = std::find_if(options.begin(), options.end(),
                                         [&](const Option& each) { return each.name == name; });
        if (option == options.end()) throw UsageError("no such option: " + name + "; see --help");
        std::vector<std::string> values;
        if (equals != std::string::npos) values.push_back(word.substr(equals + 1));
        while (values.size() < option->values && at + 1 < words.size()) values.push_back(words[++at]);
        if (values.size() != option->values)
            throw UsageError("option " + name + " takes " + std::to_string(option->values) + " values; see --help");
        option->take(values);
    }
    return paths;
}

std::vector<Option> common_options(CommonOptions& into) {
    if (const char* bundle = std::getenv("REALM_BUNDLE")) into.bundle = bundle;
    using Values = const std::vector<std::string>&;
    return {
        {"--bundle", 1, [&into](Values values) { into.bundle = values[0]; }},
        {"--device", 1, [&into](Values values) { into.engine.device = values[0]; }},
        {"--precision", 1, [&into](Values values) { into.engine.precision = values[0]; }},
        {"--threads", 1, [&into](Values values) { into.engine.threads = positive_number("--threads", values[0]); }},
        {"--max-memory", 1, [&into](Values values) { into.engine.max_memory = parse_bytes(values[0]); }},
        {"--descriptions", 1, [&into](Values values) { into.descriptions = values[0]; }},
        {"--missing-text", 1,
         [&into](Values values) {
             if (values[0] != "image-only" && values[0] != "error")
                 throw UsageError("--missing-text " + values[0] + ": choose one of image-only, error");
             into.text_required = values[0] == "error";
         }},
        {"--help", 0, [&into](Values) { into.help = true; }},
        {"-h", 0, [&into](Values) { into.help = true; }},
        {"--version", 0, [&into](Values) { into.version = true; }},
    };
}

int whole_number(const std::string& option, const std::string& text) {
    errno = 0;
    char* end = nullptr;
    const long value = std::strtol(text.c_str(), &end, 10);
    const bool fits = errno == 0 && value >= std::numeric_limits<int>::min() && value <= std::numeric_limits<int>::max();
    if (text.empty() || *end != '\0' || !fits) throw UsageError(option + " " + text + ": not a whole number");
    return static_cast<int>(value);
}

int positive_number(const std::string& option, const std::string& text) {
    const int value = whole_number(option, text);
    if (value < 1) throw UsageError(option + " " + text + ": give a number of at least 1");
    return value;
}

double real_number(const std::string& option, const std::string& text) {
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0') throw UsageError(option + " " + text + ": not a number");
    return value;
}

std::uint64_t parse_bytes(const std::string& text) {
    const auto refuse = [&] { return UsageError(in_quotes(text) + " is no amount of memory; write it as 800M or 2G"); };
    std::string rest = text;
    const auto trim = [](std::string& word) {
        const auto space = [](char each) { return each == ' ' || (each >= '\t' && each <= '\r'); };
        word.erase(word.begin(), std::find_if_not(word.begin(), word.end(), space));
        while (!word.empty() && space(word.back())) word.pop_back();
    };
    trim(rest);
    const std::size_t digits = rest.find_first_not_of("0123456789");
    std::size_t end = std::min(digits, rest.size());
    if (end == 0) throw refuse();
    if (end + 1 < rest.size() && rest[end] == '.') {
        const std::size_t fraction = std::min(rest.find_first_not_of("0123456789", end + 1), rest.size());
        if (fraction > end + 1) end = fraction;
    }
    const double value = std::strtod(rest.substr(0, end).c_str(), nullptr);
    std::string unit = rest.substr(end);
    trim(unit);
    for (char& each : unit)
        if (each >= 'a' && each <= 'z') each = static_cast<char>(each - 'a' + 'A');
    double factor = 1;
    if (const std::size_t power = std::string("KMGT").find(unit.substr(0, 1)); !unit.empty() && power < 4) {
        factor = std::ldexp(1.0, 10 * (static_cast<int>(power) + 1));
        unit.erase(0, 1);
    }
    const double bytes = value * factor;
    if ((!unit.empty() && unit != "B" && unit != "IB") || !(bytes >= 1) || bytes > 1e18) throw refuse();
    return static_cast<std::uint64_t>(bytes);
}

Engine open_engine(const CommonOptions& options, bool maps) {
    if (options.bundle.empty()) throw UsageError("no bundle; give --bundle DIR, a folder that holds bundle.json");
    Options engine = options.engine;
    engine.on_warning = [](const std::string& text) { say("warning: " + text); };
    Engine opened(options.bundle, engine);
    const Info info = opened.info();
    const std::string& own = maps ? info.map_precision : info.score_precision;
    const std::string& other = maps ? info.score_precision : info.map_precision;
    say(info.bundle + ": " + info.runtime + " on " + info.device + ", " + (own.empty() ? other : own) + ", " +
        std::to_string(info.threads) + " threads");
    return opened;
}

int run_program(int count, char** words, const char* name, int (*run)(const std::vector<std::string>&)) {
    constexpr int kNothingDone = 2, kBug = 3;
    std::signal(SIGPIPE, SIG_DFL);
    try {
        return run(std::vector<std::string>(words + std::min(count, 1), words + count));
    } catch (const Error& error) {
        say(std::string("error: ") + error.what());
        return kNothingDone;
    } catch (const std::bad_alloc&) {
        say("error: not enough memory; use smaller images, or fewer at once");
        return kNothingDone;
    } catch (const std::exception& error) {
        say(std::string(name) + ": this is a bug: " + error.what());
        return kBug;
    }
}

}  // namespace realm
