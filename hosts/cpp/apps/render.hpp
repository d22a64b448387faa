// Pictures of a map: a heat map, and an overlay with a colour bar that says which end is unreal. Whichever quantity a
// map holds, what looks real shows the picture untouched, and the less real it looks, the more it is covered, by
// magenta where it is worst. Colours are for looking, values are in the .npy.
#pragma once

#include <string>
#include <utility>

#include "realm/realm.hpp"

namespace realm {

using Limits = std::pair<double, double>;  // the values at the ends of the colours

// Lowest and highest covered value, widened to at least 0.02: a map without contrast must look flat.
Limits colour_limits(const RealnessMap& map);
// The map's size, on white; pixels that no window covered are grey.
Image heatmap(const RealnessMap& map, Limits limits);
// The map over its image (a small one enlarged by a whole factor), regions framed, colour bar right.
Image overlay(ImageView image, const RealnessMap& map, Limits limits, const std::vector<Region>& regions);
// Bytes of a PNG file.
std::string encode_png(const Image& image);

}  // namespace realm
