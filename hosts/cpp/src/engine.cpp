#include <algorithm>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "bundle.hpp"
#include "core.hpp"
#include "dream.hpp"
#include "realm/realm.hpp"
#include "realm_version.hpp"
#include "session.hpp"
#include "text_format.hpp"
#include "unicode.hpp"

namespace realm {
namespace {

constexpr std::size_t kMaxTokenizerBytes = std::size_t{64} << 20;
constexpr std::size_t kMaxPhrasesBytes = std::size_t{16} << 20;
constexpr std::uint64_t kMaxPixels = 200'000'000;
constexpr const char* kNeverRun = "bf16";  // ONNX Runtime has no such convolutions, on the CPU nor on CUDA

using SharedSession = std::shared_ptr<const Session>;

void check_image(ImageView image) {
    const std::string shape = std::to_string(image.width) + " x " + std::to_string(image.height);
    if (image.rgb == nullptr || image.height < 1 || image.width < 1)
        throw ImageError("image array: empty, " + shape + " pixels");
    if (static_cast<std::uint64_t>(image.height) * static_cast<std::uint64_t>(image.width) > kMaxPixels)
        throw ImageError("image array: " + shape + " is more than 200 megapixels; scale it down first");
}

}  // namespace

struct Engine::Parts {
    Parts(const std::filesystem::path& folder, const Options& options)
        : bundle(Bundle::open(folder, options.verify)),
          runtime(options.device, options.threads),
          memory(options.max_memory),
          warn(options.on_warning) {
        std::vector<std::string> files;
        for (const char* part : {"core", "dream"}) {
            const auto has = bundle.precisions(part);
            files.insert(files.end(), has.begin(), has.end());
            const auto runs = [&](const std::string& name) {
                return name != kNeverRun && std::find(has.begin(), has.end(), name) != has.end();
            };
            const bool choose = options.precision == "auto";
            const std::string wanted = choose ? bundle.recommended_precision(runtime.device()) : options.precision;
            const auto first = std::find_if(has.begin(), has.end(), runs);
            if (runs(wanted)) precision[part] = wanted;
            else if (choose && first != has.end()) precision[part] = *first;
        }
        if (!precision.empty()) return;
        std::vector<std::string> different;
        for (const std::string& name : files)
            if (std::find(different.begin(), different.end(), name) == different.end()) different.push_back(name);
        if (options.precision == kNeverRun && std::find(files.begin(), files.end(), kNeverRun) != files.end())
            throw DeviceError("device " + runtime.device() + ": ONNX Runtime has no " + kNeverRun +
                              " convolutions; use another --precision");
        throw BundleError(bundle.name() + ": no " + options.precision + " variant; this bundle has " +
                          joined(different));
    }

    // A graph in its part's precision; a text tower that lacks it runs in fp32.
    SharedSession session(const std::string& graph, const std::string& part) {
        const GraphSpec& spec = bundle.graphs().at(graph);
        std::string own = precision.at(part);
        if (spec.file(own) == nullptr) own = "fp32";
        const std::string* file = spec.file(own);
        if (file == nullptr) {
            std::vector<std::string> names;
            for (const auto& variant : spec.variants) names.push_back(variant.first);
            throw BundleError(bundle.name() + ": " + graph + " is not there in " + own + "; this bundle has " +
                              joined(names));
        }
        return once(sessions, *file + "\n" + own, [&] { return runtime.open(bundle.file(*file), own); });
    }

    std::shared_ptr<const Tokenizer> tokenizer(const std::string& relative) {
        return once(tokenizers, relative, [&] {
            const std::filesystem::path path = bundle.file(relative);
            return std::make_shared<const Tokenizer>(read_text(path, kMaxTokenizerBytes), path.string());
        });
    }

    std::shared_ptr<const TextEncoder> encoder(const std::string& graph, const std::string& part,
                                               const TextSpec& spec, const std::string& output) {
        return once(encoders, graph, [&] {
            auto words = std::async(std::launch::async, [&] { return tokenizer(spec.tokenizer); });
            SharedSession opened = session(graph, part);
            std::vector<std::string> inputs;
            for (const TensorSpec& input : bundle.graphs().at(graph).inputs) inputs.push_back(input.name);
            return std::make_shared<const TextEncoder>(spec, words.get(), opened, inputs, output, warn);
        });
    }

    std::shared_ptr<const TextEncoder> core_encoder() {
        return encoder("core_text", "core", bundle.core()->text, "text_features");
    }

    // The score's graphs are opened side by side: that is most of the time until the first answer.
    const Core& core(bool with_text) {
        need("core", "CORE", "score", bundle.core().has_value());
        auto text = with_text ? std::async(std::launch::async, [&] { core_encoder(); }) : std::future<void>{};
        const auto opened = once(cores, "core", [&] {
            return std::make_shared<const Core>(*bundle.core(), session("core", "core"), memory, runtime.image_batch(),
                                                !runtime.own_memory(), warn);
        });
        if (text.valid()) text.get();
        return *opened;
    }

    const Dream& dream() {
        need("dream", "DREAM", "map", bundle.dream().has_value());
        return *once(dreams, "dream", [&] {
            auto text = std::async(std::launch::async, [&] {
                return encoder("clip_text", "dream", bundle.dream()->text, "text_embedding");
            });
            SharedSession opened = session("dream", "dream");
            auto made = std::make_shared<const Dream>(*bundle.dream(), text.get(), opened, memory,
                                                      runtime.window_batch(), !runtime.own_memory());
            made->check_memory();
            return made;
        });
    }

    std::size_t text_width() {
        const TensorSpec* output = bundle.graphs().at("core_text").output("text_features");
        if (output != nullptr && output->last_dimension > 0) return static_cast<std::size_t>(output->last_dimension);
        return core_encoder()->features({""}).at(0)->size();
    }

    std::vector<BankEntry> bank() {
        const auto& spec = bundle.dream();
        if (!spec || !spec->phrases)
            throw TextError(bundle.name() + ": this bundle has no phrase bank; give a text (--text)");
        const std::filesystem::path path = bundle.file(*spec->phrases);
        return read_bank(read_text(path, kMaxPhrasesBytes), path.string());
    }

    Bundle bundle;
    Runtime runtime;
    MemoryLimit memory;
    Warn warn;
    std::map<std::string, std::string> precision;  // of "core" and "dream", as far as they can run

private:
    template <typename Value>
    using Kept = std::map<std::string, std::shared_future<std::shared_ptr<const Value>>>;

    // Makes a thing on the first call for it; threads that come meanwhile wait for that one. A failure is not kept.
    template <typename Value, typename Make>
    std::shared_ptr<const Value> once(Kept<Value>& kept, const std::string& key, Make&& make) {
        std::promise<std::shared_ptr<const Value>> promise;
        std::shared_future<std::shared_ptr<const Value>> future;
        {
            const std::lock_guard<std::mutex> lock(mutex);
            const auto found = kept.find(key);
            if (found == kept.end()) kept[key] = promise.get_future().share();
            else future = found->second;
        }
        if (future.valid()) return future.get();
        try {
            std::shared_ptr<const Value> value = make();
            promise.set_value(value);
            return value;
        } catch (...) {
            promise.set_exception(std::current_exception());
            const std::lock_guard<std::mutex> lock(mutex);
            kept.erase(key);
            throw;
        }
    }

    void need(const std::string& part, const std::string& title, const std::string& verb, bool complete) const {
        if (!complete)
            throw BundleError(bundle.name() + ": this bundle has no " + title + " and cannot " + verb +
                              "; use another");
        if (precision.count(part) == 0)
            throw BundleError(bundle.name() + ": " + part + " is not there in " + precision.begin()->second +
                              ", only in " + joined(bundle.precisions(part)));
    }

    std::mutex mutex;
    Kept<Session> sessions;
    Kept<Tokenizer> tokenizers;
    Kept<TextEncoder> encoders;
    Kept<Core> cores;
    Kept<Dream> dreams;
};

Engine::Engine(const std::filesystem::path& bundle, const Options& options)
    : parts_(std::make_unique<Parts>(bundle, options)) {}
Engine::~Engine() = default;
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;

Score Engine::score(ImageView image, std::string_view text) const {
    return score(std::vector<ImageView>{image}, std::vector<std::string>{std::string(text)}).front();
}

std::vector<Score> Engine::score(const std::vector<ImageView>& images, const std::vector<std::string>& texts) const {
    if (!texts.empty() && texts.size() != images.size())
        throw UsageError(std::to_string(images.size()) + " images but " + std::to_string(texts.size()) +
                         " descriptions; give one per image");
    for (const ImageView& image : images) check_image(image);
    const bool with_text = std::any_of(texts.begin(), texts.end(), [](const std::string& text) { return !unicode::is_blank(text); });
    const Core& core = parts_->core(with_text);
    const auto encoder = with_text ? parts_->core_encoder() : nullptr;
    return core.score(images, texts, encoder.get(), with_text ? 0 : parts_->text_width());
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
    const Dream& dream = parts_->dream();
    std::vector<Phrase> phrases;
    std::vector<std::string> own = texts;
    if (texts.empty()) {
        phrases = dream.pick(parts_->bank(), image, *std::max_element(full.windows_px.begin(), full.windows_px.end()));
        for (const Phrase& phrase : phrases) own.push_back(phrase.text);
    }
    RealnessMap result = dream.map(image, own, full);
    result.preset = full.preset;
    result.phrases = std::move(phrases);
    return result;
}

MapOptions Engine::resolve(const MapOptions& options) const {
    const auto& spec = parts_->bundle.dream();
    if (!spec) throw BundleError(parts_->bundle.name() + ": this bundle has no DREAM and cannot map; use another");
    const auto chosen = std::find_if(spec->presets.begin(), spec->presets.end(), [&](const PresetSpec& preset) {
        return options.preset.empty() || preset.name == options.preset;
    });
    if (chosen == spec->presets.end())
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
    full.preset = "custom";
    for (const PresetSpec& preset : spec->presets)
        if (preset.windows_px == full.windows_px && preset.stride_px == full.stride_px &&
            aggregate_of(preset) == *full.aggregate) {
            full.preset = preset.name;
            break;
        }
    return full;
}

void Engine::prepare_score(bool with_text) const { parts_->core(with_text).per_call(1); }
void Engine::prepare_map() const { parts_->dream(); }

Info Engine::info() const {
    Info result;
    result.bundle = parts_->bundle.name();
    result.weights = parts_->bundle.weights();
    result.device = parts_->runtime.device();
    result.runtime = "ONNX Runtime " + runtime_version();
    result.threads = parts_->runtime.threads();
    const auto precision = [&](const char* part) {
        const auto found = parts_->precision.find(part);
        return found == parts_->precision.end() ? std::string{} : found->second;
    };
    result.score_precision = precision("core");
    result.map_precision = precision("dream");
    if (parts_->bundle.dream())
        for (const PresetSpec& preset : parts_->bundle.dream()->presets) result.presets.push_back(preset.name);
    return result;
}

const char* version() { return kVersion; }

}  // namespace realm
