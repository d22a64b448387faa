#include "files.hpp"

#include <png.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "colours.hpp"
#include "system.hpp"

namespace host {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Limits = std::pair<double, double>;  // the values at the ends of the colours

constexpr double kMinimumSpan = 0.02;  // a map without contrast must look flat

// Records of a CSV file: fields between commas, in quotes where they hold commas or line ends, "" for a quote inside.
std::vector<std::vector<std::string>> parse_csv(const std::string& text, const std::string& where) {
    std::vector<std::vector<std::string>> records;
    std::vector<std::string> record(1);
    bool quoted = false;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const char each = text[at];
        if (quoted && each == '"' && at + 1 < text.size() && text[at + 1] == '"') record.back() += text[++at];
        else if (each == '"') quoted = !quoted;
        else if (quoted) record.back() += each;
        else if (each == ',') record.emplace_back();
        else if (each == '\n') records.push_back(std::exchange(record, std::vector<std::string>(1)));
        else if (each != '\r') record.back() += each;
    }
    if (quoted) throw realm::TextError(where + ": not a readable CSV (a quote is not closed)");
    if (record.size() > 1 || !record[0].empty()) records.push_back(record);
    return records;
}

void write_file(const std::string& path, const std::string& content) {
    const std::string temporary = path + ".part";
    std::ofstream file(path_of(temporary), std::ios::binary | std::ios::trunc);
    file.write(content.data(), static_cast<std::streamsize>(content.size()));
    file.close();
    std::error_code failed;
    if (file) std::filesystem::rename(path_of(temporary), path_of(path), failed);
    if (!file || failed) {
        std::filesystem::remove(path_of(temporary), failed);
        throw realm::OutputError(path + ": cannot be written; choose another --output");
    }
}

// NumPy's format 1.0: float32, little-endian, row by row.
std::string encode_npy(const realm::RealnessMap& map) {
    std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(map.height) + ", " +
                         std::to_string(map.width) + "), }";
    header.resize((header.size() + 11 + 63) / 64 * 64 - 11, ' ');  // 10 bytes before it and a line end make whole 64s
    header += '\n';
    std::string bytes("\x93NUMPY\x01\x00", 8);
    bytes += static_cast<char>(header.size() & 0xFF);
    bytes += static_cast<char>(header.size() >> 8);
    bytes += header;
    for (const float value : map.values) {
        std::uint32_t bits = 0;
        std::memcpy(&bits, &value, sizeof bits);
        for (unsigned shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(bits >> shift & 0xFF);
    }
    return bytes;
}

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

// Where the map lies among untouched photographs; null where that is not known.
Json photographs(const realm::RealnessMap& map) {
    if (!map.photographs) return nullptr;
    const auto or_null = [](const auto& value) { return value ? Json(*value) : Json(nullptr); };
    return {{"mean", map.photographs->mean}, {"std", map.photographs->std}, {"z_max", or_null(map.z_max())}, {"z_high", or_null(map.z_high())},
            {"threshold", or_null(map.photographs->threshold)}, {"stands_out", or_null(map.stands_out())}};
}

Json record(const realm::RealnessMap& map, Limits limits) {
    const bool realness = map.quantity == realm::Quantity::realness;
    const realm::Statistics found = map.statistics();
    Json phrases = Json::array(), regions = Json::array();
    for (const realm::Phrase& phrase : map.phrases)
        phrases.push_back({{"text", phrase.text}, {"kind", phrase.kind}, {"z_score", number(phrase.z_score)}});
    for (const realm::Region& region : map.regions())
        regions.push_back({{"x", region.x}, {"y", region.y}, {"width", region.width}, {"height", region.height},
                           {"mean_realness", number(region.mean_realness)}, {"area_px", region.area_px}});
    return {{"quantity", realness ? "realness" : "similarity"},
            {"meaning", realness ? "1 - cosine similarity with the text; low = unreal"
                                 : "cosine similarity with the text; high = unreal"},
            {"width_px", map.width}, {"height_px", map.height},
            {"preset", map.preset}, {"windows_px", map.windows_px}, {"stride_px", map.stride_px},
            {"aggregate", map.aggregate == realm::Aggregate::max ? "max" : "mean"},
            {"encoder", map.encoder},
            {"window_count", map.windows},
            {"windows_of_grid", map.windows_of_grid},
            {"uncovered_pixels", std::count(map.covered.begin(), map.covered.end(), 0)},
            {"texts", map.texts}, {"phrases", phrases},
            {"photographs", photographs(map)},
            {"statistics",
             {{"min", number(found.min)}, {"max", number(found.max)}, {"mean", number(found.mean)},
              {"std", number(found.std)}, {"p5", number(found.p5)}, {"median", number(found.median)},
              {"p95", number(found.p95)}, {"covered_fraction", number(found.covered_fraction)}}},
            {"colour_limits", {limits.first, limits.second}},
            {"regions", regions}};
}

Limits limits_of(const realm::RealnessMap& map) {
    if (const auto known = map.own_limits()) return *known;
    const realm::Statistics found = map.statistics();
    if (!std::isfinite(found.min)) return {0.0, kMinimumSpan};
    const double missing = std::max(0.0, kMinimumSpan - (found.max - found.min)) / 2.0;
    return {found.min - missing, found.max + missing};
}

// Sums over `box` around each of `count` values, which lie `step` apart; of an even box half of either end counts.
void box_sums(double* values, std::size_t count, std::size_t step, std::size_t box) {
    std::vector<double> before(count + 1);
    for (std::size_t at = 0; at < count; ++at) before[at + 1] = before[at] + values[at * step];
    const auto up_to = [&](double place) {  // the sum of what lies left of a place between two values, or beyond the ends
        const double inside = std::clamp(place, 0.0, static_cast<double>(count));
        const auto whole = static_cast<std::size_t>(inside);
        const double next = whole < count ? before[whole + 1] : before[whole];
        return before[whole] + (inside - static_cast<double>(whole)) * (next - before[whole]);
    };
    const double half = static_cast<double>(box) / 2;
    for (std::size_t at = 0; at < count; ++at) {
        const double middle = static_cast<double>(at) + 0.5;
        values[at * step] = up_to(middle + half) - up_to(middle - half);
    }
}

// The values of a map for a picture of it, where they come in steps of a stride: means over a square as wide, which join the
// middles of two steps by a straight line.
std::vector<float> joined(const realm::RealnessMap& map) {
    if (map.stride_px < 2) return map.values;
    const auto height = static_cast<std::size_t>(map.height), width = static_cast<std::size_t>(map.width);
    const auto box = std::min(static_cast<std::size_t>(map.stride_px), std::max(height, width));
    std::vector<double> sums(map.values.size()), weights(map.values.size());
    for (std::size_t at = 0; at < sums.size(); ++at) {
        weights[at] = map.covered[at] != 0 ? 1.0 : 0.0;
        sums[at] = map.covered[at] != 0 ? static_cast<double>(map.values[at]) : 0.0;
    }
    for (std::vector<double>* field : {&sums, &weights}) {
        for (std::size_t row = 0; row < height; ++row) box_sums(field->data() + row * width, width, 1, box);
        for (std::size_t column = 0; column < width; ++column) box_sums(field->data() + column, height, width, box);
    }
    std::vector<float> result = map.values;
    for (std::size_t at = 0; at < result.size(); ++at)
        if (map.covered[at] != 0) result[at] = static_cast<float>(sums[at] / weights[at]);
    return result;
}

// The map over its image: what looks real shows the picture, the less real the more magenta. Integers, rounded to
// nearest, so that every host draws the same.
realm::Image overlay(realm::ImageView image, const realm::RealnessMap& map, Limits limits) {
    realm::Image drawn{image.height, image.width, {image.rgb, image.rgb + map.values.size() * 3}};
    const std::vector<float> values = joined(map);
    const auto low = static_cast<float>(limits.first);
    const auto span = static_cast<float>(std::max(limits.second - limits.first, 1e-12));
    for (std::size_t at = 0; at < map.values.size(); ++at) {
        if (map.covered[at] == 0) continue;
        const float scaled = std::clamp((values[at] - low) / span, 0.0F, 1.0F);
        const float unreal = map.quantity == realm::Quantity::realness ? 1.0F - scaled : scaled;
        const auto& colour = kColours[static_cast<std::size_t>(std::floor(unreal * 255.0F + 0.5F))];
        for (std::size_t channel = 0; channel < 3; ++channel) {
            std::uint8_t& value = drawn.rgb[3 * at + channel];
            value = static_cast<std::uint8_t>((value * (255 - colour[3]) + colour[channel] * colour[3] + 127) / 255);
        }
    }
    return drawn;
}

std::string encode_png(const realm::Image& image) {
    png_image about{};
    about.version = PNG_IMAGE_VERSION;
    about.width = static_cast<png_uint_32>(image.width);
    about.height = static_cast<png_uint_32>(image.height);
    about.format = PNG_FORMAT_RGB;
    about.flags = PNG_IMAGE_FLAG_FAST;
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(about);
    std::string bytes(size, '\0');
    if (png_image_write_to_memory(&about, bytes.data(), &size, 0, image.rgb.data(), 0, nullptr) == 0)
        throw realm::OutputError(std::string("a picture cannot be encoded (") + about.message + ")");
    bytes.resize(size);
    return bytes;
}

}  // namespace

std::map<std::string, std::string> read_descriptions(const std::filesystem::path& path) {
    const std::string where = text_of(path);
    std::error_code unknown;
    if (fs::exists(path, unknown) && !fs::is_regular_file(path, unknown))  // a pipe may have no writer
        throw realm::TextError(where + ": no regular file; give a CSV file");
    std::ifstream file(path, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(file), {}};
    if (!file) throw realm::TextError(where + ": cannot be read; give a CSV file");
    if (text.rfind("\xEF\xBB\xBF", 0) == 0) text.erase(0, 3);  // a byte order mark
    const auto records = parse_csv(text, where);
    const std::vector<std::string> header = records.empty() ? std::vector<std::string>{} : records[0];
    const auto column = [&](const char* name) {
        const auto found = std::find(header.begin(), header.end(), name);
        if (found == header.end())
            throw realm::TextError(where + ": no column '" + name + "' in line 1; it needs filename and description");
        return static_cast<std::size_t>(found - header.begin());
    };
    const std::size_t name = column("filename"), description = column("description");
    std::map<std::string, std::string> found;
    for (std::size_t row = 1; row < records.size(); ++row) {
        const std::vector<std::string>& fields = records[row];
        if (fields.size() == 1 && fields[0].empty()) continue;  // a blank line
        const std::string record = where + ", record " + std::to_string(row);
        if (fields.size() != header.size())
            throw realm::TextError(record + ": " + std::to_string(fields.size()) + " fields, the header has " +
                                   std::to_string(header.size()) + "; quote text that holds commas");
        if (!found.emplace(fields[name], fields[description]).second)
            throw realm::TextError(record + ": '" + fields[name] + "' stands twice; keep one");
    }
    return found;
}

std::string printable(const std::string& text) {
    std::string shown;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const auto byte = static_cast<unsigned char>(text[at]);
        const bool second = at > 0 && static_cast<unsigned char>(text[at - 1]) == 0xC2 && byte >= 0x80 && byte < 0xA0;  // C1
        if (byte >= ' ' && byte != 0x7F && !second) {
            shown += text[at];
            continue;
        }
        char escape[8];
        std::snprintf(escape, sizeof escape, "\\x%02x", static_cast<unsigned>(byte));
        if (second) shown.pop_back();
        shown += escape;
    }
    return shown;
}

std::string csv_field(const std::string& text) {
    if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
    std::string quoted = "\"";
    for (const char each : text) quoted += each == '"' ? "\"\"" : std::string(1, each);
    return quoted + '"';
}

void write_map(const std::string& stem, const std::string& name, realm::ImageView image, const realm::RealnessMap& map,
               const realm::Info& made_by) {
    const Limits ends = limits_of(map);
    Json facts{{"image", name}, {"engine_version", std::string(realm::version()) + " (C++)"}, {"bundle", made_by.bundle},
               {"weights", made_by.weights}, {"device", made_by.device}, {"runtime", made_by.runtime},
               {"precision", made_by.map_precision}, {"threads", made_by.threads}};
    facts.update(record(map, ends));
    write_file(stem + ".npy", encode_npy(map));
    write_file(stem + ".json", facts.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
    write_file(stem + ".overlay.png", encode_png(overlay(image, map, ends)));
}

}  // namespace host
