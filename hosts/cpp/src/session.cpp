#define ORT_API_MANUAL_INIT  // so that a library that is too old is an error and not a crash
#include "session.hpp"

#if defined(__MINGW32__) && !defined(_stdcall)
#define _stdcall __stdcall  // a word of ONNX Runtime's header that MinGW knows only with its own extensions
#endif
#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "files.hpp"
#include "limits.hpp"
#include "realm/error.hpp"
#include "realm/realm.hpp"
#include "text_format.hpp"

namespace realm {
namespace {

constexpr int kMaxThreads = 1024;
constexpr const char* kCureOfAnswers = "; try --precision fp32, and get the bundle again if that does not help";

// Hands over weights that ONNX Runtime is not to look for itself. They must stay where they are until the session is there.
void add_weights(const GraphFile& model, Ort::SessionOptions& options) {
    std::vector<std::basic_string<ORTCHAR_T>> names;
    std::vector<char*> buffers;
    std::vector<std::size_t> sizes;
    for (const auto& [location, bytes] : model.weights) {
        names.push_back(from_utf8(location).native());
        // It only reads them, but its signature does not say so.
        buffers.push_back(const_cast<char*>(static_cast<const char*>(bytes.data)));
        sizes.push_back(bytes.size);
    }
    if (!names.empty()) options.AddExternalInitializersFromFilesInMemory(names, buffers, sizes);
}

Ort::Session open_session(const GraphFile& model, Ort::Env& env, const Ort::SessionOptions& options) {
    if (model.path.empty()) return {env, model.bytes.data, model.bytes.size, options};
    return {env, model.path.c_str(), options};
}

// Whether ONNX Runtime is to report nothing to its maker, which its official builds do unless told otherwise. A value
// that the user has set is kept.
bool telemetry_is_off() {
    constexpr const char* kVariable = "ORT_DISABLE_TELEMETRY";
#ifdef _WIN32
    if (std::getenv(kVariable) == nullptr) _putenv_s(kVariable, "1");
#else
    setenv(kVariable, "1", 0);
#endif
    const char* value = std::getenv(kVariable);
    return value != nullptr && std::string(value) == "1";
}

Ort::Env& environment() {
    static Ort::Env env = [] {
        const bool silent = telemetry_is_off();  // read when the environment is made
        const OrtApi* api = OrtGetApiBase()->GetApi(ORT_API_VERSION);
        if (api == nullptr)
            throw DeviceError(std::string("ONNX Runtime ") + OrtGetApiBase()->GetVersionString() +
                              " is too old; this program needs 1." + std::to_string(ORT_API_VERSION) + " or newer");
        Ort::InitApi(api);
        Ort::Env made(ORT_LOGGING_LEVEL_FATAL, "realm");
        if (silent) made.DisableTelemetryEvents();  // for builds that do not know the variable
        return made;
    }();
    return env;
}

ONNXTensorElementDataType element_type(Element element) {
    switch (element) {
        case Element::uint8: return ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
        case Element::int64: return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
        default: return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
    }
}

std::size_t bytes_of(const Feed& feed) {
    std::size_t bytes = feed.element == Element::uint8 ? 1 : feed.element == Element::int64 ? 8 : 4;
    for (const std::int64_t size : feed.shape) bytes *= static_cast<std::size_t>(size);
    return bytes;
}

class OnnxSession final : public Session {
public:
    OnnxSession(Ort::Session session, std::string name) : session_(std::move(session)), name_(std::move(name)) {}

    std::vector<Tensor> tensors(const std::vector<Feed>& feeds, const std::vector<Wanted>& outputs) const override {
        try {
            const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
            std::vector<const char*> names, asked;
            std::vector<Ort::Value> values;
            for (const Feed& feed : feeds) {
                names.push_back(feed.name);
                // ONNX Runtime only reads inputs, but its signature does not say so.
                values.push_back(Ort::Value::CreateTensor(memory, const_cast<void*>(feed.data), bytes_of(feed),
                                                          feed.shape.data(), feed.shape.size(),
                                                          element_type(feed.element)));
            }
            for (const Wanted& output : outputs) asked.push_back(output.name.c_str());
            const auto answers = session_.Run(Ort::RunOptions{nullptr}, names.data(), values.data(), values.size(),
                                              asked.data(), asked.size());
            std::vector<Tensor> result;
            for (std::size_t at = 0; at < outputs.size(); ++at) result.push_back(copy(answers.at(at), outputs[at]));
            return result;
        } catch (const Ort::Exception& error) {
            throw DeviceError(name_ + ": ONNX Runtime failed: " + one_line(error.what()));
        }
    }

private:
    Tensor copy(const Ort::Value& answer, const Wanted& output) const {
        const auto wrong = [&](const std::string& what) {
            return DeviceError(name_ + ": its output '" + output.name + "' is " + what + "; export the bundle again");
        };
        if (!answer.IsTensor()) throw wrong("no tensor");
        const auto info = answer.GetTensorTypeAndShapeInfo();
        if (info.GetElementType() != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) throw wrong("not float32");
        std::vector<std::int64_t> actual = info.GetShape();
        const bool fits = std::any_of(output.shapes.begin(), output.shapes.end(), [&](const auto& shape) {
            return std::equal(shape.begin(), shape.end(), actual.begin(), actual.end(),
                              [](std::int64_t want, std::int64_t got) { return want < 0 || want == got; });
        });
        if (!fits) {
            std::vector<std::string> sizes;
            for (const std::int64_t size : actual) sizes.push_back(std::to_string(size));
            throw wrong("of shape (" + joined(sizes) + ")");
        }
        const float* data = answer.GetTensorData<float>();
        return {std::move(actual), {data, data + info.GetElementCount()}};
    }

    // Run is safe from several threads, but the C++ wrapper does not declare it const.
    mutable Ort::Session session_;
    std::string name_;
};

void add_cuda(Ort::SessionOptions& options, const std::string& precision) {
    const OrtApi& api = Ort::GetApi();
    OrtCUDAProviderOptionsV2* settings = nullptr;
    Ort::ThrowOnError(api.CreateCUDAProviderOptions(&settings));
    const std::unique_ptr<OrtCUDAProviderOptionsV2, void (*)(OrtCUDAProviderOptionsV2*)> owner(
        settings, api.ReleaseCUDAProviderOptions);
    // fp32 is the reference: TF32 would keep 10 bits of the mantissa.
    const char* key = "use_tf32";
    const char* value = precision == "fp32" ? "0" : "1";
    Ort::ThrowOnError(api.UpdateCUDAProviderOptions(settings, &key, &value, 1));
    options.AppendExecutionProvider_CUDA_V2(*settings);
}

}  // namespace

std::vector<std::vector<float>> Session::run(const std::vector<Feed>& feeds, const std::vector<Wanted>& outputs) const {
    std::vector<std::vector<float>> values;
    for (Tensor& tensor : tensors(feeds, outputs)) values.push_back(std::move(tensor.values));
    return values;
}

std::vector<float> finite(std::vector<float> values, const std::string& output) {
    const auto bad = std::count_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); });
    if (bad == 0) return values;
    throw AnswerError("graph of " + output + ": " + std::to_string(bad) + " of " + std::to_string(values.size()) +
                      " values are NaN or infinite" + kCureOfAnswers);
}

std::vector<float> cosines(std::vector<float> values, const std::string& output) {
    values = finite(std::move(values), output);
    float worst = 0;
    for (const float value : values) worst = std::max(worst, std::abs(value));
    if (worst <= limits::kCosine) return values;
    char number[32];
    std::snprintf(number, sizeof number, "%g", static_cast<double>(worst));
    throw AnswerError("graph of " + output + ": a cosine of " + number + " in its answer" + kCureOfAnswers);
}

Runtime::Runtime(const std::string& device, int threads) : device_(device), threads_(threads) {
    if (threads < 0 || threads > kMaxThreads)
        throw DeviceError("threads is " + std::to_string(threads) + "; give a number of at least 1 (at most " +
                          std::to_string(kMaxThreads) + ")");
    if (threads == 0) threads_ = usable_cores();
    if (device != "cpu" && device != "cuda")
        throw DeviceError("unknown device " + in_quotes(device) + "; choose one of cpu, cuda");
    environment();
    if (device == "cuda") {
        const auto providers = Ort::GetAvailableProviders();
        if (std::find(providers.begin(), providers.end(), "CUDAExecutionProvider") == providers.end())
            throw DeviceError("device cuda: ONNX Runtime " + runtime_version() +
                              " is built without CUDA; build with ONNXRUNTIME_ROOT of a GPU release, or use cpu");
    }
}

std::shared_ptr<const Session> Runtime::open(const GraphFile& model, const std::string& precision) const {
    try {
        Ort::SessionOptions options;
        options.SetIntraOpNumThreads(threads_);
        options.SetInterOpNumThreads(1);
        options.SetGraphOptimizationLevel(ORT_ENABLE_ALL);
        options.SetLogSeverityLevel(ORT_LOGGING_LEVEL_FATAL);  // its errors are thrown, in one line
        // Spinning workers would take the cores from the threads that decode the next images.
        options.AddConfigEntry("session.intra_op.allow_spinning", "0");
        if (device_ == "cuda") add_cuda(options, precision);
        add_weights(model, options);
        return std::make_shared<OnnxSession>(open_session(model, environment(), options), model.name);
    } catch (const Ort::Exception& error) {
        throw DeviceError(model.name + ": ONNX Runtime refused it: " + one_line(error.what()));
    }
}

std::size_t Runtime::window_batch() const { return own_memory() ? 256 : 32; }
std::size_t Runtime::image_batch() const { return own_memory() ? 32 : 8; }

std::string runtime_version() { return OrtGetApiBase()->GetVersionString(); }

}  // namespace realm
