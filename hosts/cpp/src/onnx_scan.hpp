// The external-data files that an ONNX model asks for, without a protobuf library.
#pragma once

#include <filesystem>
#include <set>
#include <string>

namespace realm {

// The `location` of every tensor kept outside the file; empty for a self-contained model. Weights are skipped,
// not read. Throws std::invalid_argument, with the reason, where the file is not well-formed protobuf.
std::set<std::string> external_locations(const std::filesystem::path& path);

}  // namespace realm
