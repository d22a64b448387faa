#include "inputs.hpp"

#include <algorithm>
#include <filesystem>
#include <set>

#include "output.hpp"
#include "realm/error.hpp"
#include "text_format.hpp"
#include "unicode.hpp"

namespace realm {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDescriptions = "image_descriptions.csv";
constexpr std::size_t kBudgetBytes = std::size_t{256} << 20;  // decoded images that wait for the model

bool is_image_name(const std::string& name) {
    static const std::set<std::string> kExtensions{"png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff"};
    const std::size_t dot = name.rfind('.');
    if (name[0] == '.' || dot == std::string::npos || dot == 0) return false;
    std::string extension = name.substr(dot + 1);
    for (char& each : extension)
        if (each >= 'A' && each <= 'Z') each = static_cast<char>(each - 'A' + 'a');
    return kExtensions.count(extension) != 0;
}

void search(const std::string& folder, const std::string& relative, std::vector<std::string>& found) {
    std::error_code failed;
    fs::directory_iterator entries(folder, failed);
    std::vector<std::string> folders;
    for (; !failed && entries != fs::directory_iterator(); entries.increment(failed)) {
        const std::string name = entries->path().filename().string();
        std::error_code ignored;
        const std::string below = relative.empty() ? name : relative + "/" + name;
        if (entries->is_directory(ignored)) {
            if (name[0] != '.' && !entries->is_symlink(ignored)) folders.push_back(name);
        } else if (is_image_name(name)) {
            found.push_back(below);
        }
    }
    if (failed) throw ImageError(folder + ": cannot be listed (" + failed.message() + ")");
    for (const std::string& name : folders)
        search(join(folder, name), relative.empty() ? name : relative + "/" + name, found);
}

std::string resolved(const std::string& path) {
    std::error_code failed;
    const fs::path real = fs::weakly_canonical(path, failed);
    return failed ? path : real.string();
}

}  // namespace

std::vector<ImageFile> collect_images(const std::vector<std::string>& paths) {
    std::vector<ImageFile> files;
    std::set<std::string> seen;
    std::vector<std::string> given;
    for (const std::string& each : paths) {
        const std::string start = plain_path(each);
        given.push_back(start);
        std::error_code ignored;
        if (!fs::exists(start, ignored)) throw ImageError(start + ": no such file or directory");
        const bool folder = !fs::is_regular_file(start, ignored);
        std::vector<std::string> names;
        if (folder) search(start, "", names);
        else names.push_back(name_of(start));
        std::sort(names.begin(), names.end());
        for (const std::string& name : names) {
            const std::string path = folder ? join(start, name) : start;
            if (seen.insert(resolved(path)).second) files.push_back({path, name, folder ? start : parent_of(start)});
        }
    }
    if (files.empty())
        throw ImageError(joined(given) +
                         ": no images found; give images or a directory that holds some "
                         "(bmp, jpeg, jpg, png, tif, tiff, webp)");
    std::map<std::string, int> uses;
    for (const ImageFile& file : files) ++uses[file.name];
    for (ImageFile& file : files)
        if (uses[file.name] > 1) file.name = file.path;
    return files;
}

std::string find_descriptions(const std::string& root) {
    std::error_code ignored;
    for (const std::string& folder : {root, parent_of(resolved(root))}) {
        const std::string path = join(folder, kDescriptions);
        if (fs::is_regular_file(path, ignored)) return path;
    }
    return {};
}

ByRoot descriptions_by_root(const std::vector<ImageFile>& files, const std::string& given) {
    ByRoot by_root;
    std::map<std::string, Descriptions> read;
    for (const ImageFile& file : files) {
        if (by_root.count(file.root) != 0) continue;
        const std::string path = given.empty() ? find_descriptions(file.root) : plain_path(given);
        if (path.empty()) continue;
        if (read.count(path) == 0) read[path] = read_descriptions(path);
        by_root[file.root] = read[path];
    }
    return by_root;
}

std::vector<Item> pair_items(const std::vector<ImageFile>& files, const ByRoot& by_root, bool text_required) {
    std::vector<Item> items;
    bool any = false;
    for (const ImageFile& file : files) {
        Item item{file, std::nullopt, {}};
        if (const auto found = by_root.find(file.root); found != by_root.end()) {
            try {
                // The name may carry the directory itself where two directories clash; the CSV never does.
                const std::string relative =
                    file.root == "." ? file.path : file.path.substr(file.root.size() + (file.root == "/" ? 0 : 1));
                item.text = found->second.lookup(relative);
                if (item.text && unicode::is_blank(*item.text)) item.text.reset();
            } catch (const TextError& error) {
                item.error = error.what();
            }
        }
        any = any || item.text || !item.error.empty();
        items.push_back(std::move(item));
    }
    if (!text_required) return items;
    if (!any)
        throw UsageError("no image has a description; give --descriptions CSV, or --missing-text image-only");
    for (Item& item : items)
        if (!item.text && item.error.empty())
            item.error = item.file.name + ": no description; add one, or use --missing-text image-only";
    return items;
}

void say_descriptions(const std::vector<Item>& items, const ByRoot& by_root) {
    std::vector<std::string> order;
    std::map<std::string, std::pair<int, int>> counts;
    for (const Item& item : items) {
        const auto found = by_root.find(item.file.root);
        if (found == by_root.end()) continue;
        if (counts.count(found->second.source) == 0) order.push_back(found->second.source);
        auto& [described, total] = counts[found->second.source];
        described += item.text ? 1 : 0;
        ++total;
    }
    for (const std::string& source : order)
        say("descriptions: " + source + " (" + std::to_string(counts[source].first) + " of " +
            std::to_string(counts[source].second) + " images have one)");
}

Decoder::Decoder(const std::vector<Item>& items, std::size_t threads, std::size_t ahead)
    : items_(items), ahead_(ahead), slots_(items.size()) {
    for (std::size_t index = 0; index < std::min(threads, items.size()); ++index)
        threads_.emplace_back([this] { work(); });
}

Decoder::~Decoder() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        closed_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
}

void Decoder::work() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
        changed_.wait(lock, [&] {
            // The image that the model waits for may always be decoded.
            const bool room = next_ <= head_ || (held_bytes_ < kBudgetBytes && next_ <= head_ + ahead_);
            return closed_ || next_ == items_.size() || room;
        });
        if (closed_ || next_ == items_.size()) return;
        const std::size_t index = next_++;
        Slot made;
        made.ready = true;
        made.error = items_[index].error;
        if (made.error.empty()) {
            lock.unlock();
            try {
                made.image = load_image(items_[index].file.path);
            } catch (const Error& error) {
                made.error = error.what();
            } catch (const std::bad_alloc&) {
                made.error = items_[index].file.path + ": not enough memory to decode it";
            }
            lock.lock();
        }
        held_bytes_ += made.image.rgb.size();
        slots_[index] = std::move(made);
        changed_.notify_all();
    }
}

Decoder::Slot& Decoder::wait(std::size_t index) {
    std::unique_lock<std::mutex> lock(mutex_);
    head_ = index;
    changed_.notify_all();
    changed_.wait(lock, [&] { return slots_[index].ready; });
    return slots_[index];
}

Decoder::Slot* Decoder::if_ready(std::size_t index) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return index < slots_.size() && slots_[index].ready ? &slots_[index] : nullptr;
}

void Decoder::release(std::size_t index) {
    const std::lock_guard<std::mutex> lock(mutex_);
    held_bytes_ -= slots_[index].image.rgb.size();
    slots_[index].image = {};
    changed_.notify_all();
}

}  // namespace realm
