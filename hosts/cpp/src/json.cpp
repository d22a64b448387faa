#include "json.hpp"

#include "limits.hpp"
#include "text_format.hpp"

namespace realm {

std::string json_problem(std::string_view text, std::size_t most_members) {
    std::size_t depth = 0, members = 0;
    bool in_string = false;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const char each = text[at];
        if (in_string) {
            if (each == '\\') ++at;
            if (each == '"') in_string = false;
        } else if (each == '"') {
            in_string = true;
        } else if (each == '{' || each == '[') {
            if (++depth > limits::kJsonDepth) return "nested deeper than " + std::to_string(limits::kJsonDepth);
        } else if (each == '}' || each == ']') {
            if (depth > 0) --depth;
        } else if (each == ':' && ++members > most_members) {
            return "more than " + std::to_string(most_members) + " members";
        }
    }
    return {};
}

std::string repr(const OrderedJson& value) {
    constexpr std::size_t kLongest = 200;
    std::string text;
    switch (value.type()) {
        case OrderedJson::value_t::null: return "None";
        case OrderedJson::value_t::boolean: return value.get<bool>() ? "True" : "False";
        case OrderedJson::value_t::string: text = in_quotes(value.get_ref<const std::string&>()); break;
        case OrderedJson::value_t::object:
            for (const auto& [key, item] : value.items()) {
                if (text.size() > kLongest) break;
                text += (text.empty() ? "" : ", ") + in_quotes(key) + ": " + repr(item);
            }
            text = "{" + text + "}";
            break;
        case OrderedJson::value_t::array:
            for (const OrderedJson& item : value) {
                if (text.size() > kLongest) break;
                text += (text.empty() ? "" : ", ") + repr(item);
            }
            text = "[" + text + "]";
            break;
        default: text = value.dump();
    }
    return text.size() <= kLongest ? text : text.substr(0, kLongest - 3) + "...";
}

}  // namespace realm
