#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "adaptive.hpp"
#include "parts.hpp"
#include "realm/realm.hpp"
#include "realm_version.hpp"
#include "text_format.hpp"
#include "unicode.hpp"

namespace realm {
namespace {

constexpr const char* kAuto = "auto";
constexpr const char* kFast = "fast";  // every bundle's: the recommended preset with fewer windows

void check_image(ImageView image) {
    const std::string shape = std::to_string(image.width) + " x " + std::to_string(image.height);
    if (image.rgb == nullptr || image.height < 1 || image.width < 1)
        throw ImageError("image array: empty, " + shape + " pixels");
    if (static_cast<std::uint64_t>(image.height) * static_cast<std::uint64_t>(image.width) > limits::kPixels)
        throw ImageError("image array: " + shape + " is more than 200 megapixels; scale it down first");
}

// Throws UsageError where the bundle cannot make maps with an encoder.
void check_encoder(const std::string& encoder, const Bundle& bundle) {
    if (encoder != kEachWindow && encoder != kOnePass)
        throw UsageError("encoder is " + in_quotes(encoder) + "; choose one of " + kAuto + ", " + kEachWindow + ", " + kOnePass);
    const std::vector<std::string>& there = bundle.dream()->encoders;
    if (std::find(there.begin(), there.end(), encoder) == there.end())
        throw UsageError(bundle.name() + ": its maps cannot be made by " + encoder + ", only by " + joined(there));
}

bool names(const DreamSpec& spec, const std::string& preset) {
    return std::any_of(spec.presets.begin(), spec.presets.end(), [&](const PresetSpec& each) { return each.name == preset; });
}

// The share of windows that "fast" encodes of these.
double faster(const std::vector<int>& windows_px, int stride_px) {
    double share = kFastFraction;
    for (const int window : windows_px) share = std::max(share, fast_fraction(window, stride_px));
    return std::min(1.0, share);
}

// The preset that says exactly how a map is made; null where there is none, as of an approximation.
const PresetSpec* made_as(const MapOptions& full, const DreamSpec& spec) {
    if (full.fraction < 1.0) return nullptr;
    const auto found = std::find_if(spec.presets.begin(), spec.presets.end(), [&](const PresetSpec& preset) {
        return preset.windows_px == full.windows_px && preset.stride_px == full.stride_px &&
               (preset.aggregate == "max") == (full.aggregate == Aggregate::max) && preset.encoder == full.encoder;
    });
    return found == spec.presets.end() ? nullptr : &*found;
}

}  // namespace

Engine::Engine(const std::filesystem::path& bundle, const Options& options)
    : Engine(folder_source(bundle), options) {}
Engine::Engine(std::shared_ptr<const Source> bundle, const Options& options)
    : parts_(std::make_unique<Parts>(std::move(bundle), options)) {}
Engine::~Engine() = default;
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;

Score Engine::score(ImageView image, std::string_view text) const {
    return score(std::vector<ImageView>{image}, std::vector<std::string>{std::string(text)}).front();
}

std::vector<Score> Engine::score(const std::vector<ImageView>& images, const std::vector<std::string>& texts) const {
    const MeasureSpec& core = parts_->core();
    const std::vector<Measured> measured = measure(images, texts, {core.told.name});
    const auto value = [&](const Measured& each, const char* name) {
        for (std::size_t at = 0; at < each.values.size(); ++at)
            if (core.told.columns[at].name == name) return each.values[at];
        return std::numeric_limits<double>::quiet_NaN();
    };
    std::vector<Score> scores;
    for (const Measured& each : measured) scores.push_back({value(each, "mos"), value(each, "realness")});
    return scores;
}

std::vector<Measure> Engine::measures() const {
    std::vector<Measure> found;
    for (const MeasureSpec& spec : parts_->bundle.measures())
        if (spec.problem.empty()) found.push_back(spec.told);
    return found;
}

std::vector<LeftOut> Engine::left_out() const {
    std::vector<LeftOut> found;
    for (const MeasureSpec& spec : parts_->bundle.measures())
        if (!spec.problem.empty()) found.push_back({spec.told.name, spec.problem});
    return found;
}

Measured Engine::measure(ImageView image, std::string_view text, const std::vector<std::string>& names) const {
    return measure(std::vector<ImageView>{image}, std::vector<std::string>{std::string(text)}, names).front();
}

std::vector<Measured> Engine::measure(const std::vector<ImageView>& images, const std::vector<std::string>& texts,
                                      const std::vector<std::string>& names) const {
    if (!texts.empty() && texts.size() != images.size())
        throw UsageError(std::to_string(images.size()) + " images but " + std::to_string(texts.size()) +
                         " descriptions; give one per image");
    for (const ImageView& image : images) check_image(image);
    return parts_->measure(parts_->choose(names), images, texts);
}

RealnessMap Engine::map(ImageView image, const std::string& text, const MapOptions& options) const {
    return map(image, std::vector<std::string>{text}, options);
}

RealnessMap Engine::map(ImageView image, const std::vector<std::string>& texts, const MapOptions& options) const {
    check_image(image);
    const MapOptions full = resolve(options);
    // A window that does not fit is found before any work.
    for (const int window : full.windows_px) WindowGrid(image.height, image.width, window, full.stride_px);
    for (const std::string& text : texts)
        if (unicode::is_blank(text))
            throw TextError("the text of a map is empty; describe what looks unreal, or leave the text out");
    const Dream& dream = parts_->dream(full.encoder);
    const std::vector<BankEntry> bank = texts.empty() ? parts_->bank() : std::vector<BankEntry>{};
    const auto canvas = dream.canvas(image);
    std::vector<Phrase> phrases;
    std::vector<std::string> own = texts;
    if (texts.empty()) {
        const int window = *std::max_element(full.windows_px.begin(), full.windows_px.end());
        // The bank says what phrases give with the encoder that the bundle recommends, whichever makes the map.
        const Dream& picker = options.encoder == kAuto ? parts_->dream(parts_->maps().encoders.front()) : dream;
        phrases = picker.pick(bank, &picker == &dream ? *canvas : *picker.canvas(image), window);
        for (const Phrase& phrase : phrases) own.push_back(phrase.text);
    }
    RealnessMap result = dream.map(*canvas, own, full);
    result.preset = full.preset;
    if (const PresetSpec* preset = made_as(full, parts_->maps()); preset != nullptr && result.photographs)
        result.photographs->threshold = texts.empty() ? preset->phrases_stand_out : preset->text_stands_out;
    result.phrases = std::move(phrases);
    return result;
}

MapOptions Engine::resolve(const MapOptions& options) const {
    const DreamSpec& spec = parts_->maps();
    const bool fast = options.preset == kFast && !names(spec, kFast);
    const auto chosen = std::find_if(spec.presets.begin(), spec.presets.end(), [&](const PresetSpec& preset) {
        return options.preset.empty() || fast || preset.name == options.preset;
    });
    if (chosen == spec.presets.end())
        throw UsageError("--preset " + options.preset + ": this bundle has " + joined(info().presets));
    const auto aggregate_of = [](const PresetSpec& preset) {
        return preset.aggregate == "max" ? Aggregate::max : Aggregate::mean;
    };
    MapOptions full = options;
    if (full.windows_px.empty()) full.windows_px = chosen->windows_px;
    if (full.stride_px == 0) full.stride_px = chosen->stride_px;
    if (!full.aggregate) full.aggregate = aggregate_of(*chosen);
    std::vector<std::string> sizes;
    for (const int size : full.windows_px) sizes.push_back(std::to_string(size));
    if (std::set<int>(full.windows_px.begin(), full.windows_px.end()).size() != full.windows_px.size())
        throw WindowError("window sizes (" + joined(sizes) + ") repeat; give each once");
    sizes.push_back(std::to_string(full.stride_px));
    for (const std::string& size : sizes)
        if (std::stoi(size) < 1) throw WindowError("window sizes and stride must be whole numbers from 1, not " + size);
    const bool by_preset = options.encoder == kAuto;
    if (by_preset) full.encoder = chosen->encoder;
    else check_encoder(options.encoder, parts_->bundle);
    if (!(options.fraction >= 0.0 && options.fraction <= 1.0))
        throw UsageError("fraction is " + std::to_string(options.fraction) +
                         "; give a share of the windows, above 0, at most 1");
    // Where a preset leaves no window out, other windows and strides do not either.
    const bool spares = fast && faster(chosen->windows_px, chosen->stride_px) < 1.0;
    if (full.fraction == 0.0) full.fraction = spares ? faster(full.windows_px, full.stride_px) : 1.0;
    if (full.encoder == kOnePass) full.fraction = 1.0;
    full.preset = "custom";
    if (full.fraction < 1.0) {
        const PresetSpec& first = spec.presets.front();
        const bool same = full.windows_px == first.windows_px && full.stride_px == first.stride_px &&
                          full.aggregate == aggregate_of(first) && (!by_preset || full.encoder == first.encoder);
        if (same && !names(spec, kFast) && full.fraction == faster(first.windows_px, first.stride_px)) full.preset = kFast;
        return full;
    }
    for (const PresetSpec& preset : spec.presets)
        if (preset.windows_px == full.windows_px && preset.stride_px == full.stride_px &&
            aggregate_of(preset) == *full.aggregate && (!by_preset || preset.encoder == full.encoder)) {
            full.preset = preset.name;
            break;
        }
    return full;
}

void Engine::prepare_measure(const std::vector<std::string>& names, bool with_text) const {
    parts_->prepare(parts_->choose(names), with_text);
}
void Engine::prepare_score(bool with_text) const { prepare_measure({parts_->core().told.name}, with_text); }
void Engine::prepare_map(const MapOptions& options) const { parts_->dream(resolve(options).encoder); }

Info Engine::info() const {
    Info result;
    result.bundle = parts_->bundle.name();
    result.weights = parts_->bundle.weights();
    result.device = parts_->runtime.device();
    result.runtime = "ONNX Runtime " + runtime_version();
    result.threads = parts_->runtime.threads();
    const auto precision = [&](const std::string& graph) {
        const auto found = parts_->precision.find(graph);
        return found == parts_->precision.end() ? std::string{} : found->second;
    };
    for (const MeasureSpec& spec : parts_->bundle.measures())
        if (spec.problem.empty() && result.score_precision.empty()) result.score_precision = precision(spec.graph);
    if (const auto& maps = parts_->bundle.dream()) {
        result.map_precision = precision(maps->main_graph());
        for (const PresetSpec& preset : maps->presets) result.presets.push_back(preset.name);
        if (!names(*maps, kFast)) result.presets.push_back(kFast);
    }
    return result;
}

const char* version() { return kVersion; }

}  // namespace realm
