// Colour profiles by Little CMS, as Pillow's ImageCms converts them: perceptual intent, to the sRGB that lcms makes.
#include <lcms2.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

#include "colour.hpp"

namespace realm {
namespace {

// Levels that a profile which means sRGB may differ by: such pictures stay as they are, to the last bit.
constexpr int kSameLevels = 1;
constexpr int kGridSteps = 6;  // levels of each channel that are tried for it: 0, 51, ..., 255

struct Profile {
    cmsHPROFILE handle;
    ~Profile() {
        if (handle != nullptr) cmsCloseProfile(handle);
    }
};

struct Kind {
    cmsUInt32Number format;
    cmsColorSpaceSignature space;
};

Kind kind_of(Samples samples) {
    switch (samples) {
        case Samples::grey: return {TYPE_GRAY_8, cmsSigGrayData};
        case Samples::cmyk: return {TYPE_CMYK_8, cmsSigCmykData};
        default: return {TYPE_RGB_8, cmsSigRgbData};
    }
}

// Every combination of some levels, and what they are as sRGB if nothing is converted.
bool changes_nothing(cmsHTRANSFORM transform, Samples samples) {
    if (samples == Samples::cmyk) return false;
    std::vector<std::uint8_t> given;
    const std::size_t channels = samples == Samples::grey ? 1 : 3;
    if (samples == Samples::grey) {
        for (int level = 0; level < 256; ++level) given.push_back(static_cast<std::uint8_t>(level));
    } else {
        const auto level = [](int step) { return static_cast<std::uint8_t>(step * 255 / (kGridSteps - 1)); };
        for (int red = 0; red < kGridSteps; ++red)
            for (int green = 0; green < kGridSteps; ++green)
                for (int blue = 0; blue < kGridSteps; ++blue) given.insert(given.end(), {level(red), level(green), level(blue)});
    }
    const std::size_t pixels = given.size() / channels;
    std::vector<std::uint8_t> found(pixels * 3);
    cmsDoTransform(transform, given.data(), found.data(), static_cast<cmsUInt32Number>(pixels));
    for (std::size_t at = 0; at < found.size(); ++at)
        if (std::abs(found[at] - given[channels == 1 ? at / 3 : at]) > kSameLevels) return false;
    return true;
}

}  // namespace

struct ColourProfile::Transform {
    cmsHTRANSFORM handle;
    ~Transform() { cmsDeleteTransform(handle); }
};

ColourProfile::ColourProfile(std::string_view icc, Samples samples) {
    const Profile given{cmsOpenProfileFromMem(icc.data(), static_cast<cmsUInt32Number>(icc.size()))};
    const Kind kind = kind_of(samples);
    if (given.handle == nullptr || cmsGetColorSpace(given.handle) != kind.space) return;
    const Profile srgb{cmsCreate_sRGBProfile()};
    if (srgb.handle == nullptr) return;
    cmsHTRANSFORM made = cmsCreateTransform(given.handle, kind.format, srgb.handle, TYPE_RGB_8, INTENT_PERCEPTUAL, 0);
    if (made == nullptr) return;
    transform_.reset(new Transform{made});
    if (changes_nothing(made, samples)) transform_.reset();
}

ColourProfile::~ColourProfile() = default;

bool ColourProfile::converts() const { return transform_ != nullptr; }

void ColourProfile::to_srgb(const std::uint8_t* from, std::uint8_t* rgb, std::size_t pixels) const {
    cmsDoTransform(transform_->handle, from, rgb, static_cast<cmsUInt32Number>(pixels));
}

}  // namespace realm
