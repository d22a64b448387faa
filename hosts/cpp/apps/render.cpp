#include "render.hpp"

#include <png.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <map>

#include "colours.hpp"
#include "realm/error.hpp"

namespace realm {
namespace {

using Colour = std::array<std::uint8_t, 3>;

constexpr double kMinimumSpan = 0.02;
constexpr int kMinimumHeight = 256;  // the labels of the colour bar need as much
constexpr Colour kUncovered{128, 128, 128}, kInk{30, 30, 30}, kPaper{255, 255, 255};
constexpr Colour kChecks[]{{255, 255, 255}, {205, 205, 205}};  // what image editors show behind what is transparent

// The colour of an unrealness laid over a ground, in integers and rounded to nearest as in the Python engine.
Colour lay_over(const Colour& ground, float unrealness) {
    const float level = std::floor(std::clamp(unrealness, 0.0F, 1.0F) * 255.0F + 0.5F);
    const auto& row = kColours[static_cast<std::size_t>(std::isnan(level) ? 0.0F : level)];
    const int alpha = row[3];
    Colour mixed{};
    for (std::size_t channel = 0; channel < mixed.size(); ++channel)
        mixed[channel] = static_cast<std::uint8_t>((ground[channel] * (255 - alpha) + row[channel] * alpha + 127) / 255);
    return mixed;
}

// 0 (the real end of the limits) to 1 (the unreal end), in float32 as the Python engine.
float unrealness(float value, Quantity quantity, Limits limits) {
    const auto low = static_cast<float>(limits.first);
    const auto span = static_cast<float>(std::max(limits.second - limits.first, 1e-12));
    const float scaled = std::clamp((value - low) / span, 0.0F, 1.0F);
    return quantity == Quantity::realness ? 1.0F - scaled : scaled;
}

// Letters of 5 x 7 pixels, a row per number, the highest of five bits on the left.
const std::map<char, std::array<std::uint8_t, 7>>& font() {
    static const std::map<char, std::array<std::uint8_t, 7>> glyphs{
        {'0', {14, 17, 19, 21, 25, 17, 14}}, {'1', {4, 12, 4, 4, 4, 4, 14}},    {'2', {14, 17, 1, 2, 4, 8, 31}},
        {'3', {31, 2, 4, 2, 1, 17, 14}},     {'4', {2, 6, 10, 18, 31, 2, 2}},   {'5', {31, 16, 30, 1, 1, 17, 14}},
        {'6', {6, 8, 16, 30, 17, 17, 14}},   {'7', {31, 1, 2, 4, 8, 8, 8}},     {'8', {14, 17, 17, 14, 17, 17, 14}},
        {'9', {14, 17, 17, 15, 1, 2, 12}},   {'.', {0, 0, 0, 0, 0, 12, 12}},    {'-', {0, 0, 0, 31, 0, 0, 0}},
        {'a', {0, 0, 14, 1, 15, 17, 15}},    {'e', {0, 0, 14, 17, 31, 16, 14}}, {'i', {4, 0, 12, 4, 4, 4, 14}},
        {'l', {12, 4, 4, 4, 4, 4, 14}},      {'m', {0, 0, 26, 21, 21, 17, 17}}, {'n', {0, 0, 22, 25, 17, 17, 17}},
        {'r', {0, 0, 22, 25, 16, 16, 16}},   {'s', {0, 0, 15, 16, 14, 1, 30}},  {'t', {8, 8, 28, 8, 8, 9, 6}},
        {'u', {0, 0, 17, 17, 17, 19, 13}},   {'y', {0, 17, 17, 15, 1, 17, 14}},
    };
    return glyphs;
}

constexpr int kAdvance = 6, kLetterHeight = 7;

class Canvas {
public:
    Canvas(int height, int width, Colour colour) {
        image_.height = height;
        image_.width = width;
        image_.rgb.resize(static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3);
        fill(0, 0, width, height, colour);
    }

    void put(int x, int y, const Colour& colour) {
        if (x < 0 || y < 0 || x >= image_.width || y >= image_.height) return;
        const auto at = (static_cast<std::size_t>(y) * static_cast<std::size_t>(image_.width) + static_cast<std::size_t>(x)) * 3;
        std::memcpy(image_.rgb.data() + at, colour.data(), 3);
    }

    void fill(int left, int top, int right, int bottom, const Colour& colour) {
        for (int y = std::max(top, 0); y < std::min(bottom, image_.height); ++y)
            for (int x = std::max(left, 0); x < std::min(right, image_.width); ++x) put(x, y, colour);
    }

    // The outline of a box, drawn inwards.
    void frame(int left, int top, int right, int bottom, int line, const Colour& colour) {
        const int wide = std::min({line, right - left, bottom - top});
        fill(left, top, right, top + wide, colour);
        fill(left, bottom - wide, right, bottom, colour);
        fill(left, top, left + wide, bottom, colour);
        fill(right - wide, top, right, bottom, colour);
    }

    // Text with its top left corner at (x, y), or turned so that it runs upwards from there.
    void text(int x, int y, const std::string& words, int size, const Colour& colour, bool upwards = false) {
        for (std::size_t index = 0; index < words.size(); ++index) {
            const auto glyph = font().find(words[index]);
            if (glyph == font().end()) continue;
            for (int row = 0; row < kLetterHeight; ++row)
                for (int col = 0; col < 5; ++col) {
                    if ((glyph->second[static_cast<std::size_t>(row)] >> (4 - col) & 1) == 0) continue;
                    const int along = (static_cast<int>(index) * kAdvance + col) * size, down = row * size;
                    const int left = upwards ? x + down : x + along, top = upwards ? y - along - size : y + down;
                    fill(left, top, left + size, top + size, colour);
                }
        }
    }

    Image take() { return std::move(image_); }
    int width() const { return image_.width; }

private:
    Image image_;
};

Image colour_bar(int height, double unit, Quantity quantity, Limits limits) {
    const auto scaled = [&](double pixels) { return static_cast<int>(std::lround(pixels * unit)); };
    const int width = scaled(92), margin = scaled(14), bar = scaled(18), line_height = scaled(17);
    const int size = std::max(1, scaled(1.4)), line = std::max(1, scaled(1));
    const int top = margin + line_height, bottom = height - margin - line_height, check = std::max(1, bar / 4);
    Canvas canvas(height, width, kPaper);
    for (int y = top; y < bottom; ++y) {
        const float share = bottom - top > 1 ? static_cast<float>(y - top) / static_cast<float>(bottom - top - 1) : 0.0F;
        for (int x = 0; x < bar; ++x)
            canvas.put(margin + x, y, lay_over(kChecks[((y - top) / check + x / check) % 2], 1.0F - share));
    }
    canvas.frame(margin - 1, top - 1, margin + bar + 1, bottom + 1, line, kInk);
    canvas.text(margin, top - scaled(4) - kLetterHeight * size, "unreal", size, kInk);
    canvas.text(margin, bottom + scaled(4), "real", size, kInk);
    const bool realness = quantity == Quantity::realness;
    const double unreal = realness ? limits.first : limits.second, real = realness ? limits.second : limits.first;
    const int left = margin + bar + scaled(6);
    for (const double share : {0.0, 0.5, 1.0}) {
        char value[40];
        std::snprintf(value, sizeof value, "%.3f", unreal + share * (real - unreal));
        const int y = top + static_cast<int>(std::lround(share * (bottom - top - kLetterHeight * size)));
        canvas.text(left, y, value, size, kInk);
    }
    const std::string name = realness ? "realness" : "similarity";
    const int length = static_cast<int>(name.size()) * kAdvance * size;
    canvas.text(left, top + (bottom - top) / 4 + length / 2, name, size, kInk, true);
    return canvas.take();
}

}  // namespace

Limits colour_limits(const RealnessMap& map) {
    double low = 0, high = 0;
    bool any = false;
    for (std::size_t at = 0; at < map.values.size(); ++at) {
        if (map.covered[at] == 0) continue;
        const double value = static_cast<double>(map.values[at]);
        low = any ? std::min(low, value) : value;
        high = any ? std::max(high, value) : value;
        any = true;
    }
    if (!any) return {0.0, kMinimumSpan};
    const double missing = std::max(0.0, kMinimumSpan - (high - low)) / 2.0;
    return {low - missing, high + missing};
}

Image heatmap(const RealnessMap& map, Limits limits) {
    Image result{map.height, map.width, std::vector<std::uint8_t>(map.values.size() * 3)};
    for (std::size_t at = 0; at < map.values.size(); ++at) {
        const Colour colour = map.covered[at] != 0
                                  ? lay_over(kPaper, unrealness(map.values[at], map.quantity, limits))
                                  : kUncovered;
        std::memcpy(result.rgb.data() + 3 * at, colour.data(), 3);
    }
    return result;
}

Image overlay(ImageView image, const RealnessMap& map, Limits limits, const std::vector<Region>& regions) {
    const bool small = std::max(image.height, image.width) < kMinimumHeight;
    const int factor = small ? (kMinimumHeight + image.height - 1) / image.height : 1;
    const int tall = image.height * factor, wide = image.width * factor;
    const int height = std::max(tall, kMinimumHeight);
    const double unit = std::max(1.0, std::min(tall, wide) / 384.0);
    const Image bar = colour_bar(height, unit, map.quantity, limits);
    Canvas canvas(height, wide + bar.width, kPaper);
    const auto columns = static_cast<std::size_t>(image.width);
    for (int y = 0; y < tall; ++y)
        for (int x = 0; x < wide; ++x) {
            const std::size_t at = static_cast<std::size_t>(y / factor) * columns + static_cast<std::size_t>(x / factor);
            Colour colour{image.rgb[3 * at], image.rgb[3 * at + 1], image.rgb[3 * at + 2]};
            if (map.covered[at] != 0)
                colour = lay_over(colour, unrealness(map.values[at], map.quantity, limits));
            canvas.put(x, y, colour);
        }
    const int line = std::max(1, static_cast<int>(std::lround(unit)));
    int number = 0;
    for (const Region& region : regions) {
        const int left = region.x * factor, top = region.y * factor;
        const int right = left + region.width * factor, bottom = top + region.height * factor;
        canvas.frame(left, top, right, bottom, line + 2, kInk);
        if (std::min(region.width, region.height) * factor > 2)
            canvas.frame(left + 1, top + 1, right - 1, bottom - 1, line, kPaper);
        const std::string name = std::to_string(++number);
        const int size = 2 * line, x = left + 5 + line, y = top + 5 + line;
        canvas.fill(x - 2, y - 2, x + static_cast<int>(name.size()) * kAdvance * size, y + kLetterHeight * size + 2, kInk);
        canvas.text(x, y, name, size, kPaper);
    }
    for (int y = 0; y < bar.height; ++y)
        for (int x = 0; x < bar.width; ++x) {
            const std::size_t at = 3 * (static_cast<std::size_t>(y) * static_cast<std::size_t>(bar.width) + static_cast<std::size_t>(x));
            canvas.put(wide + x, y, {bar.rgb[at], bar.rgb[at + 1], bar.rgb[at + 2]});
        }
    return canvas.take();
}

std::string encode_png(const Image& image) {
    png_image description{};
    description.version = PNG_IMAGE_VERSION;
    description.width = static_cast<png_uint_32>(image.width);
    description.height = static_cast<png_uint_32>(image.height);
    description.format = PNG_FORMAT_RGB;
    description.flags = PNG_IMAGE_FLAG_FAST;
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(description);
    std::string bytes(size, '\0');
    if (png_image_write_to_memory(&description, bytes.data(), &size, 0, image.rgb.data(), 0, nullptr) == 0)
        throw OutputError(std::string("a picture cannot be encoded (") + description.message + ")");
    bytes.resize(size);
    return bytes;
}

}  // namespace realm
