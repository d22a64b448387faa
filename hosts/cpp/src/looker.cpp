#include "looker.hpp"

#include <algorithm>
#include <cstring>

#include "realm/error.hpp"
#include "resample.hpp"

namespace realm {
namespace {

constexpr std::int64_t kLargePx = 1 << 20;  // looked at as it is, such a picture gains nothing from company

std::vector<std::uint8_t> stacked(const std::vector<ImageView>& images) {
    const std::size_t size = static_cast<std::size_t>(images[0].height) * static_cast<std::size_t>(images[0].width) * 3;
    std::vector<std::uint8_t> pixels(size * images.size());
    for (std::size_t index = 0; index < images.size(); ++index)
        std::memcpy(pixels.data() + index * size, images[index].rgb, size);
    return pixels;
}

}  // namespace

std::size_t Looker::per_call(int height, int width) const {
    const std::int64_t pixels = static_cast<std::int64_t>(height) * width;
    const std::size_t wanted = view_.native && pixels > kLargePx ? 1 : batch_;
    if (!bounded_) return wanted;
    if (thin_) return memory_.inputs_per_call(0, 0, wanted, 0, static_cast<std::uint64_t>(pixels));
    return view_.native ? memory_.inputs_per_call(height, width, wanted, 0, 0)
                        : memory_.inputs_per_call(view_.height_px, view_.width_px, wanted, 0,
                                                  static_cast<std::uint64_t>(pixels));
}

std::vector<std::vector<float>> Looker::look(const std::vector<ImageView>& images, const TextRows& texts,
                                             const std::vector<Wanted>& outputs) const {
    const std::size_t fits = std::max<std::size_t>(1, per_call(images[0].height, images[0].width));
    std::vector<std::vector<float>> result(outputs.size());
    for (std::size_t start = 0; start < images.size(); start += fits) {
        const auto first = static_cast<std::ptrdiff_t>(start);
        const auto last = static_cast<std::ptrdiff_t>(std::min(start + fits, images.size()));
        const auto found = run({images.begin() + first, images.begin() + last},
                               {texts.begin() + first, texts.begin() + last}, outputs);
        for (std::size_t at = 0; at < result.size(); ++at)
            result[at].insert(result[at].end(), found[at].begin(), found[at].end());
    }
    return result;
}

std::vector<std::vector<float>> Looker::run(const std::vector<ImageView>& images, const TextRows& texts,
                                            std::vector<Wanted> outputs) const {
    const int height = images[0].height, width = images[0].width;
    const auto count = static_cast<std::int64_t>(images.size());
    const std::vector<std::uint8_t> several = images.size() > 1 ? stacked(images) : std::vector<std::uint8_t>{};
    std::vector<Feed> feeds{
        {"pixels", Element::uint8, several.empty() ? images[0].rgb : several.data(), {count, height, width, 3}}};
    std::shared_ptr<const Matrix> rows, cols;
    if (!view_.native) {
        rows = resample_matrix(height, view_.height_px, view_.interpolation);
        cols = resample_matrix(width, view_.width_px, view_.interpolation);
        // From format 1.3 on a graph takes matrices for all pictures, [1, 1, out, in], or for each.
        const std::vector<std::int64_t> before(matrix_rank_ - 2, 1);
        const auto shape = [&](int out, int in) {
            std::vector<std::int64_t> sizes = before;
            sizes.insert(sizes.end(), {out, in});
            return sizes;
        };
        feeds.push_back({"resample_rows", Element::float32, rows->data(), shape(view_.height_px, height)});
        feeds.push_back({"resample_cols", Element::float32, cols->data(), shape(view_.width_px, width)});
    }
    // Rows without a text are 0; the graph puts its own features in their place.
    std::vector<float> features(images.size() * text_width_), has_text(images.size());
    if (text_width_ > 0) {
        for (std::size_t at = 0; at < images.size(); ++at) {
            if (texts[at] == nullptr) continue;
            if (texts[at]->size() != text_width_)
                throw DeviceError("the text graph gives features of another width than the image graph takes; export the "
                                  "bundle again");
            has_text[at] = 1.0F;
            std::copy(texts[at]->begin(), texts[at]->end(),
                      features.begin() + static_cast<std::ptrdiff_t>(at * text_width_));
        }
        const auto row = static_cast<std::int64_t>(text_width_);
        feeds.push_back({"text_features", Element::float32, features.data(), {count, row}});
        feeds.push_back({"has_text", Element::float32, has_text.data(), {count}});
    }
    for (Wanted& output : outputs)
        for (auto& shape : output.shapes) shape.insert(shape.begin(), count);
    return session_->run(feeds, outputs);
}

}  // namespace realm
