#include "bundle.hpp"

#include <algorithm>
#include <set>
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

bool is_file(const fs::path& path) {
    std::error_code ignored;
    return fs::is_regular_file(path, ignored);
}

fs::path find(const fs::path& folder) {
    if (is_file(folder / kManifest)) return folder.has_filename() ? folder : folder.parent_path();  // no "x/"
    std::error_code ignored;
    if (fs::is_directory(folder, ignored))
        throw BundleError(folder.string() + ": no " + kManifest +
                          " in this directory; give the folder that holds it");
    throw BundleError("bundle '" + folder.string() + "' not found; give a directory that holds " + kManifest);
}

bool below(const fs::path& target, const fs::path& folder) {
    return std::mismatch(folder.begin(), folder.end(), target.begin(), target.end()).first == folder.end();
}

// Where a model hub's cache keeps the files of a snapshot, links to which are all that the snapshot holds: of
// models--owner--name/snapshots/REVISION (or a folder in it) models--owner--name/blobs, and `blobs` beside all models,
// to which new versions link from there. `home` has no links in it, and one called `blobs` is not followed.
std::vector<fs::path> blob_folders(const fs::path& home) {
    for (fs::path folder = home; folder.has_relative_path(); folder = folder.parent_path()) {
        if (folder.parent_path().filename() != "snapshots") continue;
        const fs::path model = folder.parent_path().parent_path();
        if (model.filename().string().rfind("models--", 0) != 0) return {model / "blobs"};
        return {model / "blobs", model.parent_path() / "blobs"};
    }
    return {};
}

// Whether a path, its links followed, lies in a folder (or cannot be followed: then it is missing).
bool inside(const fs::path& path, const fs::path& root) {
    std::error_code failed;
    const fs::path home = fs::canonical(root, failed);
    if (failed) return false;
    const fs::path target = fs::weakly_canonical(path, failed);
    if (failed || below(target, home)) return true;
    const std::vector<fs::path> blobs = blob_folders(home);
    return std::any_of(blobs.begin(), blobs.end(), [&](const fs::path& each) { return below(target, each); });
}

void check_inside(const fs::path& path, const fs::path& root) {
    if (!inside(path, root))
        throw BundleError(path.string() +
                          ": is a link that leaves the bundle; do not use a bundle that asks for it");
}

void check_file(const fs::path& root, const std::string& relative, const Section& entry, bool verify) {
    const fs::path path = root / relative;
    const std::string where = path.string();
    check_inside(path, root);
    if (!is_file(path)) throw BundleError(where + ": is missing; get the bundle again");
    const std::int64_t expected = entry.whole("size_bytes");
    if (expected < 0)
        throw BundleError(entry.where() + ": 'size_bytes' is " + std::to_string(expected) + ", below 0; export the bundle again");
    std::error_code unknown;
    const std::uintmax_t size = fs::file_size(path, unknown);
    if (unknown) throw BundleError(where + ": is missing; get the bundle again");
    if (size != static_cast<std::uintmax_t>(expected))
        throw BundleError(where + ": has " + std::to_string(size) + " bytes, the manifest says " +
                          std::to_string(expected) + "; get the bundle again");
    std::string digest = entry.text("sha256");
    if (!verify) return;
    const std::string actual = sha256_file(path);
    if (actual.empty()) throw BundleError(where + ": cannot be read; get the bundle again");
    std::transform(digest.begin(), digest.end(), digest.begin(), [](char each) {
        return each >= 'A' && each <= 'Z' ? static_cast<char>(each - 'A' + 'a') : each;
    });
    if (actual != digest)
        throw BundleError(where + ": wrong checksum (sha256 is " + actual + "); get the bundle again");
}

// Weights outside the file are refused, except in a file that the manifest lists and that has been checked.
void check_external_data(const fs::path& path, const fs::path& root, const std::set<std::string>& listed) {
    std::set<std::string> locations;
    try {
        refuse_operators(path);
        locations = external_locations(path);
    } catch (const std::invalid_argument& problem) {
        throw BundleError(path.string() + ": not a readable ONNX file (" + problem.what() +
                          "); export the bundle again");
    }
    for (const std::string& location : locations) {
        const OrderedJson checked = readable(location);  // as the Python engine decodes it
        const std::string relative = safe_relative(checked, path.string());
        const fs::path place = (path.parent_path() / relative).lexically_normal();
        const std::string name = place.lexically_relative(root.lexically_normal()).generic_string();
        if (listed.count(name) == 0)
            throw BundleError(path.string() + ": keeps weights in " + in_quotes(readable(location)) +
                              ", which the manifest does not list; export it again");
    }
}

}  // namespace

std::string read_text(const fs::path& path, std::size_t limit) {
    const FileContent content = read_file(path, limit);
    if (content.too_large)
        throw BundleError(path.string() + ": more than " + std::to_string(limit >> 20) +
                          " MiB of text; export the bundle again");
    if (const std::string problem = content.problem(); !problem.empty())
        throw BundleError(path.string() + ": " + problem + "; get the bundle again");
    return {content.bytes.begin(), content.bytes.end()};
}

Bundle Bundle::open(const fs::path& folder, bool verify) {
    const fs::path root = find(folder);
    check_inside(root / kManifest, root);
    Bundle bundle = read(root, read_text(root / kManifest, limits::kManifestBytes));
    bundle.check_files(Section(&bundle.files_, (root / kManifest).string() + ", 'files'"), verify);
    return bundle;
}

Bundle Bundle::read(const fs::path& root, const std::string& text) {
    Bundle bundle;
    bundle.root_ = root;
    const fs::path path = root / kManifest;
    const auto broken = [&](const std::string& why) {
        return BundleError(path.string() + ": not valid JSON (" + one_line(why) + "); export the bundle again");
    };
    if (const std::string problem = json_problem(text, limits::kManifestMembers); !problem.empty()) throw broken(problem);
    OrderedJson parsed;
    try {
        parsed = OrderedJson::parse(text);
    } catch (const OrderedJson::exception& error) {
        throw broken(error.what());
    }
    const Section manifest(&parsed, path.string());
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
        throw BundleError(bundle.root_.string() +
                          ": nothing in it can be run; neither a measure nor maps are complete, export it again");
    std::set<std::string> more;
    for (const MeasureSpec& measure : bundle.measures_) {
        if (!measure.problem.empty()) continue;
        more.insert({measure.graph, measure.answers()});
        for (const auto& each : measure.fitted_on) more.insert(each.first);
    }
    bundle.graphs_.merge(parse_graphs(manifest.section("graphs"), more));
    if (manifest.has("measures")) check_measures(bundle.measures_, bundle.graphs_, path.string());
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
        if (fs::path(safe_relative(name, files.where())).lexically_normal().string() != relative)
            throw BundleError(files.where() + ": the path " + in_quotes(relative) +
                              " is not written the short way; export the bundle again");
        bundle.listed_.push_back(relative);
    }
    check_fitted_on(bundle.measures_, bundle.graphs_, files);
    bundle.files_ = files.data();
    return bundle;
}

fs::path Bundle::file(const std::string& relative) const {
    if (std::find(listed_.begin(), listed_.end(), relative) == listed_.end())
        throw BundleError(root_.string() + ": the manifest does not list " + in_quotes(relative) +
                          "; export the bundle again");
    return root_ / relative;
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

void Bundle::check_files(const Section& files, bool verify) const {
    if (listed_.size() > kMaxFiles)
        throw BundleError(files.where() + ": lists " + std::to_string(listed_.size()) + " files, more than " +
                          std::to_string(kMaxFiles) + "; export the bundle again");
    for (const std::string& relative : listed_) {
        if (fs::path(relative).lexically_normal().generic_string() != relative)  // one file under many names
            throw BundleError(files.where() + ": the path " + in_quotes(relative) +
                              " is not written the short way; export the bundle again");
        check_file(root_, relative, files.section(relative), verify);
    }
    const std::set<std::string> listed(listed_.begin(), listed_.end());
    std::set<std::string> used;
    for (const auto& graph : graphs_)
        for (const auto& variant : graph.second.variants) used.insert(variant.second);
    for (const std::string& path : used) check_external_data(file(path), root_, listed);
    if (core_) file(core_->text.tokenizer);
    if (dream_) file(dream_->text.tokenizer);
    if (dream_ && dream_->phrases) file(*dream_->phrases);
}

}  // namespace realm
