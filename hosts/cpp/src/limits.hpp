// The most of everything that a stranger's file may ask for: as in the other hosts, docs/bundle.md lists them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace realm::limits {

// JSON, before it is parsed.
constexpr std::size_t kJsonDepth = 100;
constexpr std::size_t kManifestBytes = std::size_t{4} << 20, kManifestMembers = 20'000;
constexpr std::size_t kTokenizerBytes = std::size_t{64} << 20, kTokenizerMembers = 2'000'000;
constexpr std::size_t kPhrasesBytes = std::size_t{4} << 20, kPhrases = 1024, kPhraseCharacters = 1000;

// The manifest.
constexpr std::size_t kFiles = 128;
constexpr std::size_t kDimensions = 8;  // of a tensor
constexpr std::size_t kSizes = 64;      // of a list of whole numbers
constexpr double kNumber = 1e12;        // further from 0 than any range or slope
constexpr int kInputPx = 1 << 14;       // of a tower: beyond it a resample matrix alone would fill the memory
constexpr int kTokens = 1 << 16;
constexpr int kWindowPx = 1 << 30, kLeastWindowPx = 8, kLeastStridePx = 4;  // of a preset
constexpr std::size_t kScales = 8;                                          // window sizes of a preset

// Pictures.
constexpr std::uint64_t kPixels = 200'000'000, kSidePx = 100'000;
constexpr std::uint64_t kPictureBytes = std::uint64_t{1} << 30;
constexpr int kScans = 500;  // of a JPEG: a progressive one of many empty scans would take minutes
constexpr std::uint64_t kScannedPx = 4'000'000'000;  // scans times pixels: twenty scans of the largest picture

// Answers of graphs.
constexpr float kCosine = 1.01F;     // what float16 makes of 1 is within
constexpr float kLeastStd = 1e-6F;   // of cosines: less is float32's own rounding
constexpr double kRanges = 100.0;    // times its width, that a number may lie outside of its column's range

}  // namespace realm::limits
