#include "encoders.hpp"

#include <algorithm>
#include <utility>

#include "realm/error.hpp"
#include "resample.hpp"

namespace realm {
namespace {

constexpr int kSmallWindowPx = 112;  // of a tower's input: such windows leave a core idle between operators
constexpr std::int64_t kMostPooled = 16384;  // windows of one pass in a call: 12 kB each

class WindowCanvas final : public Canvas {
public:
    WindowCanvas(const EachWindow& encoder, ImageView image) : Canvas(image), encoder_(encoder) {}

    std::vector<float> similarities(const WindowGrid& grid, const TextEmbeddings& texts, const Seen& seen,
                                    const std::vector<std::size_t>* only) const override {
        const std::size_t count = only == nullptr ? grid.count() : only->size();
        std::vector<std::int64_t> top(count), left(count);
        for (std::size_t at = 0; at < count; ++at) {
            const std::size_t index = only == nullptr ? at : (*only)[at];
            top[at] = grid.top(index);
            left[at] = grid.left(index);
        }
        return encoder_.similarities(image(), grid.window_px, top, left, texts, seen);
    }

private:
    const EachWindow& encoder_;
};

class PassedCanvas final : public Canvas {
public:
    PassedCanvas(const OnePass& encoder, ImageView image, std::vector<Tensor> stages)
        : Canvas(image), encoder_(encoder), stages_(std::move(stages)) {}

    // Pooling all of them is one product, so that nothing is saved by leaving some out.
    std::vector<float> similarities(const WindowGrid& grid, const TextEmbeddings& texts, const Seen& seen,
                                    const std::vector<std::size_t>* only) const override {
        const std::vector<float> all = encoder_.pool(stages_, grid, texts, seen);
        if (only == nullptr) return all;
        std::vector<float> some;
        for (const std::size_t index : *only) {
            const auto first = all.begin() + static_cast<std::ptrdiff_t>(index) * texts.texts;
            some.insert(some.end(), first, first + texts.texts);
        }
        return some;
    }

private:
    const OnePass& encoder_;
    std::vector<Tensor> stages_;
};

const std::uint8_t* row_of(ImageView image, std::int64_t row) {
    return image.rgb + static_cast<std::ptrdiff_t>(row) * image.width * 3;
}

// Shares of the windows of an axis in the cells of one size, under the name of the input that takes them.
struct Box {
    std::string name;
    std::int64_t cells = 0;
    std::vector<float> shares;

    Feed feed(std::int64_t first, std::int64_t windows) const {
        return {name.c_str(), Element::float32, shares.data() + first * cells, {windows, cells}};
    }
};

// One box per size of cells. `filled_px`: of the axis.
std::vector<Box> boxes(const std::string& axis, const PassSpec& spec, std::int64_t filled_px, int windows,
                       const WindowGrid& grid) {
    std::vector<Box> found;
    for (const int px : spec.cells_px)
        found.push_back({axis + "_" + std::to_string(px), filled_px / px,
                         box_shares(windows, grid.window_px, grid.stride_px, filled_px / px, px)});
    return found;
}

// Puts rows of a band's stage, from `first` on, into the stage of the picture, from `at` on: both channels x rows x columns.
void put_rows(Tensor& whole, const Tensor& band, std::int64_t at, std::int64_t first, std::int64_t rows) {
    const std::int64_t columns = whole.shape[2];
    for (std::int64_t channel = 0; channel < whole.shape[0]; ++channel) {
        const auto from = band.values.begin() + (channel * band.shape[1] + first) * columns;
        std::copy(from, from + rows * columns, whole.values.begin() + (channel * whole.shape[1] + at) * columns);
    }
}

}  // namespace

Feed TextEmbeddings::feed() const {
    const std::int64_t width = texts > 0 ? static_cast<std::int64_t>(values.size()) / texts : 0;
    return {"text", Element::float32, values.data(), {texts, width}};
}

// ------------------------------------------------------------- each window

EachWindow::EachWindow(int image_size_px, std::string interpolation, SharedSession session, const MemoryLimit& memory,
                       std::size_t batch, bool bounded)
    : image_size_px_(image_size_px),
      interpolation_(std::move(interpolation)),
      session_(std::move(session)),
      memory_(memory),
      batch_(image_size_px <= kSmallWindowPx ? 2 * batch : batch),
      bounded_(bounded) {}

std::unique_ptr<const Canvas> EachWindow::canvas(ImageView image) const {
    return std::make_unique<const WindowCanvas>(*this, image);
}

std::size_t EachWindow::fitting(std::uint64_t pixels) const {
    if (!bounded_) return batch_;
    return memory_.inputs_per_call(image_size_px_, image_size_px_, batch_, pixels, 0);
}

std::vector<float> EachWindow::similarities(ImageView image, int window_px, const std::vector<std::int64_t>& top,
                                            const std::vector<std::int64_t>& left, const TextEmbeddings& texts,
                                            const Seen& seen) const {
    const auto pixels = static_cast<std::uint64_t>(image.height) * static_cast<std::uint64_t>(image.width);
    const std::size_t batch = std::max<std::size_t>(1, fitting(pixels));
    const auto matrix = resample_matrix(window_px, image_size_px_, interpolation_);
    std::vector<float> result;
    result.reserve(top.size() * static_cast<std::size_t>(texts.texts));
    std::vector<std::int64_t> own_top;
    for (std::size_t start = 0; start < top.size(); start += batch) {
        const std::size_t end = std::min(start + batch, top.size());
        const auto from = top.begin() + static_cast<std::ptrdiff_t>(start);
        own_top.assign(from, top.begin() + static_cast<std::ptrdiff_t>(end));
        // Only the rows that these windows touch: work per call is then free of the image's height.
        const auto [least, most] = std::minmax_element(own_top.begin(), own_top.end());
        const std::int64_t first = *least, rows = *most + window_px - first;
        for (std::int64_t& each : own_top) each -= first;
        const auto windows = static_cast<std::int64_t>(end - start);
        const std::vector<Feed> feeds{
            {"image", Element::uint8, row_of(image, first), {rows, image.width, 3}},
            {"top", Element::int64, own_top.data(), {windows}},
            {"left", Element::int64, left.data() + start, {windows}},
            {"resample", Element::float32, matrix->data(), {image_size_px_, window_px}},
            texts.feed(),
        };
        const std::vector<float> values =
            cosines(session_->run(feeds, "similarity", {windows, texts.texts}), "similarity");
        result.insert(result.end(), values.begin(), values.end());
        if (seen) seen(end - start);
    }
    return result;
}

// ----------------------------------------------------------------- one pass

OnePass::OnePass(PassSpec spec, std::vector<std::string> stages, SharedSession trunk, SharedSession windows,
                 const MemoryLimit& memory, bool bounded)
    : spec_(std::move(spec)),
      stages_(std::move(stages)),
      trunk_(std::move(trunk)),
      windows_(std::move(windows)),
      memory_(memory),
      bounded_(bounded) {}

std::unique_ptr<const Canvas> OnePass::canvas(ImageView image) const {
    return std::make_unique<const PassedCanvas>(*this, image, run_trunk(image));
}

void OnePass::check_memory() const {
    if (bounded_) memory_.inputs_per_call(1, spec_.coarsest_px(), 1, 0, 0);  // a single row of a small picture
}

std::int64_t OnePass::filled(std::int64_t length) const {
    const std::int64_t cell = spec_.coarsest_px();
    return (length + cell - 1) / cell * cell;
}

std::int64_t OnePass::band_rows(ImageView image) const {
    if (!bounded_) return image.height;
    const auto pixels = static_cast<std::uint64_t>(image.height) * static_cast<std::uint64_t>(image.width);
    const auto height = static_cast<std::size_t>(image.height);
    const auto rows = static_cast<std::int64_t>(memory_.inputs_per_call(1, image.width, height, pixels, 0));
    if (rows >= image.height) return image.height;
    const std::int64_t cell = spec_.coarsest_px();
    const std::int64_t band = (rows - 2 * std::int64_t{spec_.halo_px}) / cell * cell;
    if (band < cell && memory_.strict())
        throw UsageError("--max-memory " + format_bytes(memory_.bytes()) + " is too little for a map of " +
                         std::to_string(image.width) + " x " + std::to_string(image.height) +
                         " pixels in one pass; give more, or smaller pictures");
    return std::max(cell, band);
}

std::vector<Tensor> OnePass::run_rows(ImageView image, std::int64_t first, std::int64_t last) const {
    std::vector<std::vector<std::int64_t>> shapes;
    for (const int px : spec_.cells_px) shapes.push_back({-1, filled(last - first) / px, filled(image.width) / px});
    std::vector<Wanted> wanted;
    for (const std::string& stage : stages_) wanted.push_back({stage, shapes});
    return trunk_->tensors({{"image", Element::uint8, row_of(image, first), {last - first, image.width, 3}}}, wanted);
}

std::vector<Tensor> OnePass::run_trunk(ImageView image) const {
    const std::int64_t height = image.height, band = band_rows(image), halo = spec_.halo_px;
    if (band >= height) return run_rows(image, 0, height);
    std::vector<Tensor> whole;
    for (std::int64_t first = 0; first < height; first += band) {
        // Each band sees all that its cells do.
        const std::int64_t above = std::max<std::int64_t>(0, first - halo), below = std::min(height, first + band + halo);
        const std::vector<Tensor> found = run_rows(image, above, below);
        for (std::size_t at = 0; at < found.size(); ++at) {
            const std::vector<std::int64_t>& shape = found[at].shape;
            const std::int64_t px = filled(below - above) / shape[1];
            if (first == 0) {
                const std::int64_t rows = filled(height) / px;
                const auto size = static_cast<std::size_t>(shape[0] * rows * shape[2]);
                whole.push_back({{shape[0], rows, shape[2]}, std::vector<float>(size)});
            } else if (shape[0] != whole[at].shape[0] || shape[2] != whole[at].shape[2]) {
                throw DeviceError("the trunk gives stages of several widths; export the bundle again");
            }
            put_rows(whole[at], found[at], first / px, (first - above) / px, filled(std::min(band, height - first)) / px);
        }
    }
    return whole;
}

std::vector<float> OnePass::pool(const std::vector<Tensor>& found, const WindowGrid& grid, const TextEmbeddings& texts,
                                 const Seen& seen) const {
    const std::vector<Box> down = boxes("down", spec_, filled(grid.height), grid.rows, grid);
    const std::vector<Box> across = boxes("across", spec_, filled(grid.width), grid.cols, grid);
    std::vector<Feed> shared{texts.feed()};
    for (std::size_t at = 0; at < found.size(); ++at)
        shared.push_back({stages_[at].c_str(), Element::float32, found[at].values.data(), found[at].shape});
    for (const Box& box : across) shared.push_back(box.feed(0, grid.cols));
    std::vector<float> result;
    result.reserve(grid.count() * static_cast<std::size_t>(texts.texts));
    const std::int64_t most = std::max<std::int64_t>(1, kMostPooled / grid.cols);
    for (std::int64_t first = 0; first < grid.rows; first += most) {
        const std::int64_t rows = std::min(most, grid.rows - first), windows = rows * grid.cols;
        std::vector<Feed> feeds = shared;
        for (const Box& box : down) feeds.push_back(box.feed(first, rows));
        const std::vector<float> values =
            cosines(windows_->run(feeds, "similarity", {windows, texts.texts}), "similarity");
        result.insert(result.end(), values.begin(), values.end());
        if (seen) seen(static_cast<std::size_t>(windows));
    }
    return result;
}

}  // namespace realm
