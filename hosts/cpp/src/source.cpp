// Folders, memory and functions as sources of a bundle's files.
#include <algorithm>
#include <exception>
#include <utility>

#include "bundle.hpp"
#include "files.hpp"
#include "realm/error.hpp"
#include "realm/source.hpp"
#include "text_format.hpp"

namespace realm {
namespace {

namespace fs = std::filesystem;

constexpr const char* kManifest = "bundle.json";

bool is_file(const fs::path& path) {
    std::error_code ignored;
    return fs::is_regular_file(path, ignored);
}

fs::path find(const fs::path& folder) {
    if (is_file(folder / kManifest)) return folder.has_filename() ? folder : folder.parent_path();  // no "x/"
    std::error_code ignored;
    if (fs::is_directory(folder, ignored))
        throw BundleError(utf8(folder) + ": no " + kManifest + " in this directory; give the folder that holds it");
    throw BundleError("bundle '" + utf8(folder) + "' not found; give a directory that holds " + kManifest);
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
        if (utf8(model.filename()).rfind("models--", 0) != 0) return {model / "blobs"};
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

class Folder final : public Source {
public:
    explicit Folder(const fs::path& folder) : root_(find(folder)) {}

    std::string where(const std::string& file) const override { return utf8(file.empty() ? root_ : place(file)); }

    Bytes read(const std::string& file, std::uint64_t most) const override {
        const fs::path at = path(file);
        FileContent content = read_file(at, most);
        if (content.too_large) throw too_long(utf8(at), most);
        if (const std::string problem = content.problem(); !problem.empty())
            throw BundleError(utf8(at) + ": " + problem + "; get the bundle again");
        return owned(std::move(content.bytes));
    }

    fs::path path(const std::string& file) const override {
        const fs::path at = place(file);
        if (!inside(at, root_))
            throw BundleError(utf8(at) + ": is a link that leaves the bundle; do not use a bundle that asks for it");
        return at;
    }

private:
    fs::path place(const std::string& file) const { return root_ / from_utf8(file); }

    fs::path root_;
};

class Callback final : public Source {
public:
    Callback(std::function<Bytes(const std::string&)> read, std::string name)
        : read_(std::move(read)), name_(std::move(name)) {}

    std::string where(const std::string& file) const override { return file.empty() ? name_ : name_ + "/" + file; }

    Bytes read(const std::string& file, std::uint64_t) const override {
        try {
            return read_(file);
        } catch (const std::bad_alloc&) {
            throw;
        } catch (const std::exception& error) {
            throw BundleError(where(file) + ": cannot be read (" + one_line(error.what()) + "); get the bundle again");
        }
    }

private:
    std::function<Bytes(const std::string&)> read_;
    std::string name_;
};

}  // namespace

BundleError too_long(const std::string& where, std::uint64_t most) {
    return BundleError(where + ": more than " + std::to_string(most >> 20) + " MiB of text; export the bundle again");
}

Bytes owned(std::vector<std::uint8_t> content) {
    const auto kept = std::make_shared<const std::vector<std::uint8_t>>(std::move(content));
    static constexpr std::uint8_t kNothing = 0;
    return {kept->empty() ? &kNothing : kept->data(), kept->size(), kept};
}

fs::path Source::path(const std::string&) const { return {}; }

std::shared_ptr<const Source> folder_source(const fs::path& folder) { return std::make_shared<const Folder>(folder); }

std::shared_ptr<const Source> memory_source(std::map<std::string, Bytes> files, std::string name) {
    const auto find = [files = std::move(files)](const std::string& file) {
        const auto found = files.find(file);
        return found == files.end() ? Bytes{} : found->second;
    };
    return callback_source(find, std::move(name));
}

std::shared_ptr<const Source> callback_source(std::function<Bytes(const std::string&)> read, std::string name) {
    if (!read) throw UsageError("a source of a bundle's files needs a function that reads them");
    return std::make_shared<const Callback>(std::move(read), std::move(name));
}

}  // namespace realm
