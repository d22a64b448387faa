// Colour profiles of pictures: what they hold becomes sRGB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace realm {

// How the samples of a picture are kept, 8 bits each.
enum class Samples { grey, rgb, cmyk };  // cmyk: 255 = full ink

// An ICC profile as something to convert with. One that is broken, of other samples than the picture's, or as good as
// sRGB itself converts nothing. For one thread at a time.
class ColourProfile {
public:
    ColourProfile(std::string_view icc, Samples samples);
    ~ColourProfile();
    ColourProfile(const ColourProfile&) = delete;
    ColourProfile& operator=(const ColourProfile&) = delete;

    // Whether `to_srgb` has anything to do.
    bool converts() const;
    // A row of samples to RGB; both may be the same memory where the samples are RGB.
    void to_srgb(const std::uint8_t* from, std::uint8_t* rgb, std::size_t pixels) const;
    // Its name where this build cannot convert it; empty where nothing is left to do.
    const std::string& unconverted() const { return unconverted_; }

private:
    struct Transform;
    std::unique_ptr<Transform> transform_;
    std::string unconverted_;
};

}  // namespace realm
