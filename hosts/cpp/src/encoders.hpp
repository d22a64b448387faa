// How windows of a picture become similarities with texts: each by itself, or all of one pass over the picture.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "manifest.hpp"
#include "memory.hpp"
#include "realm/image.hpp"
#include "session.hpp"
#include "windows.hpp"

namespace realm {

using SharedSession = std::shared_ptr<const Session>;
// Told how many windows were encoded just now.
using Seen = std::function<void(std::size_t windows)>;

// Embeddings of texts, texts x width in one piece.
struct TextEmbeddings {
    std::vector<float> values;
    std::int64_t texts = 0;

    Feed feed() const;
};

// A picture as an encoder sees it, for as many calls as are wanted. The pixels and the encoder must outlive it.
class Canvas {
public:
    explicit Canvas(ImageView image) : image_(image) {}
    virtual ~Canvas() = default;
    ImageView image() const { return image_; }
    // Cosines of the windows with the texts, windows x texts, row by row; of the windows `only`, where it is given.
    virtual std::vector<float> similarities(const WindowGrid& grid, const TextEmbeddings& texts, const Seen& seen = {},
                                            const std::vector<std::size_t>* only = nullptr) const = 0;

private:
    ImageView image_;
};

// Safe from several threads at once.
class WindowEncoder {
public:
    virtual ~WindowEncoder() = default;
    virtual std::unique_ptr<const Canvas> canvas(ImageView image) const = 0;
    // Throws UsageError where the memory limit does not even allow the least.
    virtual void check_memory() const = 0;
};

// Every window is resized and goes through the tower, many in a call.
class EachWindow final : public WindowEncoder {
public:
    // `batch`: windows of a call; `bounded`: the memory limit may make it smaller.
    EachWindow(int image_size_px, std::string interpolation, SharedSession session, const MemoryLimit& memory, std::size_t batch,
               bool bounded);

    std::unique_ptr<const Canvas> canvas(ImageView image) const override;
    void check_memory() const override { fitting(0); }

    // As `Canvas::similarities`, of windows anywhere.
    std::vector<float> similarities(ImageView image, int window_px, const std::vector<std::int64_t>& top,
                                    const std::vector<std::int64_t>& left, const TextEmbeddings& texts,
                                    const Seen& seen = {}) const;

private:
    std::size_t fitting(std::uint64_t pixels) const;

    int image_size_px_;
    std::string interpolation_;
    SharedSession session_;
    MemoryLimit memory_;
    std::size_t batch_;
    bool bounded_;
};

// The trunk runs once over the picture, when its canvas is made, and windows are pooled from its stages.
class OnePass final : public WindowEncoder {
public:
    // `stages`: what the trunk gives, by name; `bounded`: it runs in bands where the memory limit does not allow the whole.
    OnePass(PassSpec spec, std::vector<std::string> stages, SharedSession trunk, SharedSession windows, const MemoryLimit& memory,
            bool bounded);

    std::unique_ptr<const Canvas> canvas(ImageView image) const override;
    void check_memory() const override;

    // Cosines of windows that are pooled from the stages of a picture.
    std::vector<float> pool(const std::vector<Tensor>& found, const WindowGrid& grid, const TextEmbeddings& texts,
                            const Seen& seen) const;

private:
    // The stages of a picture, and those of its rows from `first` to `last`.
    std::vector<Tensor> run_trunk(ImageView image) const;
    std::vector<Tensor> run_rows(ImageView image, std::int64_t first, std::int64_t last) const;
    // Rows of a band that memory allows, whole cells; all of them where that is possible.
    std::int64_t band_rows(ImageView image) const;
    // Pixels of an axis, filled up to whole cells.
    std::int64_t filled(std::int64_t length) const;

    PassSpec spec_;
    std::vector<std::string> stages_;
    SharedSession trunk_, windows_;
    MemoryLimit memory_;
    bool bounded_;
};

}  // namespace realm
