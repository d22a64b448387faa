// JSON of files that nobody vouches for: bounded in size, depth and members before it is parsed.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace realm {

using Json = nlohmann::json;                // members sorted: large vocabularies
using OrderedJson = nlohmann::ordered_json;  // members as they stand in the file: the manifest

// Why a text must not be parsed ("nested deeper than 100"), empty where it may be.
std::string json_problem(std::string_view text, std::size_t most_members);

// Python's repr() of a JSON value, for messages; cut where it is long.
std::string repr(const OrderedJson& value);

}  // namespace realm
