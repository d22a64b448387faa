#include "descriptions.hpp"

#include <algorithm>

#include "files.hpp"
#include "realm/error.hpp"
#include "text_format.hpp"
#include "unicode.hpp"

namespace realm {
namespace {

constexpr std::uint64_t kMaxBytes = std::uint64_t{256} << 20;
constexpr std::size_t kMaxFieldChars = 131072;  // Python's csv.field_size_limit()

std::vector<std::string> parts_of(const std::string& path) {
    std::vector<std::string> parts;
    for (std::size_t at = 0; at < path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        if (end > at) parts.push_back(path.substr(at, end - at));
        at = end + 1;
    }
    return parts;
}

// Whether two relative paths may name one folder from different bases: the shorter ends the longer.
bool same_folder(const std::string& row, const std::string& image) {
    const std::string row_parent = parent_of(row), image_parent = parent_of(image);
    auto one = parts_of(row_parent == "." ? "" : row_parent), other = parts_of(image_parent == "." ? "" : image_parent);
    if (one.size() > other.size()) std::swap(one, other);
    return std::equal(one.rbegin(), one.rend(), other.rbegin());
}

// CSV as Python's csv module reads it in its strict mode: one record at a time, and the lines it took.
class CsvReader {
public:
    CsvReader(std::string_view text, std::string where) : text_(text), where_(std::move(where)) {}

    std::size_t lines() const { return lines_; }

    bool next(std::vector<std::string>& fields) {
        fields.clear();
        if (at_ >= text_.size()) return false;
        std::string field;
        bool started = false, quoted = false, closed = false;
        const auto finish = [&] {
            check_size(field);
            fields.push_back(std::move(field));
            field.clear();
            closed = false;
        };
        while (at_ < text_.size()) {
            const char each = text_[at_];
            const bool line_end = each == '\n' || each == '\r';
            if (quoted) {
                if (each == '"') {
                    quoted = false;
                    closed = true;
                } else if (line_end) {
                    field += take_line_end();
                    continue;
                } else {
                    field += each;
                }
                ++at_;
            } else if (line_end) {
                take_line_end();
                if (started) finish();
                return true;
            } else if (each == ',') {
                ++at_;
                started = true;
                finish();
            } else if (each == '"' && closed) {  // a doubled quote stands for one
                field += '"';
                quoted = true;
                closed = false;
                ++at_;
            } else if (closed) {
                throw TextError(where_ + ": not a readable CSV (',' expected after '\"')");
            } else if (each == '"' && field.empty() && at_field_start()) {
                started = quoted = true;
                ++at_;
            } else {
                started = true;
                field += each;
                ++at_;
            }
        }
        if (quoted) throw TextError(where_ + ": not a readable CSV (unexpected end of data)");
        ++lines_;
        if (started) finish();
        return true;
    }

private:
    bool at_field_start() const { return at_ == 0 || text_[at_ - 1] == ',' || text_[at_ - 1] == '\n' || text_[at_ - 1] == '\r'; }

    std::string_view take_line_end() {
        const std::size_t length = text_.substr(at_, 2) == "\r\n" ? 2 : 1;
        const std::string_view taken = text_.substr(at_, length);
        at_ += length;
        ++lines_;
        return taken;
    }

    void check_size(const std::string& field) const {
        const auto chars = std::count_if(field.begin(), field.end(),
                                         [](char each) { return (static_cast<unsigned char>(each) & 0xC0U) != 0x80U; });
        if (static_cast<std::size_t>(chars) > kMaxFieldChars)
            throw TextError(where_ + ": not a readable CSV (field larger than field limit (131072))");
    }

    std::string_view text_;
    std::string where_;
    std::size_t at_ = 0, lines_ = 0;
};

std::string lower_ascii(std::string text) {
    for (char& each : text)
        if (each >= 'A' && each <= 'Z') each = static_cast<char>(each - 'A' + 'a');
    return text;
}

std::string stripped(const std::string& text) { return std::string(unicode::strip(text)); }

}  // namespace

std::string plain_path(std::string_view path) {
    const bool absolute = !path.empty() && path.front() == '/';
    std::string result = absolute ? "/" : "";
    for (const std::string& part : parts_of(std::string(path))) {
        if (part == ".") continue;
        if (!result.empty() && result.back() != '/') result += '/';
        result += part;
    }
    return result.empty() ? "." : result;
}

std::string parent_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::string stem_of(const std::string& path) {
    const std::string name = name_of(path);
    const std::size_t dot = name.rfind('.');
    return dot == std::string::npos || dot == 0 || dot + 1 == name.size() ? name : name.substr(0, dot);
}

std::string join(const std::string& folder, const std::string& name) {
    if (folder == ".") return name;
    return folder.back() == '/' ? folder + name : folder + "/" + name;
}

std::optional<std::string> Descriptions::lookup(const std::string& given) const {
    const std::string path = plain_path(given), bare = name_of(path);
    for (const std::string& key : {path, bare})
        if (const auto found = by_name.find(key); found != by_name.end()) return found->second;
    std::vector<std::string> rows;
    for (const auto& [key, text] : by_name)
        if (stem_of(key) == stem_of(path) && same_folder(key, path)) rows.push_back(key);
    std::vector<std::string> same_name, same_parent;
    for (const std::string& row : rows) {
        if (name_of(row) == bare) same_name.push_back(row);
        if (parent_of(row) == parent_of(path)) same_parent.push_back(row);
    }
    for (std::vector<std::string>* matches : {&same_name, &same_parent, &rows}) {
        if (matches->size() == 1) return by_name.at(matches->front());
        if (matches->empty()) continue;
        std::sort(matches->begin(), matches->end());
        matches->resize(std::min<std::size_t>(matches->size(), 3));
        throw TextError(source + ": " + path + " matches several rows (" + joined(*matches) +
                        "); write the full path");
    }
    return std::nullopt;
}

Descriptions read_descriptions(const std::string& path) {
    const FileContent content = read_file(path, kMaxBytes);
    if (content.error_number != 0)
        throw TextError(path + ": cannot be read (" + system_message(content.error_number) + "); give a CSV file");
    if (content.too_large) throw TextError(path + ": cannot be read (more than 256 MiB); give a CSV file");
    std::string_view text(reinterpret_cast<const char*>(content.bytes.data()), content.bytes.size());
    if (const std::size_t at = unicode::invalid_at(text); at != std::string_view::npos)
        throw TextError(path + ": not UTF-8 text (byte " + std::to_string(at) + "); save it as CSV in UTF-8");
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    if (text.substr(0, kByteOrderMark.size()) == kByteOrderMark) text.remove_prefix(kByteOrderMark.size());
    CsvReader reader(text, path);
    std::vector<std::string> header;
    reader.next(header);
    for (std::string& column : header) column = lower_ascii(stripped(column));
    std::vector<std::size_t> columns;
    std::vector<std::string> missing;
    for (const char* wanted : {"filename", "description"}) {
        const auto found = std::find(header.begin(), header.end(), wanted);
        if (found == header.end()) missing.push_back(in_quotes(wanted));
        columns.push_back(static_cast<std::size_t>(found - header.begin()));
    }
    if (!missing.empty())
        throw TextError(path + ": no column " + joined(missing, " and ") + " (found " +
                        (header.empty() ? "an empty file" : joined(header)) + "); add it to line 1");
    Descriptions result;
    result.source = path;
    std::map<std::string, std::size_t> lines;
    std::vector<std::string> row;
    for (std::size_t start = reader.lines() + 1; reader.next(row); start = reader.lines() + 1) {
        if (row.empty()) continue;
        const std::string line = path + ", line " + std::to_string(start);
        if (row.size() != header.size())
            throw TextError(line + ": " + std::to_string(row.size()) + " fields, the header has " +
                            std::to_string(header.size()) + "; quote text that holds commas");
        std::string key = stripped(row[columns[0]]);
        std::replace(key.begin(), key.end(), '\\', '/');
        key = plain_path(key);
        if (key == ".") throw TextError(line + ": the file name is empty");
        if (const auto earlier = lines.find(key); earlier != lines.end())
            throw TextError(path + ": " + in_quotes(key) + " stands twice, on lines " +
                            std::to_string(earlier->second) + " and " + std::to_string(start) + "; keep one");
        lines[key] = start;
        result.by_name[key] = stripped(row[columns[1]]);
    }
    return result;
}

}  // namespace realm
