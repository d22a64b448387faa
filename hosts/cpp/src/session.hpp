// The only place that knows ONNX Runtime: a Runtime opens graphs on a device, a Session runs one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "realm/source.hpp"

namespace realm {

enum class Element { uint8, int64, float32 };

// An input; the data belong to the caller.
struct Feed {
    const char* name;
    Element element;
    const void* data;
    std::vector<std::int64_t> shape;
};

// An output, and the shapes that it may have (-1: any size).
struct Wanted {
    std::string name;
    std::vector<std::vector<std::int64_t>> shapes;
};

// What an output holds.
struct Tensor {
    std::vector<std::int64_t> shape;
    std::vector<float> values;
};

// An opened graph. May be run from several threads at once.
class Session {
public:
    virtual ~Session() = default;
    // Float32 outputs, each of which must have one of its shapes (-1: any). Throws DeviceError.
    virtual std::vector<Tensor> tensors(const std::vector<Feed>& feeds, const std::vector<Wanted>& outputs) const = 0;
    // Their values alone.
    std::vector<std::vector<float>> run(const std::vector<Feed>& feeds, const std::vector<Wanted>& outputs) const;
    std::vector<float> run(const std::vector<Feed>& feeds, const char* output,
                           const std::vector<std::int64_t>& shape) const {
        return std::move(run(feeds, {Wanted{output, {shape}}}).front());
    }
};

// The values as they are. Throws AnswerError, naming the output, where one is NaN or infinite.
std::vector<float> finite(std::vector<float> values, const std::string& output);
// The same of cosines: an overflow may be finite and still no cosine.
std::vector<float> cosines(std::vector<float> values, const std::string& output);

// A graph of a bundle: a file on a disk, or its bytes.
struct GraphFile {
    std::string name;            // what errors call it
    std::filesystem::path path;  // empty where it is `bytes`
    Bytes bytes;
    // Files that it keeps weights in, by the names that it gives them, as far as the runtime does not read them itself.
    std::vector<std::pair<std::string, Bytes>> weights;
};

class Runtime {
public:
    // Throws DeviceError, with the cure, where the device cannot be had.
    Runtime(const std::string& device, int threads);

    std::shared_ptr<const Session> open(const GraphFile& model, const std::string& precision) const;

    const std::string& device() const { return device_; }
    int threads() const { return threads_; }
    std::size_t window_batch() const;  // windows and images of a call where nothing else is known
    std::size_t image_batch() const;
    bool own_memory() const { return device_ != "cpu"; }

private:
    std::string device_;
    int threads_;
};

// Cores this process may use: the smaller of its CPU affinity and the quota of its control group.
int usable_cores();

// Whether this processor multiplies int8 fast; without, such a file is slower than float32, or saturates.
bool has_int8_units();

}  // namespace realm
