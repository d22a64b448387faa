// DREAM: an image and texts -> a map of how real every pixel looks.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "manifest.hpp"
#include "memory.hpp"
#include "realm/realm.hpp"
#include "session.hpp"
#include "text_encoder.hpp"
#include "windows.hpp"

namespace realm {

// A phrase of the bundle with the mean and standard deviation of its similarity on windows without a flaw.
struct BankEntry {
    std::string text, kind;
    double mean = 0, std = 1;
};

// Throws BundleError for a file that is no phrase bank.
std::vector<BankEntry> read_bank(const std::string& json, const std::string& where);

// Maps images of any size with one pair of graphs. Safe from several threads at once.
class Dream {
public:
    Dream(DreamSpec spec, MapPolicy policy, std::shared_ptr<const TextEncoder> encoder, std::shared_ptr<const Session> session,
          const MemoryLimit& memory, std::size_t batch, bool bounded);

    // `options` is resolved: it holds windows, stride and aggregate.
    RealnessMap map(ImageView image, const std::vector<std::string>& texts, const MapOptions& options) const;

    // The phrases that stand out most on an image, best first, as many as the policy allows.
    std::vector<Phrase> pick(const std::vector<BankEntry>& bank, ImageView image, int window_px) const;

    // Embeddings of texts, texts x width in one piece.
    std::vector<float> embed(const std::vector<std::string>& texts) const;

    // Cosines of windows with text embeddings, windows x texts; `seen` is told how many are done.
    std::vector<float> similarities(ImageView image, int window_px, const std::vector<std::int64_t>& top,
                                    const std::vector<std::int64_t>& left, const std::vector<float>& embeddings,
                                    std::size_t texts, const std::function<void(std::size_t)>& seen = {}) const;

    // Throws UsageError where the memory limit does not even allow one window.
    void check_memory() const { fitting(0); }

private:
    std::size_t fitting(std::uint64_t pixels) const;

    DreamSpec spec_;
    MapPolicy policy_;
    std::shared_ptr<const TextEncoder> encoder_;
    std::shared_ptr<const Session> session_;
    MemoryLimit memory_;
    std::size_t batch_;
    bool bounded_;
};

}  // namespace realm
