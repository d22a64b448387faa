#include <array>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>

#include "files.hpp"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define REALM_SHA_NI 1
#endif

namespace realm {
namespace {

constexpr std::size_t kBlock = 64;

alignas(16) constexpr std::array<std::uint32_t, 64> kRound{
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

using State = std::array<std::uint32_t, 8>;
using Compress = void (*)(State&, const std::uint8_t*, std::size_t blocks);

std::uint32_t rotate(std::uint32_t value, unsigned by) { return value >> by | value << (32 - by); }

void compress_portable(State& state, const std::uint8_t* data, std::size_t blocks) {
    for (; blocks > 0; --blocks, data += kBlock) {
        std::array<std::uint32_t, 64> w{};
        for (std::size_t i = 0; i < 16; ++i)
            w[i] = std::uint32_t{data[4 * i]} << 24 | std::uint32_t{data[4 * i + 1]} << 16 |
                   std::uint32_t{data[4 * i + 2]} << 8 | std::uint32_t{data[4 * i + 3]};
        for (std::size_t i = 16; i < 64; ++i) {
            const std::uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
            const std::uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
            w[i] = w[i - 16] + s0 + w[i - 7] + s1;
        }
        auto [a, b, c, d, e, f, g, h] = state;
        for (std::size_t i = 0; i < 64; ++i) {
            const std::uint32_t s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
            const std::uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + kRound[i] + w[i];
            const std::uint32_t s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
            const std::uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
            h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
        }
        const State add{a, b, c, d, e, f, g, h};
        for (std::size_t i = 0; i < 8; ++i) state[i] += add[i];
    }
}

#ifdef REALM_SHA_NI
// The rounds with the SHA extensions; the order of the halves is Intel's ("ABEF", "CDGH").
__attribute__((target("sha,sse4.1,ssse3"))) void compress_sha_ni(State& state, const std::uint8_t* data,
                                                                std::size_t blocks) {
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(state.data()));
    __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(state.data() + 4));
    low = _mm_shuffle_epi32(low, 0xB1);
    high = _mm_shuffle_epi32(high, 0x1B);
    __m128i abef = _mm_alignr_epi8(low, high, 8);
    __m128i cdgh = _mm_blend_epi16(high, low, 0xF0);
    for (; blocks > 0; --blocks, data += kBlock) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i w[4];
        for (int i = 0; i < 4; ++i)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(data) + i), swap);
        for (int i = 0; i < 16; ++i) {
            const __m128i current = w[i & 3];
            const __m128i constants = _mm_load_si128(reinterpret_cast<const __m128i*>(kRound.data()) + i);
            const __m128i sum = _mm_add_epi32(current, constants);
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0E));
            if (i < 12) {  // the four words that come 16 rounds later take the place of these
                const __m128i next = w[(i + 1) & 3], third = w[(i + 2) & 3], fourth = w[(i + 3) & 3];
                __m128i words = _mm_sha256msg1_epu32(current, next);
                words = _mm_add_epi32(words, _mm_alignr_epi8(fourth, third, 4));
                w[i & 3] = _mm_sha256msg2_epu32(words, fourth);
            }
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    const __m128i feba = _mm_shuffle_epi32(abef, 0x1B);
    const __m128i dchg = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(state.data()), _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(state.data() + 4), _mm_alignr_epi8(dchg, feba, 8));
}

bool has_sha_ni() {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    __asm__("cpuid" : "=a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx) : "a"(7), "c"(0));
    return (ebx >> 29 & 1u) != 0 && __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3");
}
#endif

Compress fastest() {
#ifdef REALM_SHA_NI
    static const bool supported = __builtin_cpu_supports("avx2") && has_sha_ni();  // avx2: leaf 7 exists
    if (supported) return compress_sha_ni;
#endif
    return compress_portable;
}

class Hasher {
public:
    explicit Hasher(Compress compress) : compress_(compress) {}

    void add(const std::uint8_t* data, std::size_t size) {
        total_ += size;
        if (held_ > 0) {
            const std::size_t taken = std::min(size, kBlock - held_);
            std::memcpy(rest_.data() + held_, data, taken);
            held_ += taken, data += taken, size -= taken;
            if (held_ < kBlock) return;
            compress_(state_, rest_.data(), 1);
            held_ = 0;
        }
        compress_(state_, data, size / kBlock);
        held_ = size % kBlock;
        if (held_ > 0) std::memcpy(rest_.data(), data + (size - held_), held_);
    }

    std::string hex() {
        std::array<std::uint8_t, 2 * kBlock> tail{};
        std::memcpy(tail.data(), rest_.data(), held_);
        tail[held_] = 0x80;
        const std::size_t size = held_ + 9 <= kBlock ? kBlock : 2 * kBlock;
        const std::uint64_t bits = total_ * 8;
        for (std::size_t i = 0; i < 8; ++i) tail[size - 1 - i] = static_cast<std::uint8_t>(bits >> (8 * i));
        compress_(state_, tail.data(), size / kBlock);
        std::string text;
        for (const std::uint32_t word : state_) {
            char digits[9];
            std::snprintf(digits, sizeof digits, "%08x", word);
            text += digits;
        }
        return text;
    }

private:
    Compress compress_;
    State state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    std::array<std::uint8_t, kBlock> rest_{};
    std::size_t held_ = 0;
    std::uint64_t total_ = 0;
};

std::string digest(Compress compress, const void* data, std::size_t size) {
    Hasher hasher(compress);
    if (size > 0) hasher.add(static_cast<const std::uint8_t*>(data), size);
    return hasher.hex();
}

}  // namespace

std::string sha256(const void* data, std::size_t size) { return digest(fastest(), data, size); }
std::string sha256_portable(const void* data, std::size_t size) { return digest(compress_portable, data, size); }

std::string sha256_file(const std::filesystem::path& path) {
    constexpr std::size_t kPiece = std::size_t{1} << 18;
    std::ifstream file;
    file.rdbuf()->pubsetbuf(nullptr, 0);
    file.open(path, std::ios::binary);
    if (!file) return {};
    const auto piece = std::make_unique<std::uint8_t[]>(kPiece);
    Hasher hasher(fastest());
    while (file) {
        file.read(reinterpret_cast<char*>(piece.get()), kPiece);
        hasher.add(piece.get(), static_cast<std::size_t>(file.gcount()));
    }
    return file.bad() || !file.eof() ? std::string{} : hasher.hex();
}

}  // namespace realm
