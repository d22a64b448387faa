// DREAM: an image and texts -> a map of how real every pixel looks.
#pragma once

#include <memory>
#include <string>
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

// Maps images of any size with a window encoder and a text tower. Safe from several threads at once.
class Dream {
public:
    Dream(MapPolicy policy, std::shared_ptr<const TextEncoder> text, std::shared_ptr<const WindowEncoder> windows)
        : policy_(policy), text_(std::move(text)), windows_(std::move(windows)) {}

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
};

}  // namespace realm
