// What of a PNG libpng gets to see: all but the texts that programs leave in it. Image generators write their whole
// workflow there, megabytes of it, which libpng refuses; packed, a small file may hold gigabytes.
#pragma once

#include <string_view>
#include <vector>

namespace realm {

// The pieces of a PNG to read one after the other, those of the Python engine's realm_engine/pictures/png.py; they end
// where a chunk claims more than the file has. `png` begins with the signature.
std::vector<std::string_view> without_texts(std::string_view png);

}  // namespace realm
