// A JPEG file before it is decoded: whether all of it is there, and how many scans it has, each of which is a pass over
// the whole picture and may be empty.
#pragma once

#include <string_view>

namespace realm {

struct JpegScans {
    int count;
    bool ended;  // by the end marker; whether there is one is not known where `count` exceeds `most`
};

// As realm_engine/pictures/jpeg.py counts them; one more than `most` where there are more.
JpegScans jpeg_scans(std::string_view jpeg, int most);

}  // namespace realm
