// Bundles: what is inside, and that nothing in them is damaged or unsafe.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "manifest.hpp"
#include "realm/error.hpp"
#include "realm/source.hpp"
#include "session.hpp"

namespace realm {

class Bundle {
public:
    // Opens and checks a bundle. `verify` compares every file's sha256 (of one that is not on a disk whenever it is read);
    // paths, sizes, version and the external data of every graph are checked regardless. Throws BundleError, one line, for
    // the first fault.
    static Bundle open(std::shared_ptr<const Source> source, bool verify = true);
    static Bundle open(const std::filesystem::path& folder, bool verify = true);
    // Reads the text of a manifest alone; the files need not be there. Throws BundleError.
    static Bundle read(std::shared_ptr<const Source> source, const std::string& text);

    // What errors call a file; "": the bundle.
    std::string where(const std::string& file) const { return source_->where(file); }
    const std::string& name() const { return name_; }
    const std::string& weights() const { return weights_; }
    const std::optional<CoreSpec>& core() const { return core_; }
    const std::optional<DreamSpec>& dream() const { return dream_; }
    const std::vector<MeasureSpec>& measures() const { return measures_; }
    const MapPolicy& maps() const { return maps_; }
    const std::map<std::string, GraphSpec>& graphs() const { return graphs_; }

    // A listed file, whole, at most `most` bytes. Throws BundleError.
    std::string text(const std::string& file, std::uint64_t most) const;
    // A listed graph, with what a runtime cannot read by itself. Throws BundleError.
    GraphFile model(const std::string& file) const;
    // The variants of a graph; none where it is not there.
    std::vector<std::string> precisions(const std::string& graph) const;
    // What the manifest recommends for a device, "fp32" where it says nothing.
    std::string recommended_precision(const std::string& device) const;

private:
    void check_files() const;
    void check_listed(const std::string& file) const;
    void check_weights(const std::string& file, const Bytes& bytes) const;
    std::set<std::string> weights_outside(const std::string& file, const Bytes& bytes) const;
    // All bytes of a listed file, as the manifest says that they are.
    Bytes content(const std::string& file) const;

    std::shared_ptr<const Source> source_;
    bool verify_ = true;
    std::string name_, weights_;
    std::map<std::string, GraphSpec> graphs_;
    std::optional<CoreSpec> core_;
    std::optional<DreamSpec> dream_;
    std::vector<MeasureSpec> measures_;
    MapPolicy maps_;
    std::map<std::string, std::string> recommended_;
    std::vector<std::string> listed_;
    OrderedJson files_;  // as they stand in the manifest, by `listed_`
};

// That a file has more than `most` bytes.
BundleError too_long(const std::string& where, std::uint64_t most);
// Text of a file on a disk. Throws BundleError where it cannot be read or is larger than `limit` bytes.
std::string read_text(const std::filesystem::path& path, std::size_t limit);

}  // namespace realm
