// The external-data files that an ONNX model asks for, without a protobuf library.
#pragma once

#include <set>
#include <string>
#include <string_view>

namespace realm {

// Refuses what could run without end, or what the runtime did not bring: graphs inside nodes, functions, other domains of
// operators. Throws std::invalid_argument, naming the operator, also where the file is not well-formed.
void refuse_operators(std::string_view onnx);

// The `location` of every tensor kept outside the file; empty for a self-contained model. Weights are skipped,
// not read. Throws std::invalid_argument, with the reason, where the file is not well-formed protobuf.
std::set<std::string> external_locations(std::string_view onnx);

}  // namespace realm
