// The files of a map: overlay, heat map, values and a JSON record, one set per image.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "json.hpp"
#include "realm/realm.hpp"
#include "render.hpp"

namespace realm {

// Of a comma-separated list. Throws UsageError where it names none, or one that does not exist.
std::vector<std::string> parse_formats(const std::string& text);

// Output paths without extension for image names, no two alike: subfolders stay, `a.png` becomes `a`; what leads out
// of the folder is lost; where two share a stem, both keep their extension.
std::vector<std::string> output_stems(const std::vector<std::string>& names);

// Bytes of a NumPy file, version 1.0, float32 in C order.
std::string encode_npy(const std::vector<float>& values, int height, int width);

struct MapFolder {
    std::string folder;
    std::vector<std::string> formats;
    std::optional<Limits> limits;  // none: each map's own
    std::size_t regions = 5;

    // Writes <folder>/<stem>.<...>; `facts` go into the JSON beside what the map itself tells. Throws OutputError.
    void write(const std::string& stem, ImageView image, const RealnessMap& map, const OrderedJson& facts) const;
};

}  // namespace realm
