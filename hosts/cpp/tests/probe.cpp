// A probe for tests: parts of the library by name, so that Python can compare them with its own.
//
//   probe tokens TOKENIZER < texts        JSON list of texts on stdin -> JSON list of ids
//   probe decode FILE...                  per image "height width" and the pixels' sha256, or the error
//   probe pixels FILE OUT                 the pixels, raw
//   probe peak FILE                       bytes that this process held at its peak, the file decoded or refused (Linux)
//   probe sha256 FILE                     both implementations
//   probe bundles IMAGE DIR...            per bundle what opening, scoring and mapping say: "ok" or the error
//   probe memory IMAGE DIR...             the same of all files of each folder, held in memory alone
//   probe sources BUNDLE IMAGE TEXT PRECISION   scores and map of a folder, its files in memory, and a function that reads them
//   probe adaptive < case                 similarities of a grid from some, and which were asked for, as JSON
//   probe threads BUNDLE IMAGE TEXT       one engine used from many threads at once; its answers must be equal
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <iostream>
#include <iterator>

#include "adaptive.hpp"
#include "files.hpp"
#include "json.hpp"
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
    std::ofstream(out, std::ios::binary)
        .write(reinterpret_cast<const char*>(image.rgb.data()), static_cast<std::streamsize>(image.rgb.size()));
    std::cout << image.height << ' ' << image.width << '\n';
    return 0;
}

int peak(const std::string& file) {
    try {
        realm::load_image(file);
    } catch (const realm::Error&) {
    }
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;)
        if (word == "VmHWM:") {
            unsigned long long kilobytes = 0;
            status >> kilobytes;
            std::cout << kilobytes * 1024 << '\n';
        }
    return 0;
}

int digests(const std::string& path) {
    const realm::FileContent content = realm::read_file(path, std::uint64_t{1} << 30);
    std::cout << realm::sha256(content.bytes.data(), content.bytes.size()) << '\n'
              << realm::sha256_portable(content.bytes.data(), content.bytes.size()) << '\n'
              << realm::sha256_file(path) << '\n';
    return 0;
}

// Every file of a folder, by its name there.
std::map<std::string, realm::Bytes> files_of(const std::filesystem::path& folder) {
    std::map<std::string, realm::Bytes> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
        if (entry.is_regular_file())
            found[realm::utf8(entry.path().lexically_relative(folder))] =
                realm::owned(realm::read_file(entry.path(), std::uint64_t{1} << 32).bytes);
    return found;
}

std::shared_ptr<const realm::Source> in_memory(const std::string& folder) {
    return realm::memory_source(files_of(folder), folder);
}

int sources(const std::string& bundle, const std::string& file, const std::string& text, const std::string& precision) {
    const realm::Image image = realm::load_image(file);
    std::size_t asked = 0;
    const auto read = [&](const std::string& name) {
        ++asked;
        const auto path = std::filesystem::path(bundle) / realm::from_utf8(name);
        return std::filesystem::exists(path) ? realm::owned(realm::read_file(path, std::uint64_t{1} << 32).bytes) : realm::Bytes{};
    };
    realm::Options options;
    options.precision = precision;
    options.threads = 1;
    for (const auto& source : {realm::folder_source(bundle), in_memory(bundle), realm::callback_source(read, "pack")}) {
        const realm::Engine engine(source, options);
        const std::vector<double> values = engine.measure(image, text).values;
        const realm::RealnessMap map = engine.map(image, text);
        std::cout << engine.info().score_precision << ' ' << realm::sha256(values.data(), values.size() * sizeof(double)) << ' '
                  << realm::sha256(map.values.data(), map.values.size() * sizeof(float)) << '\n';
    }
    std::cout << asked << '\n';
    return 0;
}

int adaptive() {
    const realm::Json given = realm::Json::parse(all(std::cin));
    const auto known = given.at("similarities").get<std::vector<std::vector<float>>>();
    realm::Json asked = realm::Json::array();
    const auto encode = [&](const std::vector<std::size_t>& indices) {
        asked.push_back(indices);
        std::vector<float> values;
        for (const std::size_t index : indices) values.insert(values.end(), known.at(index).begin(), known.at(index).end());
        return values;
    };
    const auto found = realm::adaptive_similarities(given.at("rows"), given.at("cols"), given.at("fraction"), known[0].size(),
                                                    given.at("overlap"), encode);
    std::cout << realm::Json{{"asked", asked}, {"similarities", found}}.dump() << '\n';
    return 0;
}

int bundles(const std::string& file, const std::vector<std::string>& folders, bool memory) {
    const realm::Image image = realm::load_image(file);
    for (const std::string& folder : folders) {
        std::string said = "ok";
        const auto attempt = [&](const auto& action) {
            try {
                action();
            } catch (const realm::Error& error) {
                if (said == "ok") said = std::string("error ") + error.what();
            }
        };
        attempt([&] {
            realm::Options options;
            options.threads = 1;
            const realm::Engine engine(memory ? in_memory(folder) : realm::folder_source(folder), options);
            attempt([&] { engine.score(image, "Yes, the face is melted"); });
            attempt([&] { engine.score(image); });
            attempt([&] { engine.measure(image, "Yes, the face is melted"); });
            attempt([&] { engine.map(image, "the face is melted"); });
            attempt([&] { engine.map(image); });
        });
        std::cout << said << std::endl;  // flushed: whoever crashes next is then known
    }
    return 0;
}

int threads(const std::string& bundle, const std::string& file, const std::string& text) {
    constexpr int kThreads = 6;
    const realm::Image image = realm::load_image(file);
    realm::Options options;
    options.threads = 1;
    const realm::Engine engine(bundle, options);  // its graphs are opened by whoever comes first
    std::vector<std::future<std::vector<float>>> answers;
    for (int index = 0; index < kThreads; ++index)
        answers.push_back(std::async(std::launch::async, [&, index] {
            std::vector<float> values;
            for (int round = 0; round < 3; ++round) {
                if ((index + round) % 2 == 0) engine.prepare_map();
                values = engine.map(image, text).values;
                values.push_back(static_cast<float>(engine.score(image, text).mos));
                values.push_back(static_cast<float>(engine.score(image).mos));
            }
            return values;
        }));
    const std::vector<float> first = answers[0].get();
    bool same = true;
    for (std::size_t index = 1; index < answers.size(); ++index) {
        const std::vector<float> other = answers[index].get();
        // Bit by bit: where no window is the map is NaN, which equals nothing.
        same = same && other.size() == first.size() &&
               std::memcmp(other.data(), first.data(), first.size() * sizeof(float)) == 0;
    }
    std::cout << first.size() << (same ? " equal\n" : " different\n");
    return same ? 0 : 1;
}

}  // namespace

int main(int count, char** words) {
    const std::vector<std::string> given(words + 1, words + count);
    const std::string what = given.empty() ? "" : given[0];
    try {
        if (what == "tokens" && given.size() == 2) return tokens(given[1]);
        if (what == "decode" && given.size() > 1) return decode({given.begin() + 1, given.end()});
        if (what == "pixels" && given.size() == 3) return pixels(given[1], given[2]);
        if (what == "peak" && given.size() == 2) return peak(given[1]);
        if ((what == "bundles" || what == "memory") && given.size() > 2)
            return bundles(given[1], {given.begin() + 2, given.end()}, what == "memory");
        if (what == "sources" && given.size() == 5) return sources(given[1], given[2], given[3], given[4]);
        if (what == "adaptive" && given.size() == 1) return adaptive();
        if (what == "threads" && given.size() == 4) return threads(given[1], given[2], given[3]);
        if (what == "sha256" && given.size() == 2) return digests(given[1]);
    } catch (const realm::Error& error) {
        std::cerr << "error: " << error.what() << '\n';
        return 2;
    }
    std::cerr << "usage: probe tokens TOKENIZER | decode FILE... | pixels FILE OUT | peak FILE | sha256 FILE | bundles IMAGE DIR... | memory IMAGE DIR... | sources BUNDLE IMAGE TEXT PRECISION | adaptive | threads BUNDLE IMAGE TEXT\n";
    return 2;
}
