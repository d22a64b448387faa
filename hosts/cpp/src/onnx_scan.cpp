#include "onnx_scan.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <stdexcept>
#include <string_view>

#include "text_format.hpp"

namespace realm {
namespace {

// The only messages that can lead to a TensorProto; field numbers are those of onnx.proto3.
enum class Message { none, model, training, function, graph, node, attribute, sparse, tensor, entry };

Message inside(Message message, std::uint64_t field) {
    switch (message) {
        case Message::model:
            return field == 7    ? Message::graph
                   : field == 20 ? Message::training
                   : field == 25 ? Message::function
                                 : Message::none;
        case Message::training: return field == 1 || field == 2 ? Message::graph : Message::none;
        case Message::function:
            return field == 7 ? Message::node : field == 11 ? Message::attribute : Message::none;
        case Message::graph:
            return field == 1    ? Message::node
                   : field == 5  ? Message::tensor
                   : field == 15 ? Message::sparse
                                 : Message::none;
        case Message::node: return field == 5 ? Message::attribute : Message::none;
        case Message::attribute:
            return field == 5 || field == 10    ? Message::tensor
                   : field == 6 || field == 11  ? Message::graph
                   : field == 22 || field == 23 ? Message::sparse
                                                : Message::none;
        case Message::sparse: return field == 1 || field == 2 ? Message::tensor : Message::none;
        case Message::tensor: return field == 13 ? Message::entry : Message::none;
        default: return Message::none;
    }
}

constexpr int kMaxDepth = 64;
constexpr std::size_t kMostNodes = std::size_t{1} << 16;
constexpr std::array<std::string_view, 4> kControl{"Loop", "Scan", "If", "SequenceMap"};
// Of ONNX Runtime's own operators those that the export fuses; others read files and run loops (EPContext, BeamSearch).
constexpr std::array<std::string_view, 13> kFused{
    "Attention",  "BiasGelu",      "FastGelu",           "FusedMatMul",
    "Gelu",       "LayerNormalization", "MultiHeadAttention", "QuickGelu",
    "SimplifiedLayerNormalization", "SkipLayerNormalization", "SkipSimplifiedLayerNormalization",
    "DequantizeLinear", "QuantizeLinear"};

class Walker {
public:
    explicit Walker(std::string_view data) : data_(data) {}

    void refuse_operators() const {
        fields(0, data_.size(), [&](std::uint64_t field, std::size_t, std::size_t) {
            if (field == 25) throw std::invalid_argument("it brings functions of its own; inline them");
        });
        std::size_t nodes = 0;
        fields(0, data_.size(), [&](std::uint64_t field, std::size_t first, std::size_t last) {
            if (field != 7) return;
            fields(first, last, [&](std::uint64_t number, std::size_t from, std::size_t to) {
                if (number != 1) return;
                if (++nodes > kMostNodes)
                    throw std::invalid_argument("it has more than " + std::to_string(kMostNodes) + " nodes");
                check_node(from, to);
            });
        });
    }

    std::set<std::string> locations() {
        walk(0, data_.size(), Message::model, 0);
        return std::move(found_);
    }

private:
    void check_node(std::size_t start, std::size_t end) const {
        std::string_view kind, domain;
        bool holds_graph = false;
        fields(start, end, [&](std::uint64_t field, std::size_t first, std::size_t last) {
            if (field == 4) kind = data_.substr(first, last - first);
            if (field == 7) domain = data_.substr(first, last - first);
            if (field == 5)
                fields(first, last, [&](std::uint64_t number, std::size_t, std::size_t) {
                    holds_graph = holds_graph || number == 6 || number == 11;
                });
        });
        const bool standard = domain.empty() || domain == "ai.onnx";
        const auto among = [&](const auto& names) { return std::find(names.begin(), names.end(), kind) != names.end(); };
        const std::string name = readable(domain.empty() ? std::string(kind) : std::string(domain) + "." + std::string(kind));
        if (holds_graph || (standard && among(kControl)))
            throw std::invalid_argument("the operator '" + name + "' holds a graph of its own, which no bundle needs");
        if (!standard && !(domain == "com.microsoft" && among(kFused)))
            throw std::invalid_argument("the operator '" + name + "' is none of those that bundles may use");
    }

    std::uint64_t varint(std::size_t& at, std::size_t end) const {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 70; shift += 7) {
            if (at >= end) throw std::invalid_argument("the file is truncated");
            const auto byte = static_cast<unsigned char>(data_[at++]);
            if (shift < 64) value |= std::uint64_t{byte & 0x7Fu} << shift;
            if (byte < 0x80) return value;
        }
        throw std::invalid_argument("a number at byte " + std::to_string(at) + " is too long");
    }

    // Calls see(field, first byte, end) for every length-delimited field; others are skipped.
    template <typename See>
    void fields(std::size_t start, std::size_t end, See&& see) const {
        std::size_t at = start;
        while (at < end) {
            const std::uint64_t key = varint(at, end);
            const auto wire = static_cast<unsigned>(key & 7);
            if (wire == 0) {
                varint(at, end);
            } else if (wire == 2) {
                const std::uint64_t length = varint(at, end);
                if (length > end - at)
                    throw std::invalid_argument("a field at byte " + std::to_string(at) + " runs past its end");
                const std::size_t last = at + static_cast<std::size_t>(length);
                see(key >> 3, at, last);
                at = last;
            } else if (wire == 1 || wire == 5) {
                const std::size_t size = wire == 1 ? 8 : 4;
                if (size > end - at) throw std::invalid_argument("the file is truncated");
                at += size;
            } else {
                throw std::invalid_argument("unknown wire type " + std::to_string(wire) + " at byte " +
                                            std::to_string(at));
            }
        }
    }

    void walk(std::size_t start, std::size_t end, Message message, int depth) {
        if (depth > kMaxDepth) throw std::invalid_argument("graphs are nested too deep");
        fields(start, end, [&](std::uint64_t field, std::size_t first, std::size_t last) {
            const Message inner = inside(message, field);
            if (inner == Message::entry) {
                std::string key, value;
                fields(first, last, [&](std::uint64_t number, std::size_t from, std::size_t to) {
                    if (number == 1) key = data_.substr(from, to - from);
                    if (number == 2) value = data_.substr(from, to - from);
                });
                if (key == "location") found_.insert(value);
            } else if (inner != Message::none) {
                walk(first, last, inner, depth + 1);
            }
        });
    }

    std::string_view data_;
    std::set<std::string> found_;
};

}  // namespace

void refuse_operators(std::string_view onnx) {
    if (onnx.empty()) throw std::invalid_argument("the file is empty");
    Walker(onnx).refuse_operators();
}

std::set<std::string> external_locations(std::string_view onnx) { return Walker(onnx).locations(); }

}  // namespace realm
