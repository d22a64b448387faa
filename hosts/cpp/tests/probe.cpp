// A probe for tests: parts of the library by name, so that Python can compare them with its own.
//
//   probe tokens TOKENIZER < texts        JSON list of texts on stdin -> JSON list of ids
//   probe decode FILE...                  per image "height width" and the pixels' sha256, or the error
//   probe pixels FILE OUT                 the pixels, raw
//   probe sha256 FILE                     both implementations
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>

#include "files.hpp"
#include "json.hpp"
#include "output.hpp"
#include "realm/realm.hpp"
#include "tokenizer.hpp"

namespace {

std::string all(std::istream& stream) { return {std::istreambuf_iterator<char>(stream), {}}; }

int tokens(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    const realm::Tokenizer tokenizer(all(file), path);
    realm::Json answer = realm::Json::array();
    for (const realm::Json& text : realm::Json::parse(all(std::cin)))
        answer.push_back(tokenizer.encode(text.get<std::string>()).ids);
    std::cout << answer.dump() << '\n';
    return 0;
}

int decode(const std::vector<std::string>& files) {
    for (const std::string& file : files) {
        try {
            const realm::Image image = realm::load_image(file);
            std::cout << image.height << ' ' << image.width << ' ' << realm::sha256(image.rgb.data(), image.rgb.size())
                      << '\n';
        } catch (const realm::Error& error) {
            std::cout << "error " << error.what() << '\n';
        }
    }
    return 0;
}

int pixels(const std::string& file, const std::string& out) {
    const realm::Image image = realm::load_image(file);
    realm::write_atomically(out, {reinterpret_cast<const char*>(image.rgb.data()), image.rgb.size()});
    std::cout << image.height << ' ' << image.width << '\n';
    return 0;
}

int digests(const std::string& path) {
    const realm::FileContent content = realm::read_file(path, std::uint64_t{1} << 30);
    std::cout << realm::sha256(content.bytes.data(), content.bytes.size()) << '\n'
              << realm::sha256_portable(content.bytes.data(), content.bytes.size()) << '\n'
              << realm::sha256_file(path) << '\n';
    return 0;
}

}  // namespace

int main(int count, char** words) {
    const std::vector<std::string> given(words + 1, words + count);
    const std::string what = given.empty() ? "" : given[0];
    try {
        if (what == "tokens" && given.size() == 2) return tokens(given[1]);
        if (what == "decode" && given.size() > 1) return decode({given.begin() + 1, given.end()});
        if (what == "pixels" && given.size() == 3) return pixels(given[1], given[2]);
        if (what == "sha256" && given.size() == 2) return digests(given[1]);
    } catch (const realm::Error& error) {
        std::cerr << "error: " << error.what() << '\n';
        return 2;
    }
    std::cerr << "usage: probe tokens TOKENIZER | decode FILE... | pixels FILE OUT | sha256 FILE\n";
    return 2;
}
