// What an engine is made of: a bundle, a runtime, and whatever was opened so far. Each thing is opened on first use, once.
#pragma once

#include <algorithm>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "bundle.hpp"
#include "dream.hpp"
#include "limits.hpp"
#include "looker.hpp"
#include "nss.hpp"
#include "realm/realm.hpp"
#include "session.hpp"
#include "text_encoder.hpp"
#include "text_format.hpp"

namespace realm {

constexpr const char* kNeverRun = "bf16";  // ONNX Runtime has no such convolutions, on the CPU nor on CUDA

struct Engine::Parts {
    Parts(std::shared_ptr<const Source> source, const Options& options)
        : bundle(Bundle::open(std::move(source), options.verify)),
          runtime(options.device, options.threads),
          heads("cpu", options.threads),
          memory(options.max_memory),
          warn(options.on_warning) {
        std::set<std::string> graphs;
        if (bundle.core()) graphs.insert("core");
        if (bundle.dream()) graphs.insert(bundle.dream()->main_graph());
        for (const MeasureSpec& measure : bundle.measures())
            if (measure.problem.empty() && !measure.counts()) graphs.insert(measure.graph);
        std::vector<std::string> files;
        for (const std::string& graph : graphs) {
            const auto has = bundle.precisions(graph);
            files.insert(files.end(), has.begin(), has.end());
            const auto runs = [&](const std::string& name) {
                return name != kNeverRun && std::find(has.begin(), has.end(), name) != has.end();
            };
            const bool choose = options.precision == "auto";
            std::string wanted = choose ? bundle.recommended_precision(runtime.device()) : options.precision;
            if (choose && wanted == "int8" && runtime.device() == "cpu" && !has_int8_units()) wanted = "fp32";
            const auto first = std::find_if(has.begin(), has.end(), runs);
            if (runs(wanted)) precision[graph] = wanted;
            else if (choose && first != has.end()) precision[graph] = *first;
        }
        if (!precision.empty() || files.empty()) return;
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
        return once(sessions, *file + "\n" + own, [&] { return runtime.open(bundle.model(*file), own); });
    }

    std::shared_ptr<const Tokenizer> tokenizer(const std::string& relative) {
        return once(tokenizers, relative, [&] {
            return std::make_shared<const Tokenizer>(bundle.text(relative, limits::kTokenizerBytes), bundle.where(relative));
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

    // What looks at pictures through a graph of measures.
    std::shared_ptr<const Looker> looker(const MeasureSpec& measure) {
        if (!measure.counts()) need(measure.graph);
        return once(lookers, measure.graph + "\n" + measure.view.key(), [&] {
            const bool on_cpu = measure.counts() || !runtime.own_memory();
            const SharedSession opened = measure.counts() ? head(measure.graph) : session(measure.graph, measure.graph);
            const std::size_t batch = measure.counts() ? heads.image_batch() : runtime.image_batch();
            return std::make_shared<const Looker>(measure.view, opened, matrix_rank(measure.graph), text_width(measure.graph), memory,
                                                  batch, on_cpu, measure.counts());
        });
    }

    // What photographs are like to NIQE.
    std::shared_ptr<const nss::Gaussian> gaussian(const std::string& file) {
        return once(gaussians, file, [&] {
            return std::make_shared<const nss::Gaussian>(
                nss::read_gaussian(bundle.text(file, limits::kManifestBytes), bundle.where(file)));
        });
    }

    // A head runs on the CPU in fp32, whatever the towers do.
    SharedSession head(const std::string& graph) {
        const std::string* file = bundle.graphs().at(graph).file("fp32");
        if (file == nullptr)
            throw BundleError(bundle.name() + ": " + graph + " is not there in fp32; this bundle has " +
                              joined(bundle.precisions(graph)));
        return once(sessions, *file + "\nhead", [&] { return heads.open(bundle.model(*file), "fp32"); });
    }

    // The measure that `score` means. Throws BundleError where there is none.
    const MeasureSpec& core() const;
    // The named measures, all that can be computed where there are no names. Throws UsageError, BundleError.
    std::vector<const MeasureSpec*> choose(const std::vector<std::string>& names) const;
    std::vector<Measured> measure(const std::vector<const MeasureSpec*>& chosen, const std::vector<ImageView>& images,
                                  const std::vector<std::string>& texts);
    std::vector<float> counted(const MeasureSpec& spec, const std::vector<float>& moments, std::vector<std::string>& reasons);
    // Their graphs are opened side by side: that is most of the time until the first answer.
    void prepare(const std::vector<const MeasureSpec*>& chosen, bool with_text);

    // How the bundle makes maps. Throws BundleError where it makes none.
    const DreamSpec& maps() const {
        if (!bundle.dream())
            throw BundleError(bundle.name() + ": this bundle has no DREAM and cannot map; use another");
        return *bundle.dream();
    }

    // Maps by an encoder that is there.
    const Dream& dream(const std::string& windows) {
        const std::string part = maps().main_graph();
        need(part);
        return *once(dreams, windows, [&] {
            auto text = std::async(std::launch::async, [&] {
                return encoder("clip_text", part, maps().text, "text_embedding");
            });
            const std::shared_ptr<const WindowEncoder> opened = window_encoder(windows, part);
            auto made = std::make_shared<const Dream>(bundle.maps(), text.get(), opened, photographs());
            opened->check_memory();  // when all that takes memory is there
            return made;
        });
    }

    // What is known of untouched photographs; null where nothing is.
    std::shared_ptr<const PhotographScale> photographs() {
        const DreamSpec& spec = maps();
        if (!spec.photographs) return {};
        return std::make_shared<const PhotographScale>(*spec.photographs, head(kPhotographs));
    }

    std::shared_ptr<const WindowEncoder> window_encoder(const std::string& name, const std::string& part) {
        const DreamSpec& spec = maps();
        const bool bounded = !runtime.own_memory();
        if (name == kEachWindow)
            return std::make_shared<const EachWindow>(spec.image_size_px, spec.interpolation, session("dream", part), memory,
                                                      runtime.window_batch(), bounded);
        std::vector<std::string> stages;
        for (const TensorSpec& output : bundle.graphs().at("trunk").outputs) stages.push_back(output.name);
        return std::make_shared<const OnePass>(spec.one_pass.value(), stages, session("trunk", part), session("windows", part),
                                               memory, bounded);
    }

    // Of the resize matrices that a graph of pictures takes.
    std::size_t matrix_rank(const std::string& graph) {
        const TensorSpec* input = bundle.graphs().at(graph).input("resample_rows");
        return input != nullptr && input->rank == 4 ? 4 : 2;
    }

    // Of the features of texts that a graph of pictures takes; 0 where it takes none.
    std::size_t text_width(const std::string& graph) {
        const TensorSpec* input = bundle.graphs().at(graph).input("text_features");
        if (input == nullptr) return 0;
        if (input->last_dimension > 0) return static_cast<std::size_t>(input->last_dimension);
        if (!bundle.core())
            throw BundleError(bundle.name() + ": " + graph + " does not say how wide its 'text_features' are; export the "
                              "bundle again");
        need("core");
        return core_encoder()->features({""}).at(0)->size();
    }

    std::vector<BankEntry> bank() {
        const auto& spec = bundle.dream();
        if (!spec || !spec->phrases)
            throw TextError(bundle.name() + ": this bundle has no phrase bank; give a text (--text)");
        return read_bank(bundle.text(*spec->phrases, limits::kPhrasesBytes), bundle.where(*spec->phrases));
    }

    Bundle bundle;
    Runtime runtime, heads;
    MemoryLimit memory;
    Warn warn;
    std::map<std::string, std::string> precision;  // of graphs of pictures, as far as they can run
    std::once_flag warned_of_missing_text;

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

    void need(const std::string& graph) const {
        if (precision.count(graph) != 0) return;
        const std::string wanted = precision.empty() ? "a precision that runs" : precision.begin()->second;
        throw BundleError(bundle.name() + ": " + graph + " is not there in " + wanted + ", only in " +
                          joined(bundle.precisions(graph)));
    }

    std::mutex mutex;
    Kept<Session> sessions;
    Kept<Tokenizer> tokenizers;
    Kept<TextEncoder> encoders;
    Kept<Looker> lookers;
    Kept<nss::Gaussian> gaussians;
    Kept<Dream> dreams;
};

}  // namespace realm
