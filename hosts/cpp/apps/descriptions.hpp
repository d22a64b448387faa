// Files of descriptions: a CSV with the columns `filename` and `description`.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace realm {

// A path as Python's pathlib writes it: no doubled or trailing slashes, no "." parts; "." for nothing.
std::string plain_path(std::string_view path);
std::string parent_of(const std::string& path);
std::string name_of(const std::string& path);
std::string stem_of(const std::string& path);
std::string join(const std::string& folder, const std::string& name);

struct Descriptions {
    std::string source;
    std::map<std::string, std::string> by_name;

    // The description of an image, none where there is none. Tried in this order: the relative path as written, the
    // bare file name, the file name in a row with another base folder, the stem (`.webp` finds the row of its
    // `.png`). Throws TextError where several rows match equally well.
    std::optional<std::string> lookup(const std::string& name) const;
};

// Throws TextError, with the line, for a file that is none: a missing column, an empty or repeated file name...
Descriptions read_descriptions(const std::string& path);

}  // namespace realm
