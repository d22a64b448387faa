// How real an image looks (a score), and where it does not (a map): REALM bundles in C++17.
//
//     realm::Engine engine("realm-tiny");
//     realm::Image image = realm::load_image("photo.jpg");
//     realm::Score score = engine.score(image, "Yes. The hand has six fingers.");
//     for (const realm::Measure& measure : engine.measures()) std::puts(measure.name.c_str());
//     realm::Measured every = engine.measure(image, "Yes. The hand has six fingers.");
//     realm::RealnessMap map = engine.map(image, "the hand has six fingers");
//
// An engine may be used from several threads at once: every const function is safe. Construct, move and destroy it
// on one. Results do not depend on how calls are batched, up to float32 rounding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "realm/error.hpp"
#include "realm/image.hpp"
#include "realm/source.hpp"

namespace realm {

struct Options {
    std::string device = "cpu";      // "cpu" or "cuda"; never replaced by another
    std::string precision = "auto";  // a variant of the bundle ("fp32", "fp16", "int8"), or what it recommends
    int threads = 0;                 // of the CPU; 0: all that this process may use
    std::uint64_t max_memory = 0;    // bytes that the process may hold; 0: 2 GiB, or what the models need
    bool verify = true;              // compare every file of the bundle with its sha256
    // Told, once each, what is done differently than asked (a text is cut). May be called from any thread.
    std::function<void(const std::string&)> on_warning;
};

enum class Better { high, low };

// One number of a measure, or one word, as the bundle describes it.
struct Column {
    std::string name, meaning;
    double low = 0, high = 0;  // its usual range
    Better better = Better::high;
    int decimals = 6;  // how tables print it
    // For that share of pictures that the model had not seen the true value lies between the columns NAME_low and
    // NAME_high, which follow this one; none: the bundle does not say.
    std::optional<double> interval_share;
    std::optional<double> flag_above;  // a value above it is a reason to distrust the picture's numbers
    std::vector<std::string> words;    // what a value is the place of, 0, 1, ...; none: it is a number
};

// What a bundle can tell about a picture, in one or more numbers and words.
struct Measure {
    std::string name, kind, says;
    std::vector<Column> columns;
    std::string licence;  // of its weights
    bool commercial_use = false;
};

// A measure of a bundle that this library cannot compute: of a kind that it does not know, or a head of another tower.
struct LeftOut {
    std::string name;
    std::string why;  // goes on after "measure NAME "
};

// The answers to one picture: a value per column of the measures asked for, in their order. NaN where the model's
// answer is not a number, or the place of no word; `error` then names the measure, in one line.
struct Measured {
    std::vector<double> values;
    std::vector<std::string> words;  // per column as well: that of its value, empty for numbers and where there is none
    std::string error;
    std::vector<std::string> flags;  // columns whose value is a reason to distrust the others
};

// The two numbers of CORE. mos: mean opinion score, a z-score, higher = more real. realness: the 0-100 rating behind
// it, NaN for a bundle whose CORE has none. Both are NaN where the model's answer is not a number.
struct Score {
    double mos = 0;
    double realness = 0;
};

enum class Aggregate { mean, max };
// realness = 1 - cosine with the text, low = unreal; similarity = the cosine, high = unreal.
enum class Quantity { realness, similarity };

// Called with windows done so far and in all, on the calling thread.
using Progress = std::function<void(std::size_t done, std::size_t total)>;

// A preset of the bundle with what is given in its place.
struct MapOptions {
    std::string preset;                  // empty: the one that the bundle recommends
    std::vector<int> windows_px;         // sizes of the square windows; empty: the preset's
    int stride_px = 0;                   // pixels between windows; 0: the preset's
    std::optional<Aggregate> aggregate;  // how several sizes are combined; none: the preset's
    // What encodes windows: "each-window" (every one by itself), "one-pass" (all from one pass over the image), or "auto":
    // as the preset says. Where a bundle has both, they are two functions.
    std::string encoder = "auto";
    // Share of the windows to encode, at most 1; below 1 the others are interpolated, and the map is an approximation.
    // 0: as the preset says, which is all of them but for "fast": the recommended one with a fifth, more where windows
    // hardly overlap. In one pass it is always all of them.
    double fraction = 0;
    Quantity quantity = Quantity::realness;
    Progress progress;
};

// A phrase of the bundle that the engine chose, and how far it stood out (z-score).
struct Phrase {
    std::string text, kind;
    double z_score = 0;
};

// A connected area that looks unreal: its box in pixels, (x, y) its top left corner.
struct Region {
    int x = 0, y = 0, width = 0, height = 0;
    double mean_realness = 0;
    std::size_t area_px = 0;
};

// What counts as a region: pixels more than `below_std` standard deviations below the map's mean, in pieces of at least
// `least_window_areas` of the smallest window; and how many at most. From the bundle.
struct RegionPolicy {
    double below_std = 1.0;
    double least_window_areas = 0.25;
    std::size_t most = 5;
};

// What untouched photographs give for the texts of a map: mean and standard deviation of the similarity with their
// windows, and the z-score that few of their maps reach; none where that was not measured for how the map was made.
struct Photographs {
    double mean = 0, std = 1;
    std::optional<double> threshold;
};

// Of the values of covered pixels.
struct Statistics {
    double min = 0, max = 0, mean = 0, std = 0, p5 = 0, median = 0, p95 = 0, covered_fraction = 0;
};

// A map and everything that made it.
struct RealnessMap {
    int height = 0, width = 0;          // of the image
    std::vector<float> values;          // height x width of `quantity`; 0 where no window was
    std::vector<std::uint8_t> covered;  // height x width of 0 and 1: whether a window covers the pixel
    Quantity quantity = Quantity::realness;
    Aggregate aggregate = Aggregate::mean;
    std::vector<int> windows_px;
    int stride_px = 0;
    std::string preset;   // "custom" where it is none
    std::string encoder;  // "each-window" or "one-pass"
    std::vector<std::string> texts;
    std::vector<Phrase> phrases;  // what the engine chose where no text was given
    std::size_t windows = 0;      // how many were encoded: where it is less than those of the grid, an approximation
    std::size_t windows_of_grid = 0;
    RegionPolicy policy;
    std::optional<Photographs> photographs;  // none where the bundle does not know, or not these windows

    float at(int y, int x) const {
        return values[static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)];
    }
    // 1 - cosine of every pixel, whatever `values` hold.
    std::vector<float> realness() const;
    Statistics statistics() const;
    // How many standard deviations less real than photographs every pixel is, NaN where no window was; empty without
    // `photographs`.
    std::vector<float> z() const;
    // The largest of them.
    std::optional<double> z_max() const;
    // What a twentieth of them exceed.
    std::optional<double> z_high() const;
    // Whether that is above what few photographs reach; none where that is not known.
    std::optional<bool> stands_out() const;
    // Lower and higher value at the ends of the colours where `stands_out` is known: a map on which nothing stands out
    // shows the picture as it is. None: the map's own range.
    std::optional<std::pair<double, double>> own_limits() const;
    // The least real first: connected covered pixels as `policy` says, at most its number or `most`. Relative to its
    // own map: where an image is least real. Where `stands_out` is known, only those of which a pixel does.
    std::vector<Region> regions() const { return regions(policy.most); }
    std::vector<Region> regions(std::size_t most) const;
};

// What answers.
struct Info {
    std::string bundle, weights, device, runtime;
    std::string score_precision, map_precision;  // empty where the bundle has no measure, or no map
    int threads = 0;
    std::vector<std::string> presets;  // of maps, the recommended one first, "fast" last
};

class Engine {
public:
    // Opens a bundle, a folder with bundle.json, and checks all of it; its graphs are opened on first use.
    // Throws BundleError, DeviceError or UsageError.
    explicit Engine(const std::filesystem::path& bundle, const Options& options = {});
    // The same of files that need not lie in a folder: `memory_source`, `callback_source`, or a Source of your own.
    explicit Engine(std::shared_ptr<const Source> bundle, const Options& options = {});
    ~Engine();
    Engine(Engine&&) noexcept;
    Engine& operator=(Engine&&) noexcept;

    // The measures of the bundle that this library can compute, in its order: the first is the default.
    std::vector<Measure> measures() const;
    // Its other measures, and why each is left out.
    std::vector<LeftOut> left_out() const;

    // The named measures of the images, in order; without names, all of `measures()`. As many texts as images (what each
    // says about its image, UTF-8; blank: none), or none. Images of one size share calls, and measures that look through
    // the same graph share its run. Throws UsageError for a name that is not there or was left out, TextError,
    // DeviceError.
    std::vector<Measured> measure(const std::vector<ImageView>& images, const std::vector<std::string>& texts = {},
                                  const std::vector<std::string>& names = {}) const;
    Measured measure(ImageView image, std::string_view text = {}, const std::vector<std::string>& names = {}) const;

    // What `text` says about the image; blank: scored from the picture alone. UTF-8.
    // Throws TextError, DeviceError, and BundleError where the bundle has no CORE.
    Score score(ImageView image, std::string_view text = {}) const;
    // One score per image, in order; as many texts as images, or none. Images of one size share calls.
    std::vector<Score> score(const std::vector<ImageView>& images, const std::vector<std::string>& texts = {}) const;

    // Where the image looks like the text (what looks unreal, UTF-8). Several texts count by their mean; without
    // any, the bundle's phrases that fit the image best are used and named.
    // Throws WindowError, TextError, DeviceError, UsageError for a preset or an encoder that is not there, and BundleError
    // where the bundle has no DREAM.
    RealnessMap map(ImageView image, const std::string& text, const MapOptions& options = {}) const;
    RealnessMap map(ImageView image, const std::vector<std::string>& texts = {}, const MapOptions& options = {}) const;

    // What `map` will do, for those who want to know before any work: an options object with every field filled.
    MapOptions resolve(const MapOptions& options) const;

    // Opens the graphs now rather than on first use, and finds out what would fail then. Names as for `measure`, options as
    // for `map`.
    void prepare_measure(const std::vector<std::string>& names = {}, bool with_text = true) const;
    void prepare_score(bool with_text = true) const;
    void prepare_map(const MapOptions& options = {}) const;

    Info info() const;

private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

// The version of this library, and that of the ONNX Runtime that was loaded.
const char* version();
std::string runtime_version();

}  // namespace realm
