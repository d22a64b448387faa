// The scans of a JPEG file, counted before it is decoded: each is a pass over the whole picture, and may be empty.
#pragma once

#include <string_view>

namespace realm {

// How many scans there are, as realm_engine/pictures/jpeg.py counts them; one more than `most` where there are more.
int count_scans(std::string_view jpeg, int most);

}  // namespace realm
