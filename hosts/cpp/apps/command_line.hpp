// Command lines: options with values, flags, and paths; what the two programs share of them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "realm/realm.hpp"

namespace realm {

// One option. `values`: how many words follow it (0: a flag). `take` gets them and may throw UsageError.
struct Option {
    std::string name;
    std::size_t values;
    std::function<void(const std::vector<std::string>&)> take;
};

// Reads words into options; the others are positional. "--name=value" and "--" are understood.
// Throws UsageError for an option that is unknown or lacks its value.
std::vector<std::string> parse_words(const std::vector<std::string>& words, const std::vector<Option>& options);

// Options of both programs, and where they go.
struct CommonOptions {
    std::string bundle;  // $REALM_BUNDLE where --bundle is not given
    Options engine;
    std::string descriptions;  // empty: none given
    bool text_required = false;
    bool help = false, version = false;
};
std::vector<Option> common_options(CommonOptions& into);
extern const char* const kCommonHelp;

// Throw UsageError, naming the option.
int whole_number(const std::string& option, const std::string& text);
int positive_number(const std::string& option, const std::string& text);
double real_number(const std::string& option, const std::string& text);
// Bytes of "800M", "2G", "1.5 GiB" or a plain number.
std::uint64_t parse_bytes(const std::string& text);

// Opens the engine that was asked for and says which device, runtime and precision "core" or "dream" uses.
Engine open_engine(const CommonOptions& options, bool maps);

// Runs a program: a user's errors become one line on stderr and exit code 2, whatever else escapes exit code 3.
int run_program(int count, char** words, const char* name, int (*run)(const std::vector<std::string>&));

}  // namespace realm
