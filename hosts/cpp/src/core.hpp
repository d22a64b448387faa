// CORE: images and their descriptions -> mean opinion scores of realness.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "manifest.hpp"
#include "memory.hpp"
#include "realm/realm.hpp"
#include "session.hpp"
#include "text_encoder.hpp"

namespace realm {

// Scores images of any size with one pair of graphs. Safe from several threads at once.
class Core {
public:
    // `text` may be null where no text was ever given and `text_width` (of the features) is known.
    Core(CoreSpec spec, std::shared_ptr<const Session> session, const MemoryLimit& memory, std::size_t batch,
         bool bounded, Warn warn)
        : spec_(std::move(spec)),
          session_(std::move(session)),
          memory_(memory),
          batch_(batch),
          bounded_(bounded),
          warn_(std::move(warn)) {}

    std::vector<Score> score(const std::vector<ImageView>& images, const std::vector<std::string>& texts,
                             const TextEncoder* encoder, std::size_t text_width) const;
    // MOS of images of one size; features of as many rows.
    std::vector<float> run(const std::vector<ImageView>& images, const std::vector<float>& features,
                           const std::vector<float>& has_text) const;
    double rating(double mos) const;
    // Images of one call, of so many pixels each. Throws UsageError where the memory does not suffice.
    std::size_t per_call(std::uint64_t pixels) const;

private:
    CoreSpec spec_;
    std::shared_ptr<const Session> session_;
    MemoryLimit memory_;
    std::size_t batch_;
    bool bounded_;
    Warn warn_;
    mutable std::once_flag warned_;
};

}  // namespace realm
