// A bundle that is no folder, as in a game or an app: its files come from one archive that the program carries. Here the
// archive is made of a folder first: for each file a line "NAME SIZE", then an empty line, then all bytes in that order.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <sstream>
#include <string>

#include <realm/realm.hpp>

namespace fs = std::filesystem;

std::string read_all(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::string pack(const fs::path& folder) {
    std::string lines, bytes;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        if (!entry.is_regular_file()) continue;
        const std::string content = read_all(entry.path());
        lines += entry.path().lexically_relative(folder).generic_u8string() + " " + std::to_string(content.size()) + "\n";
        bytes += content;
    }
    return lines + "\n" + bytes;
}

// The files of an archive, which are not copied: each of them keeps all of it alive.
std::map<std::string, realm::Bytes> unpack(const std::shared_ptr<const std::string>& archive) {
    std::istringstream lines(archive->substr(0, archive->find("\n\n") + 1));
    std::map<std::string, realm::Bytes> files;
    const char* at = archive->data() + archive->find("\n\n") + 2;
    for (std::string line; std::getline(lines, line);) {
        const std::size_t gap = line.rfind(' '), size = std::stoul(line.substr(gap + 1));
        files[line.substr(0, gap)] = {at, size, archive};
        at += size;
    }
    return files;
}

int main(int count, char** words) {
    if (count != 3) {
        std::fprintf(stderr, "usage: %s BUNDLE IMAGE\n", words[0]);
        return 2;
    }
    try {
        const auto archive = std::make_shared<const std::string>(pack(words[1]));
        const realm::Engine engine(realm::memory_source(unpack(archive), "my archive"));
        const std::string picture = read_all(words[2]);  // which might come from there as well
        const realm::Image image = realm::decode_image(picture.data(), picture.size(), "picture");
        std::printf("MOS %.4f, from %zu bytes of memory\n", engine.score(image).mos, archive->size());
    } catch (const realm::Error& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 2;
    }
    return 0;
}
