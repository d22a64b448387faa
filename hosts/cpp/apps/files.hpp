// Files that realm_host reads and writes beside pictures: descriptions in, a map as .npy, .json and .overlay.png out.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "realm/realm.hpp"

namespace host {

// Description by file name, from a CSV with a header that holds `filename` and `description`. Throws realm::TextError.
std::map<std::string, std::string> read_descriptions(const std::filesystem::path& path);

// A text as a terminal may show it: control characters as \x1b.
std::string printable(const std::string& text);

// A field of a CSV line, in quotes where it needs them.
std::string csv_field(const std::string& text);

// Writes <stem>.npy, <stem>.json and <stem>.overlay.png, each whole or not at all; colours span the map's own values.
// Throws realm::OutputError.
void write_map(const std::string& stem, const std::string& name, realm::ImageView image, const realm::RealnessMap& map,
               const realm::Info& made_by);

}  // namespace host
