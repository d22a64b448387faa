// Where the files of a bundle come from: a folder, memory, or whoever is asked for them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace realm {

// All bytes of a file. `data` is null where there is no such file; an empty file has another pointer and the size 0.
// `owner` keeps the bytes in their place; it may be empty for memory that outlives the engine, such as a program's own data.
struct Bytes {
    const void* data = nullptr;
    std::size_t size = 0;
    std::shared_ptr<const void> owner;
};

// The same of bytes that nobody else keeps.
Bytes owned(std::vector<std::uint8_t> content);

// The files of a bundle by the names of its manifest ("bundle.json" first, then such as "core.onnx" or "text/words.json").
// An engine reads each file once to check it and once when it is first used, both times in whole, and keeps no bytes but
// while a graph is being opened. Sources must bear calls from several threads at once.
class Source {
public:
    virtual ~Source() = default;
    // What errors call a file; an empty name is the whole.
    virtual std::string where(const std::string& file) const = 0;
    // A file, which may have `most` bytes: a longer one is refused by whoever asks, or here. Throws BundleError where the file
    // is there and cannot be read.
    virtual Bytes read(const std::string& file, std::uint64_t most) const = 0;
    // Where the file lies on a disk, so that a runtime may map it; empty where it is nowhere.
    virtual std::filesystem::path path(const std::string& file) const;
};

// A folder that holds bundle.json. Throws BundleError where it does not. Links may not leave it, but for the cache of a
// model hub.
std::shared_ptr<const Source> folder_source(const std::filesystem::path& folder);
// Files in memory, by their names. `name`: what errors call the whole.
std::shared_ptr<const Source> memory_source(std::map<std::string, Bytes> files, std::string name = "bundle");
// Files that a function finds by their names: an archive, the assets of a game or an app. What it throws is an error of the
// file that was asked for.
std::shared_ptr<const Source> callback_source(std::function<Bytes(const std::string& file)> read,
                                              std::string name = "bundle");

}  // namespace realm
