// Any bytes as the manifest of a bundle: a bundle or a BundleError, no crash and no report of a sanitizer.
#include <cstdint>

#include "bundle.hpp"
#include "realm/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    try {
        realm::Bundle::read(realm::memory_source({}, "fuzzed"), std::string(reinterpret_cast<const char*>(data), size));
    } catch (const realm::BundleError&) {
    }
    return 0;
}
