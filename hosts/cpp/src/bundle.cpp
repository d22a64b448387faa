#include "bundle.hpp"

#include <algorithm>
#include <set>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "files.hpp"
#include "limits.hpp"
#include "onnx_scan.hpp"
#include "realm/error.hpp"
#include "text_format.hpp"

namespace realm {
namespace {

namespace fs = std::filesystem;

constexpr const char* kManifest = "bundle.json";
constexpr std::size_t kMaxFiles = 128;

// What the manifest says of a file.
struct Listed {
    explicit Listed(const Section& entry) : size_bytes(entry.whole("size_bytes")), sha256(entry.text("sha256")) {
        if (size_bytes < 0)
            throw BundleError(entry.where() + ": 'size_bytes' is " + std::to_string(size_bytes) +
                              ", below 0; export the bundle again");
        std::transform(sha256.begin(), sha256.end(), sha256.begin(), [](char each) {
            return each >= 'A' && each <= 'Z' ? static_cast<char>(each - 'A' + 'a') : each;
        });
    }

    void check_size(const std::string& where, std::uint64_t size) const {
        if (size != static_cast<std::uint64_t>(size_bytes))
            throw BundleError(where + ": has " + std::to_string(size) + " bytes, the manifest says " +
                              std::to_string(size_bytes) + "; get the bundle again");
    }
    void check_sum(const std::string& where, const std::string& actual) const {
        if (actual.empty()) throw BundleError(where + ": cannot be read; get the bundle again");
        if (actual != sha256)
            throw BundleError(where + ": wrong checksum (sha256 is " + actual + "); get the bundle again");
    }

    std::int64_t size_bytes;
    std::string sha256;
};

BundleError missing(const std::string& where) { return BundleError(where + ": is missing; get the bundle again"); }

void check_on_disk(const fs::path& path, const Listed& listed, bool verify) {
    const std::string where = utf8(path);
    std::error_code unknown;
    if (!fs::is_regular_file(path, unknown)) throw missing(where);
    const std::uintmax_t size = fs::file_size(path, unknown);
    if (unknown) throw missing(where);
    listed.check_size(where, size);
    if (verify) listed.check_sum(where, sha256_file(path));
}

// The folder of a file, "" or ending with "/".
std::string folder_of(const std::string& file) { return file.substr(0, file.rfind('/') + 1); }

// A path without "." and "..", as the manifest writes it.
std::string short_way(const std::string& file) { return utf8(from_utf8(file).lexically_normal()); }

}  // namespace

std::string read_text(const fs::path& path, std::size_t limit) {
    const FileContent content = read_file(path, limit);
    if (content.too_large) throw too_long(utf8(path), limit);
    if (const std::string problem = content.problem(); !problem.empty())
        throw BundleError(utf8(path) + ": " + problem + "; get the bundle again");
    return {content.bytes.begin(), content.bytes.end()};
}

Bundle Bundle::open(const fs::path& folder, bool verify) { return open(folder_source(folder), verify); }

Bundle Bundle::open(std::shared_ptr<const Source> source, bool verify) {
    if (source == nullptr) throw UsageError("a bundle needs a source of its files");
    const Bytes manifest = source->read(kManifest, limits::kManifestBytes);
    if (manifest.data == nullptr)
        throw BundleError(source->where("") + ": no " + kManifest + " in it; give the files that stand beside one");
    if (manifest.size > limits::kManifestBytes) throw too_long(source->where(kManifest), limits::kManifestBytes);
    const std::string text(static_cast<const char*>(manifest.data), manifest.size);
    Bundle bundle = read(std::move(source), text);
    bundle.verify_ = verify;
    bundle.check_files();
    return bundle;
}

Bundle Bundle::read(std::shared_ptr<const Source> source, const std::string& text) {
    Bundle bundle;
    bundle.source_ = std::move(source);
    const std::string where = bundle.where(kManifest);
    const auto broken = [&](const std::string& why) {
        return BundleError(where + ": not valid JSON (" + one_line(why) + "); export the bundle again");
    };
    if (const std::string problem = json_problem(text, limits::kManifestMembers); !problem.empty()) throw broken(problem);
    OrderedJson parsed;
    try {
        parsed = OrderedJson::parse(text);
    } catch (const OrderedJson::exception& error) {
        throw broken(error.what());
    }
    const Section manifest(&parsed, where);
    check_version(manifest);
    bundle.name_ = manifest.text("name");
    bundle.graphs_ = parse_graphs(manifest.section("graphs"),
                                  {"core_text", "core", "clip_text", "dream", "trunk", "windows", kPhotographs});
    const std::vector<std::string> encoders = encoders_of(bundle.graphs_);
    const bool scores = bundle.graphs_.count("core_text") != 0 && bundle.graphs_.count("core") != 0;
    const bool maps = bundle.graphs_.count("clip_text") != 0 && !encoders.empty();
    if (scores) bundle.core_ = parse_core(manifest.section("core"));
    if (maps) {
        const Section section = manifest.section("dream");
        bundle.dream_ = parse_dream(section, encoders);
        check_photographs(*bundle.dream_, bundle.graphs_, section.where());
    }
    bundle.measures_ = parse_measures(manifest, bundle.core_);
    if (!maps && bundle.measures_.empty())
        throw BundleError(bundle.where("") +
                          ": nothing in it can be run; neither a measure nor maps are complete, export it again");
    std::set<std::string> more;
    for (const MeasureSpec& measure : bundle.measures_) {
        if (!measure.problem.empty()) continue;
        more.insert({measure.graph, measure.answers()});
        for (const auto& each : measure.fitted_on) more.insert(each.first);
    }
    bundle.graphs_.merge(parse_graphs(manifest.section("graphs"), more));
    if (manifest.has("measures")) check_measures(bundle.measures_, bundle.graphs_, where);
    bundle.maps_ = parse_maps(manifest);
    const auto weights = parsed.find("weights");
    bundle.weights_ = weights != parsed.end() && weights->is_string() ? weights->get<std::string>() : "unknown";
    const auto recommended = parsed.find("recommended_precision");
    if (recommended != parsed.end() && recommended->is_object())
        for (const auto& [device, precision] : recommended->items())
            if (precision.is_string()) bundle.recommended_[device] = precision.get<std::string>();
    const Section files = manifest.section("files");
    if (files.data().size() > limits::kFiles)
        throw BundleError(files.where() + ": lists " + std::to_string(files.data().size()) + " files, more than " +
                          std::to_string(limits::kFiles) + "; export the bundle again");
    for (const auto& [relative, entry] : files.data().items()) {
        const OrderedJson name = relative;
        if (short_way(safe_relative(name, files.where())) != relative)
            throw BundleError(files.where() + ": the path " + in_quotes(relative) +
                              " is not written the short way; export the bundle again");
        bundle.listed_.push_back(relative);
    }
    check_fitted_on(bundle.measures_, bundle.graphs_, files);
    bundle.files_ = files.data();
    return bundle;
}

void Bundle::check_listed(const std::string& file) const {
    if (std::find(listed_.begin(), listed_.end(), file) == listed_.end())
        throw BundleError(where("") + ": the manifest does not list " + in_quotes(file) + "; export the bundle again");
}

Bytes Bundle::content(const std::string& file) const {
    const Section files(&files_, where(kManifest) + ", 'files'");
    const Listed listed(files.section(file));
    const Bytes bytes = source_->read(file, static_cast<std::uint64_t>(listed.size_bytes));
    if (bytes.data == nullptr) throw missing(where(file));
    listed.check_size(where(file), bytes.size);
    if (verify_) listed.check_sum(where(file), sha256(bytes.data, bytes.size));
    return bytes;
}

std::string Bundle::text(const std::string& file, std::uint64_t most) const {
    check_listed(file);
    const Section files(&files_, where(kManifest) + ", 'files'");
    if (static_cast<std::uint64_t>(Listed(files.section(file)).size_bytes) > most) throw too_long(where(file), most);
    const Bytes bytes = content(file);
    return {static_cast<const char*>(bytes.data), bytes.size};
}

GraphFile Bundle::model(const std::string& file) const {
    check_listed(file);
    GraphFile model;
    model.name = file.substr(file.rfind('/') + 1);
    model.path = source_->path(file);
    std::error_code unknown;
    // In the cache of a model hub every file is a link, and ONNX Runtime refuses weights behind links.
    if (!model.path.empty() && !fs::is_symlink(model.path, unknown)) return model;
    if (model.path.empty()) model.bytes = content(file);
    for (const std::string& location : weights_outside(file, model.bytes))
        model.weights.emplace_back(location, content(short_way(folder_of(file) + location)));
    return model;
}

// The `location` of each file that a graph keeps weights in. `bytes`: the graph, where it is not on a disk.
std::set<std::string> Bundle::weights_outside(const std::string& file, const Bytes& bytes) const {
    try {
        const fs::path path = source_->path(file);
        const auto found = [](std::string_view onnx) {
            refuse_operators(onnx);
            return external_locations(onnx);
        };
        if (path.empty()) return found({static_cast<const char*>(bytes.data), bytes.size});
        const MappedFile mapped(path);  // so that weights need not be read
        return found(mapped.view());
    } catch (const std::invalid_argument& problem) {
        throw BundleError(where(file) + ": not a readable ONNX file (" + problem.what() + "); export the bundle again");
    }
}

std::vector<std::string> Bundle::precisions(const std::string& graph) const {
    const auto found = graphs_.find(graph);
    std::vector<std::string> names;
    if (found != graphs_.end())
        for (const auto& variant : found->second.variants) names.push_back(variant.first);
    return names;
}

std::string Bundle::recommended_precision(const std::string& device) const {
    const auto found = recommended_.find(device);
    return found == recommended_.end() ? "fp32" : found->second;
}

void Bundle::check_files() const {
    const Section files(&files_, where(kManifest) + ", 'files'");
    if (listed_.size() > kMaxFiles)
        throw BundleError(files.where() + ": lists " + std::to_string(listed_.size()) + " files, more than " +
                          std::to_string(kMaxFiles) + "; export the bundle again");
    std::set<std::string> used;
    for (const auto& graph : graphs_)
        for (const auto& variant : graph.second.variants) used.insert(variant.second);
    for (const std::string& file : used) check_listed(file);
    for (const std::string& file : listed_) {
        if (short_way(file) != file)  // one file under many names
            throw BundleError(files.where() + ": the path " + in_quotes(file) +
                              " is not written the short way; export the bundle again");
        const fs::path path = source_->path(file);
        const Bytes bytes = path.empty() ? content(file) : Bytes{};
        if (!path.empty()) check_on_disk(path, Listed(files.section(file)), verify_);
        if (used.count(file) != 0) check_weights(file, bytes);
    }
    if (core_) check_listed(core_->text.tokenizer);
    if (dream_) check_listed(dream_->text.tokenizer);
    if (dream_ && dream_->phrases) check_listed(*dream_->phrases);
    for (const MeasureSpec& measure : measures_)
        if (measure.problem.empty() && !measure.gaussian.empty()) check_listed(measure.gaussian);
}

// Weights outside a graph's file are refused, except in a file that the manifest lists, as which it is checked.
void Bundle::check_weights(const std::string& file, const Bytes& bytes) const {
    for (const std::string& location : weights_outside(file, bytes)) {
        const OrderedJson checked = readable(location);  // as the Python engine decodes it
        const std::string name = short_way(folder_of(file) + safe_relative(checked, where(file)));
        if (std::find(listed_.begin(), listed_.end(), name) == listed_.end())
            throw BundleError(where(file) + ": keeps weights in " + in_quotes(readable(location)) +
                              ", which the manifest does not list; export it again");
    }
}

}  // namespace realm
