// The library answers, and refuses a bundle that is none.
#include <cstdio>

#include <realm/realm.hpp>

int main() {
    std::printf("realm %s, ONNX Runtime %s\n", realm::version(), realm::runtime_version().c_str());
    try {
        const realm::Engine engine(realm::memory_source({}, "nothing"));
    } catch (const realm::BundleError& error) {
        std::printf("%s\n", error.what());
        return 0;
    }
    return 1;
}
