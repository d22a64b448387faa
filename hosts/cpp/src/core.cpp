#include "core.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "resample.hpp"
#include "unicode.hpp"

namespace realm {

double Core::rating(double mos) const {
    if (std::isnan(mos)) return mos;
    return std::clamp(spec_.rating_offset + spec_.rating_slope * mos, 0.0, 100.0);
}

std::size_t Core::per_call(std::uint64_t pixels) const {
    return bounded_ ? memory_.inputs_per_call(spec_.height_px, spec_.width_px, batch_, 0, pixels) : batch_;
}

std::vector<Score> Core::score(const std::vector<ImageView>& images, const std::vector<std::string>& texts,
                               const TextEncoder* encoder, std::size_t text_width) const {
    std::vector<std::string> present;
    for (const std::string& text : texts)
        if (!unicode::is_blank(text)) present.push_back(text);
    if (present.size() < images.size() && spec_.missing_text == "empty-description" && warn_)
        std::call_once(warned_, [&] {
            warn_(
                "this bundle was never trained without descriptions: where one is missing it is scored as if it "
                "were empty, which is less reliable (said once)");
        });
    std::vector<Embedding> embedded;
    if (encoder != nullptr && !present.empty()) embedded = encoder->features(present);
    if (!embedded.empty()) text_width = embedded[0]->size();
    // Rows without a text are 0; the graph puts its own features in their place.
    std::vector<const std::vector<float>*> rows(images.size(), nullptr);
    for (std::size_t index = 0, next = 0; index < texts.size(); ++index) {
        if (unicode::is_blank(texts[index])) continue;
        rows[index] = embedded.at(next++).get();
        if (rows[index]->size() != text_width)
            throw DeviceError("the text graph gives features of several widths; export the bundle again");
    }
    std::map<std::pair<int, int>, std::vector<std::size_t>> groups;
    for (std::size_t index = 0; index < images.size(); ++index)
        groups[{images[index].height, images[index].width}].push_back(index);
    std::vector<Score> scores(images.size());
    for (const auto& [size, indices] : groups) {
        const auto pixels = static_cast<std::uint64_t>(size.first) * static_cast<std::uint64_t>(size.second);
        const std::size_t fits = std::max<std::size_t>(1, per_call(pixels));
        for (std::size_t start = 0; start < indices.size(); start += fits) {
            const std::size_t end = std::min(start + fits, indices.size());
            std::vector<ImageView> chunk;
            std::vector<float> features((end - start) * text_width), has_text(end - start);
            for (std::size_t at = start; at < end; ++at) {
                chunk.push_back(images[indices[at]]);
                const std::vector<float>* row = rows[indices[at]];
                if (row == nullptr) continue;
                has_text[at - start] = 1.0F;
                std::copy(row->begin(), row->end(),
                          features.begin() + static_cast<std::ptrdiff_t>((at - start) * text_width));
            }
            const std::vector<float> mos = run(chunk, features, has_text);
            for (std::size_t at = start; at < end; ++at) {
                const double value = std::isfinite(mos[at - start]) ? static_cast<double>(mos[at - start]) : std::nan("");
                scores[indices[at]] = {value, rating(value)};
            }
        }
    }
    return scores;
}

std::vector<float> Core::run(const std::vector<ImageView>& images, const std::vector<float>& features,
                             const std::vector<float>& has_text) const {
    const int height = images[0].height, width = images[0].width;
    const auto count = static_cast<std::int64_t>(images.size());
    const std::size_t size = static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3;
    const std::uint8_t* pixels = images[0].rgb;
    std::vector<std::uint8_t> stacked;
    if (images.size() > 1) {
        stacked.resize(size * images.size());
        for (std::size_t index = 0; index < images.size(); ++index)
            std::memcpy(stacked.data() + index * size, images[index].rgb, size);
        pixels = stacked.data();
    }
    const auto rows = resample_matrix(height, spec_.height_px, spec_.interpolation);
    const auto cols = resample_matrix(width, spec_.width_px, spec_.interpolation);
    const auto text_width = static_cast<std::int64_t>(features.size() / images.size());
    const std::vector<Feed> feeds{
        {"pixels", Element::uint8, pixels, {count, height, width, 3}},
        {"resample_rows", Element::float32, rows->data(), {spec_.height_px, height}},
        {"resample_cols", Element::float32, cols->data(), {spec_.width_px, width}},
        {"text_features", Element::float32, features.data(), {count, text_width}},
        {"has_text", Element::float32, has_text.data(), {count}},
    };
    return session_->run(feeds, "mos", {count});
}

}  // namespace realm
