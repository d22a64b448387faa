// DREAM: an image and texts -> a map of how real every pixel looks.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "encoders.hpp"
#include "manifest.hpp"
#include "realm/realm.hpp"
#include "text_encoder.hpp"

namespace realm {

// A phrase of the bundle with the mean and standard deviation of its similarity on windows without a flaw.
struct BankEntry {
    std::string text, kind;
    double mean = 0, std = 1;
};

// Throws BundleError for a file that is no phrase bank.
std::vector<BankEntry> read_bank(const std::string& json, const std::string& where);

// What the graph `photographs` knows of texts.
class PhotographScale {
public:
    PhotographScale(PhotographsSpec spec, SharedSession session) : spec_(std::move(spec)), session_(std::move(session)) {}

    // Means over the texts and window sizes; none where windows of one of these sizes, or of this encoder, were not measured.
    // Throws DeviceError, AnswerError, and BundleError where a standard deviation is not above 0.
    std::optional<Photographs> of(const TextEmbeddings& texts, const MapOptions& options) const;

private:
    PhotographsSpec spec_;
    SharedSession session_;
};

// Maps images of any size with a window encoder and a text tower. Safe from several threads at once.
class Dream {
public:
    // `photographs`: null where the bundle does not know them.
    Dream(MapPolicy policy, std::shared_ptr<const TextEncoder> text, std::shared_ptr<const WindowEncoder> windows,
          std::shared_ptr<const PhotographScale> photographs = {})
        : policy_(policy), text_(std::move(text)), windows_(std::move(windows)), photographs_(std::move(photographs)) {}

    // The image, ready for `map` and `pick`: what it takes to look at it is done once.
    std::unique_ptr<const Canvas> canvas(ImageView image) const { return windows_->canvas(image); }

    // `options` is resolved: it holds windows, stride, aggregate and encoder.
    RealnessMap map(const Canvas& canvas, const std::vector<std::string>& texts, const MapOptions& options) const;

    // The phrases that stand out most on an image, best first, as many as the policy allows.
    std::vector<Phrase> pick(const std::vector<BankEntry>& bank, const Canvas& canvas, int window_px) const;

    TextEmbeddings embed(const std::vector<std::string>& texts) const;

private:
    MapPolicy policy_;
    std::shared_ptr<const TextEncoder> text_;
    std::shared_ptr<const WindowEncoder> windows_;
    std::shared_ptr<const PhotographScale> photographs_;
};

}  // namespace realm
