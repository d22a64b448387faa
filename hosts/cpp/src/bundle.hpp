// Bundles: what is inside, and that nothing in them is damaged or unsafe.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "manifest.hpp"

namespace realm {

class Bundle {
public:
    // Opens and checks a folder. `verify` compares every file's sha256; paths, sizes, version and the external
    // data of every graph are checked regardless. Throws BundleError, one line, for the first fault.
    static Bundle open(const std::filesystem::path& folder, bool verify = true);
    // Reads the text of the manifest of a folder alone; the files may be elsewhere. Throws BundleError.
    static Bundle read(const std::filesystem::path& root, const std::string& text);

    const std::filesystem::path& root() const { return root_; }
    const std::string& name() const { return name_; }
    const std::string& weights() const { return weights_; }
    const std::optional<CoreSpec>& core() const { return core_; }
    const std::optional<DreamSpec>& dream() const { return dream_; }
    const std::vector<MeasureSpec>& measures() const { return measures_; }
    const MapPolicy& maps() const { return maps_; }
    const std::map<std::string, GraphSpec>& graphs() const { return graphs_; }

    // Path of a file that the manifest lists. Throws BundleError for any other.
    std::filesystem::path file(const std::string& relative) const;
    // The variants of a graph; none where it is not there.
    std::vector<std::string> precisions(const std::string& graph) const;
    // What the manifest recommends for a device, "fp32" where it says nothing.
    std::string recommended_precision(const std::string& device) const;

private:
    void check_files(const Section& files, bool verify) const;

    std::filesystem::path root_;
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

// Text of a file of a bundle. Throws BundleError where it cannot be read or is larger than `limit` bytes.
std::string read_text(const std::filesystem::path& path, std::size_t limit);

}  // namespace realm
