#include "map_files.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "descriptions.hpp"
#include "output.hpp"
#include "realm/error.hpp"
#include "text_format.hpp"
#include "unicode.hpp"

namespace realm {
namespace {

const std::vector<std::pair<std::string, std::string>> kFormats{
    {"overlay", ".overlay.png"}, {"heatmap", ".heatmap.png"}, {"npy", ".npy"}, {"json", ".json"}};

const std::string& suffix_of(const std::string& format) {
    return std::find_if(kFormats.begin(), kFormats.end(), [&](const auto& each) { return each.first == format; })->second;
}

std::string folded(const std::string& text) {
    const auto codes = unicode::decode(text);
    return codes ? unicode::encode(unicode::lower(*codes)) : text;
}

// NaN has no place in JSON; Python writes the word.
OrderedJson number(double value) { return std::isfinite(value) ? OrderedJson(value) : OrderedJson(nullptr); }

OrderedJson record(const RealnessMap& map, Limits limits, std::size_t most_regions) {
    const bool realness = map.quantity == Quantity::realness;
    const Statistics statistics = map.statistics();
    OrderedJson phrases = OrderedJson::array(), regions = OrderedJson::array();
    for (const Phrase& phrase : map.phrases)
        phrases.push_back({{"text", phrase.text}, {"kind", phrase.kind}, {"z_score", number(phrase.z_score)}});
    for (const Region& region : map.regions(most_regions))
        regions.push_back({{"x", region.x},
                           {"y", region.y},
                           {"width", region.width},
                           {"height", region.height},
                           {"mean_realness", number(region.mean_realness)},
                           {"area_px", region.area_px}});
    return {
        {"quantity", realness ? "realness" : "similarity"},
        {"meaning", realness ? "1 - cosine similarity with the text; low = unreal"
                             : "cosine similarity with the text; high = unreal"},
        {"width_px", map.width},
        {"height_px", map.height},
        {"preset", map.preset},
        {"windows_px", map.windows_px},
        {"stride_px", map.stride_px},
        {"aggregate", map.aggregate == Aggregate::max ? "max" : "mean"},
        {"window_count", map.windows},
        {"windows_of_grid", map.windows},
        {"uncovered_pixels", std::count(map.covered.begin(), map.covered.end(), 0)},
        {"texts", map.texts},
        {"phrases", phrases},
        {"statistics",
         {{"min", number(statistics.min)},
          {"max", number(statistics.max)},
          {"mean", number(statistics.mean)},
          {"std", number(statistics.std)},
          {"p5", number(statistics.p5)},
          {"median", number(statistics.median)},
          {"p95", number(statistics.p95)},
          {"covered_fraction", number(statistics.covered_fraction)}}},
        {"colour_limits", {limits.first, limits.second}},
        {"regions", regions},
    };
}

}  // namespace

std::vector<std::string> parse_formats(const std::string& text) {
    std::vector<std::string> formats;
    bool known = true;
    for (std::size_t at = 0; at <= text.size();) {
        const std::size_t end = std::min(text.find(',', at), text.size());
        const std::string name = folded(std::string(unicode::strip(std::string_view(text).substr(at, end - at))));
        at = end + 1;
        if (name.empty() || std::find(formats.begin(), formats.end(), name) != formats.end()) continue;
        known = known && std::any_of(kFormats.begin(), kFormats.end(), [&](const auto& each) { return each.first == name; });
        formats.push_back(name);
    }
    if (!known || formats.empty())
        throw UsageError("--format " + text + ": choose one or more of overlay,heatmap,npy,json");
    return formats;
}

std::vector<std::string> output_stems(const std::vector<std::string>& names) {
    std::vector<std::string> inside, stems;
    for (const std::string& name : names) {
        std::string path;
        for (std::size_t at = 0; at < name.size();) {
            const std::size_t end = std::min(name.find('/', at), name.size());
            const std::string part = name.substr(at, end - at);
            if (!part.empty() && part != "." && part != "..") path += (path.empty() ? "" : "/") + part;
            at = end + 1;
        }
        inside.push_back(path);
        stems.push_back(join(parent_of(path), stem_of(path)));
    }
    for (const bool numbered : {false, true}) {
        std::map<std::string, int> uses;
        for (const std::string& stem : stems) ++uses[folded(stem)];
        for (std::size_t index = 0; index < stems.size(); ++index)
            if (uses[folded(stems[index])] > 1)
                stems[index] = numbered ? stems[index] + "." + std::to_string(index + 1) : inside[index];
    }
    return stems;
}

std::string encode_npy(const std::vector<float>& values, int height, int width) {
    std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(height) + ", " +
                         std::to_string(width) + "), }";
    constexpr std::size_t kBefore = 10, kAlignment = 64;
    while ((kBefore + header.size() + 1) % kAlignment != 0) header += ' ';
    header += '\n';
    std::string bytes("\x93NUMPY\x01\x00", 8);
    bytes += static_cast<char>(header.size() & 0xFF);
    bytes += static_cast<char>(header.size() >> 8);
    bytes += header;
    for (const float value : values) {  // little-endian, whatever the machine
        std::uint32_t bits = 0;
        std::memcpy(&bits, &value, sizeof bits);
        for (unsigned shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(bits >> shift & 0xFF);
    }
    return bytes;
}

void MapFolder::write(const std::string& stem, ImageView image, const RealnessMap& map, const OrderedJson& facts) const {
    const std::string base = join(folder, stem);
    if (parent_of(base) != folder) check_folder(parent_of(base));
    const Limits ends = limits ? *limits : colour_limits(map);
    for (const std::string& format : formats) {
        std::string content;
        if (format == "npy") {
            content = encode_npy(map.values, map.height, map.width);
        } else if (format == "json") {
            OrderedJson whole = facts;
            whole.update(record(map, ends, regions));
            content = whole.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
        } else if (format == "heatmap") {
            content = encode_png(heatmap(map, ends));
        } else {
            content = encode_png(overlay(image, map, ends, map.regions(regions)));
        }
        write_atomically(base + suffix_of(format), content);
    }
}

}  // namespace realm
