// What a command line was given: images, each with its description, decoded ahead of the model.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "descriptions.hpp"
#include "realm/image.hpp"

namespace realm {

// `name`: relative to the directory that was given; `root`: that directory, or the folder of the file.
struct ImageFile {
    std::string path, name, root;
};

// One image and its text; `error` says why it cannot be worked on.
struct Item {
    ImageFile file;
    std::optional<std::string> text;
    std::string error;
};

// Images of files and directories (searched recursively, hidden ones left out), in the order given, each once.
// Throws ImageError where a path does not exist, or there is not one image in all of them.
std::vector<ImageFile> collect_images(const std::vector<std::string>& paths);

using ByRoot = std::map<std::string, Descriptions>;
// The file given for every directory, else image_descriptions.csv in or beside each. Throws TextError.
ByRoot descriptions_by_root(const std::vector<ImageFile>& files, const std::string& given);
// image_descriptions.csv in a directory, else beside it; empty where there is none.
std::string find_descriptions(const std::string& root);
// Throws UsageError where texts are required and there is not one.
std::vector<Item> pair_items(const std::vector<ImageFile>& files, const ByRoot& by_root, bool text_required);
void say_descriptions(const std::vector<Item>& items, const ByRoot& by_root);

// Decodes images on threads of its own, as far ahead as memory allows.
class Decoder {
public:
    struct Slot {
        bool ready = false;
        Image image;
        std::string error;  // instead of an image
    };

    // `items` stay with the caller; those with an error are ready at once. `ahead`: images beyond the current one.
    Decoder(const std::vector<Item>& items, std::size_t threads, std::size_t ahead);
    ~Decoder();
    Decoder(const Decoder&) = delete;
    Decoder& operator=(const Decoder&) = delete;

    Slot& wait(std::size_t index);           // the current one: all before it are done with
    Slot* if_ready(std::size_t index);       // null where it is not decoded yet
    void release(std::size_t index);         // its pixels are not needed any more

private:
    void work();

    const std::vector<Item>& items_;
    std::size_t ahead_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Slot> slots_;
    std::size_t next_ = 0, head_ = 0, held_bytes_ = 0;
    bool closed_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace realm
