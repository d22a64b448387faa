// Checks this host against the golden vectors of tests/golden, section by section, within their tolerances.
//
//   golden_check BUNDLE GOLDEN CLIP_TOKENIZER
//
// One line per section with the largest difference, one line per failure; exit code 1 where there is any.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>
#include <string>

#include "bundle.hpp"
#include "dream.hpp"
#include "files.hpp"
#include "json.hpp"
#include "realm/realm.hpp"
#include "resample.hpp"
#include "session.hpp"
#include "text_encoder.hpp"
#include "tokenizer.hpp"

namespace realm {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{1} << 26;
constexpr double kNever = std::numeric_limits<double>::infinity();

// Counts what was compared, and keeps the worst difference of a section.
class Comparison {
public:
    explicit Comparison(std::string name) : name_(std::move(name)) {}

    void expect(const std::string& what, double difference, double limit) {
        ++compared_;
        worst_ = std::max(worst_, difference);
        if (difference <= limit) return;  // false for NaN as well
        ++failed_;
        std::printf("%s: %s differs by %g, more than %g\n", name_.c_str(), what.c_str(), difference, limit);
    }

    // Throws nothing for an empty section: it fails, or a file without cases would pass.
    int finish() const {
        std::printf("%s: %zu compared, %zu failed, largest difference %.3g\n", name_.c_str(), compared_, failed_, worst_);
        return failed_ == 0 && compared_ > 0 ? 0 : 1;
    }

private:
    std::string name_;
    std::size_t compared_ = 0, failed_ = 0;
    double worst_ = 0;
};

struct Golden {
    std::string folder;
    Json file;

    std::string path(const Json& relative) const { return folder + "/" + relative.get<std::string>(); }
    double limit(const char* name) const { return file.at("tolerances").at(name).get<double>(); }
};

double levels(const Image& one, const Image& other) {
    if (one.height != other.height || one.width != other.width) return kNever;
    int most = 0;
    for (std::size_t at = 0; at < one.rgb.size(); ++at) most = std::max(most, std::abs(one.rgb[at] - other.rgb[at]));
    return most;
}

double cosine(const std::vector<float>& one, const std::vector<double>& other) {
    if (one.size() != other.size()) return -1;
    double dot = 0, squares = 0, other_squares = 0;
    for (std::size_t at = 0; at < one.size(); ++at) {
        const double value = static_cast<double>(one[at]);
        dot += value * other[at], squares += value * value, other_squares += other[at] * other[at];
    }
    return dot / std::sqrt(squares * other_squares);
}

int check_tokens(const Golden& golden, const TextSpec& own, const Tokenizer& word_piece, const Tokenizer& clip) {
    Comparison section("tokens");
    TextSpec clip_spec;
    clip_spec.max_tokens = 77;
    clip_spec.fixed_length = true;
    for (const Json& entry : golden.file.at("tokens")) {
        const bool is_clip = entry.at("tokenizer") == "clip";
        const TextSpec& spec = is_clip ? clip_spec : own;
        const auto ids = token_ids(is_clip ? clip : word_piece, spec, entry.at("text").get<std::string>());
        const bool same = ids == entry.at("ids").get<std::vector<std::int64_t>>() &&
                          padded_length(spec, ids.size()) == entry.at("padded_length").get<std::size_t>();
        section.expect(entry.at("tokenizer").get<std::string>() + " " + entry.at("text").dump().substr(0, 60),
                       same ? 0 : 1, 0);
    }
    return section.finish();
}

int check_decoding(const Golden& golden) {
    Comparison section("decoding");
    for (const Json& entry : golden.file.at("decoding"))
        section.expect(entry.at("file").get<std::string>(),
                       levels(load_image(golden.path(entry.at("file"))), load_image(golden.path(entry.at("rgb")))),
                       entry.at("max_levels").get<double>());
    return section.finish();
}

// One axis of values (rows x inner) through a matrix, rounded and clipped as the graphs do after each pass.
std::vector<float> pass(const Matrix& matrix, const std::vector<float>& values, std::size_t in, std::size_t out,
                        std::size_t outer, std::size_t inner) {
    std::vector<float> result(outer * out * inner);
    for (std::size_t o = 0; o < outer; ++o)
        for (std::size_t row = 0; row < out; ++row)
            for (std::size_t i = 0; i < inner; ++i) {
                float sum = 0;
                for (std::size_t x = 0; x < in; ++x) sum += matrix[row * in + x] * values[(o * in + x) * inner + i];
                result[(o * out + row) * inner + i] = std::clamp(std::floor(sum + 0.5F), 0.0F, 255.0F);
            }
    return result;
}

Image resized(const Image& image, const Json& entry) {
    const auto whole = [&](const char* key) { return entry.at(key).get<std::size_t>(); };
    const std::size_t top = whole("top"), left = whole("left"), height = whole("height"), width = whole("width");
    const std::size_t out_height = whole("out_height"), out_width = whole("out_width");
    const auto columns = static_cast<std::size_t>(image.width);
    if (top + height > static_cast<std::size_t>(image.height) || left + width > columns) return {};
    std::vector<float> values;
    for (std::size_t y = top; y < top + height; ++y)
        for (std::size_t x = 3 * left; x < 3 * (left + width); ++x)
            values.push_back(static_cast<float>(image.rgb[y * columns * 3 + x]));
    const auto filter = entry.at("interpolation").get<std::string>();
    const auto matrix = [&](std::size_t in, std::size_t out) {
        return resample_matrix(static_cast<int>(in), static_cast<int>(out), filter);
    };
    values = pass(*matrix(width, out_width), values, width, out_width, height, 3);
    values = pass(*matrix(height, out_height), values, height, out_height, 1, out_width * 3);
    Image result{static_cast<int>(out_height), static_cast<int>(out_width), {}};
    for (const float value : values) result.rgb.push_back(static_cast<std::uint8_t>(value));
    return result;
}

int check_preprocessing(const Golden& golden) {
    Comparison section("preprocessing");
    for (const Json& entry : golden.file.at("preprocessing"))
        section.expect(entry.at("pixels").get<std::string>(),
                       levels(resized(load_image(golden.path(entry.at("image"))), entry),
                              load_image(golden.path(entry.at("pixels")))),
                       golden.limit("preprocessing_levels"));
    return section.finish();
}

int check_embeddings(const Golden& golden, const TextEncoder& core, const TextEncoder& clip) {
    Comparison section("embeddings");
    const double limit = 1 - golden.limit("embedding_cosine");
    for (const Json& entry : golden.file.at("embeddings"))
        for (const auto& [key, encoder] : {std::pair<const char*, const TextEncoder*>{"core", &core}, {"clip", &clip}}) {
            const auto text = entry.at("text").get<std::string>();
            const auto row = encoder->features({text}).at(0);
            section.expect(std::string(key) + " " + text.substr(0, 40),
                           1 - cosine(*row, entry.at(key).get<std::vector<double>>()), limit);
        }
    return section.finish();
}

int check_similarities(const Golden& golden, const Dream& dream, const EachWindow& windows) {
    Comparison section("similarities");
    for (const Json& entry : golden.file.at("similarities")) {
        const Image image = load_image(golden.path(entry.at("image")));
        const auto texts = entry.at("texts").get<std::vector<std::string>>();
        const auto values = windows.similarities(image, entry.at("window_px").get<int>(),
                                                 entry.at("top").get<std::vector<std::int64_t>>(),
                                                 entry.at("left").get<std::vector<std::int64_t>>(), dream.embed(texts));
        std::size_t at = 0;
        double worst = 0;
        for (const Json& window : entry.at("values"))
            for (const Json& value : window)
                worst = at < values.size()
                            ? std::max(worst, std::abs(static_cast<double>(values[at++]) - value.get<double>()))
                            : kNever;
        section.expect(entry.at("image").get<std::string>(), at == values.size() ? worst : kNever,
                       golden.limit("similarity_max_abs"));
    }
    return section.finish();
}

int check_scores(const Golden& golden, const Engine& engine) {
    constexpr double kRatingPerMos = 20;  // a rating is a line of the MOS: 17 to 18 points per unit
    Comparison section("scores");
    for (const Json& entry : golden.file.at("scores")) {
        const std::string text = entry.at("text").is_null() ? "" : entry.at("text").get<std::string>();
        const Score score = engine.score(load_image(golden.path(entry.at("image"))), text);
        const std::string what = entry.at("image").get<std::string>() + " " + text.substr(0, 40);
        const double limit = golden.limit("mos_max_abs");
        section.expect(what + " (mos)", std::abs(score.mos - entry.at("mos").get<double>()), limit);
        section.expect(what + " (realness / 20)",
                       std::abs(score.realness - entry.at("realness").get<double>()) / kRatingPerMos, limit);
    }
    return section.finish();
}

int check_probes(const Golden& golden, const Engine& engine) {
    Comparison section("probes");
    for (const Json& entry : golden.file.at("probes")) {
        const Measured found = engine.measure(load_image(golden.path(entry.at("image"))), {}, {"real-fake"});
        const auto what = entry.at("image").get<std::string>();
        if (found.values.size() != 3) throw UsageError(what + ": the measure real-fake has other columns than the vectors");
        const auto differs = [&](std::size_t at, const char* column) {
            return std::abs(found.values[at] - entry.at(column).get<double>());
        };
        section.expect(what + " (p_fake)", differs(0, "p_fake"), golden.limit("p_fake_max_abs"));
        section.expect(what + " (unlike)", differs(1, "real_fake_unlike"), golden.limit("unlike_max_abs"));
        section.expect(what + " (verdict)", found.words[2] == entry.at("verdict") ? 0 : 1, 0);
    }
    return section.finish();
}

// Values of a NumPy file of version 1.0, float32 in C order.
std::vector<float> read_npy(const std::string& path) {
    const FileContent content = read_file(path, kMaxBytes);
    const auto& bytes = content.bytes;
    if (bytes.size() < 10 || std::memcmp(bytes.data(), "\x93NUMPY\x01\x00", 8) != 0) return {};
    const std::size_t start = 10 + static_cast<std::size_t>(bytes[8]) + static_cast<std::size_t>(bytes[9]) * 256;
    if (start > bytes.size()) return {};
    std::vector<float> values((bytes.size() - start) / sizeof(float));
    std::memcpy(values.data(), bytes.data() + start, values.size() * sizeof(float));
    return values;
}

int check_maps(const Golden& golden, const Engine& engine) {
    Comparison section("maps");
    for (const Json& entry : golden.file.at("maps")) {
        MapOptions options;
        options.windows_px = entry.at("windows_px").get<std::vector<int>>();
        options.stride_px = entry.at("stride_px").get<int>();
        options.aggregate = entry.at("aggregate") == "max" ? Aggregate::max : Aggregate::mean;
        options.encoder = entry.at("encoder").get<std::string>();
        options.quantity = entry.at("quantity") == "similarity" ? Quantity::similarity : Quantity::realness;
        const RealnessMap map = engine.map(load_image(golden.path(entry.at("image"))),
                                           entry.at("texts").get<std::vector<std::string>>(), options);
        const std::vector<float> expected = read_npy(golden.path(entry.at("values")));
        double worst = expected.size() == map.values.size() ? 0 : kNever;
        for (std::size_t at = 0; at < std::min(expected.size(), map.values.size()); ++at) {
            const bool none = std::isnan(expected[at]);  // no window covers the pixel
            if (std::isnan(map.values[at]) != none) worst = kNever;
            if (!none) worst = std::max(worst, static_cast<double>(std::abs(map.values[at] - expected[at])));
        }
        section.expect(entry.at("values").get<std::string>(), worst, golden.limit("map_max_abs"));
    }
    return section.finish();
}

TextEncoder encoder(const Bundle& bundle, const Runtime& runtime, const char* graph, const TextSpec& spec,
                    const char* output) {
    const GraphSpec& own = bundle.graphs().at(graph);
    std::vector<std::string> inputs;
    for (const TensorSpec& input : own.inputs) inputs.push_back(input.name);
    return {spec, std::make_shared<const Tokenizer>(bundle.text(spec.tokenizer, kMaxBytes), spec.tokenizer),
            runtime.open(bundle.model(*own.file("fp32")), "fp32"), inputs, output, nullptr};
}

int run(const std::string& bundle_path, const std::string& golden_path, const std::string& clip_path) {
    const Golden golden{golden_path, Json::parse(read_text(golden_path + "/golden.json", kMaxBytes))};
    if (golden.file.at("format") != 1) throw UsageError(golden_path + ": golden vectors of another format");
    const Bundle bundle = Bundle::open(bundle_path);
    if (golden.file.at("bundle") != bundle.name()) throw UsageError(bundle_path + ": not the bundle of the vectors");
    const Runtime runtime("cpu", 0);
    const TextSpec& text = bundle.core().value().text;
    const TextEncoder core = encoder(bundle, runtime, "core_text", text, "text_features");
    const auto clip = std::shared_ptr<const TextEncoder>(
        new TextEncoder(encoder(bundle, runtime, "clip_text", bundle.dream().value().text, "text_embedding")));
    const DreamSpec& maps = bundle.dream().value();
    const auto windows = std::make_shared<const EachWindow>(
        maps.image_size_px, maps.interpolation, runtime.open(bundle.model(*bundle.graphs().at("dream").file("fp32")), "fp32"),
        MemoryLimit(), runtime.window_batch(), true);
    const Dream dream(bundle.maps(), clip, windows);
    const Engine engine(bundle_path);
    const Tokenizer word_piece(bundle.text(text.tokenizer, kMaxBytes), text.tokenizer);
    const Tokenizer clip_words(read_text(clip_path, kMaxBytes), clip_path);
    const int failed = check_tokens(golden, text, word_piece, clip_words) + check_decoding(golden) +
                       check_preprocessing(golden) + check_embeddings(golden, core, *clip) +
                       check_similarities(golden, dream, *windows) + check_scores(golden, engine) +
                       check_probes(golden, engine) + check_maps(golden, engine);
    return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace realm

int main(int count, char** words) {
    if (count != 4) {
        std::fputs("usage: golden_check BUNDLE GOLDEN CLIP_TOKENIZER\n", stderr);
        return 2;
    }
    try {
        return realm::run(words[1], words[2], words[3]);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 2;
    }
}
