// What libFuzzer is for clang, for other compilers and in small: seeded changes of the files of a corpus, blindly.
//
//   fuzz_png -max_total_time=SECONDS -seed=N CORPUS...
//
// Says how many inputs it ran. What hangs ends it by a signal; the same seed does the same again.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr unsigned kLongestSeconds = 10;

std::size_t below(std::mt19937_64& random, std::size_t end) { return end == 0 ? 0 : random() % end; }

// One to eight changes: a bit, a byte, a number, a cut, a piece twice, a piece of another file.
Bytes changed(const std::vector<Bytes>& corpus, std::mt19937_64& random) {
    Bytes data = corpus[below(random, corpus.size())];
    for (std::size_t left = 1 + below(random, 8); left > 0 && !data.empty(); --left) {
        const std::size_t at = below(random, data.size());
        switch (below(random, 7)) {
            case 0: data[at] = static_cast<std::uint8_t>(data[at] ^ (1U << below(random, 8))); break;
            case 1: data[at] = static_cast<std::uint8_t>(random()); break;
            case 2:
                for (std::size_t i = at; i < data.size() && i < at + 4; ++i) data[i] = below(random, 2) == 0 ? 0 : 0xFF;
                break;
            case 3: data.resize(at); break;
            case 4: data.erase(data.begin() + static_cast<std::ptrdiff_t>(at),
                               data.begin() + static_cast<std::ptrdiff_t>(std::min(data.size(), at + below(random, 64))));
                break;
            default: {
                const Bytes& other = below(random, 2) == 0 ? data : corpus[below(random, corpus.size())];
                const std::size_t from = below(random, other.size());
                const Bytes piece(other.begin() + static_cast<std::ptrdiff_t>(from),
                                  other.begin() + static_cast<std::ptrdiff_t>(std::min(other.size(), from + below(random, 256))));
                data.insert(data.begin() + static_cast<std::ptrdiff_t>(at), piece.begin(), piece.end());
            }
        }
    }
    return data;
}

}  // namespace

int main(int count, char** words) {
    double seconds = 10;
    std::mt19937_64 random(1);
    std::vector<Bytes> corpus;
    for (int at = 1; at < count; ++at) {
        const std::string word = words[at];
        if (word.rfind("-max_total_time=", 0) == 0) seconds = std::stod(word.substr(16));
        else if (word.rfind("-seed=", 0) == 0) random.seed(std::stoull(word.substr(6)));
        else if (word[0] != '-')
            for (const auto& entry : std::filesystem::directory_iterator(word)) {
                std::ifstream file(entry.path(), std::ios::binary);
                corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
            }
    }
    if (corpus.empty()) return std::fprintf(stderr, "no files to begin with; give a folder\n"), 2;
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    unsigned long long runs = 0;
    for (; std::chrono::steady_clock::now() < end; ++runs) {
        const Bytes data = runs < corpus.size() ? corpus[runs] : changed(corpus, random);
        ::alarm(kLongestSeconds);
        LLVMFuzzerTestOneInput(data.data(), data.size());
    }
    std::fprintf(stderr, "Done %llu runs in %.0f second(s)\n", runs, seconds);
    return 0;
}
