#include "json.h"

#include <algorithm>
#include <charconv>

#include "bytes.h"
#include "text.h"

namespace ddpm {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

void append_utf8(std::string& text, uint32_t code) {
    if (code < 0x80) {
        text += char(code);
        return;
    }
    const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;  // bytes after the first
    text += char(uint8_t(0xFFu << (7 - more)) | code >> 6 * more);
    for (int k = more; k-- > 0;) text += char(0x80 | (code >> 6 * k & 63));
}

class JsonReader {
  public:
    explicit JsonReader(std::string_view text) : text_(text) {}

    Json document() {
        if (!is_utf8(text_)) refuse("text that is not UTF-8");
        Json json = value(0);
        skip_space();
        if (at_ < text_.size()) refuse("bytes after the end");
        return json;
    }

  private:
    [[noreturn]] void refuse(const std::string& problem) const {
        throw Error(Fault::FORMAT, "no valid JSON: " + problem + ", at byte " + std::to_string(at_));
    }

    // The next character; NUL at the end, which no JSON has outside of strings.
    char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

    bool skip(char c) {
        if (peek() != c) return false;
        at_++;
        return true;
    }

    void skip_space() {
        while (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r') at_++;
    }

    void require(char c) {
        if (!skip(c)) refuse(std::string("no ") + c);
    }

    Json value(int depth) {
        skip_space();
        const char c = peek();
        if (c == '{') return {object(depth + 1)};
        if (c == '[') return {array(depth + 1)};
        if (c == '"') return {string()};
        if (c == '-' || is_digit(c)) return number();
        return word();
    }

    Json word() {
        if (skip_word("null")) return {nullptr};
        if (skip_word("true")) return {true};
        if (skip_word("false")) return {false};
        refuse("no value");
    }

    bool skip_word(std::string_view word) {
        if (!text_.substr(at_).starts_with(word)) return false;
        at_ += word.size();
        return true;
    }

    void require_depth(int depth) const {
        if (depth > MAX_JSON_DEPTH) refuse("more than " + std::to_string(MAX_JSON_DEPTH) + " values inside each other");
    }

    // Calls `element` for each one up to the closing character.
    template <class Element> void elements(char open, char close, Element element) {
        require(open);
        skip_space();
        if (skip(close)) return;
        do {
            element();
            skip_space();
        } while (skip(','));
        require(close);
    }

    JsonArray array(int depth) {
        require_depth(depth);
        JsonArray values;
        elements('[', ']', [&] { values.push_back(value(depth)); });
        return values;
    }

    JsonObject object(int depth) {
        require_depth(depth);
        JsonObject members;
        elements('{', '}', [&] {
            skip_space();
            std::string key = string();
            skip_space();
            require(':');
            members.emplace_back(std::move(key), value(depth));
        });
        std::ranges::sort(members, {}, &JsonObject::value_type::first);
        if (std::ranges::adjacent_find(members, {}, &JsonObject::value_type::first) != members.end()) refuse("one key twice in an object");
        return members;
    }

    std::string string() {
        require('"');
        std::string text;
        for (;;) {
            if (at_ == text_.size()) refuse("a string without an end");
            const char c = text_[at_++];
            if (c == '"') return text;
            if (uint8_t(c) < 0x20) refuse("a control character in a string");
            if (c == '\\')
                append_escaped(text);
            else
                text += c;
        }
    }

    void append_escaped(std::string& text) {
        static constexpr std::string_view NAMES = "\"\\/bfnrt", CHARACTERS = "\"\\/\b\f\n\r\t";
        const char name = peek();
        at_++;
        if (name == 'u') return append_utf8(text, escaped_code());
        const size_t k = NAMES.find(name);
        if (k == NAMES.npos) refuse("an unknown escape in a string");
        text += CHARACTERS[k];
    }

    // A character by its number, or by the two halves of a surrogate pair.
    uint32_t escaped_code() {
        const uint32_t code = hexadecimal();
        if (!is_surrogate(code)) return code;
        if (code >= 0xDC00 || !skip('\\') || !skip('u')) refuse("half of a surrogate pair");
        const uint32_t low = hexadecimal();
        if (low < 0xDC00 || !is_surrogate(low)) refuse("half of a surrogate pair");
        return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }

    uint32_t hexadecimal() {
        constexpr size_t DIGITS = 4;
        const std::string_view digits = text_.substr(std::min(at_, text_.size()), DIGITS);
        uint32_t code = 0;
        const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
        if (digits.size() < DIGITS || end.ptr != digits.data() + DIGITS) refuse("an escape without four hexadecimal digits");
        at_ += DIGITS;
        return code;
    }

    void require_digits() {
        if (!is_digit(peek())) refuse("a number without a digit");
        while (is_digit(peek())) at_++;
    }

    Json number() {
        const size_t start = at_;
        skip('-');
        if (!skip('0')) require_digits();
        const size_t end = at_;
        if (skip('.')) require_digits();
        if (skip('e') || skip('E')) {
            if (!skip('+')) skip('-');
            require_digits();
        }
        int64_t integer = 0;
        const bool is_small = std::from_chars(text_.data() + start, text_.data() + end, integer).ec == std::errc();
        return at_ == end && is_small ? Json{integer} : Json{JsonNumber{}};
    }

    const std::string_view text_;
    size_t at_ = 0;
};

}  // namespace

const Json* Json::find(std::string_view key) const {
    const JsonObject* members = object();
    if (!members) return nullptr;
    const auto found = std::ranges::lower_bound(*members, key, {}, [](const auto& member) { return std::string_view(member.first); });
    return found != members->end() && found->first == key ? &found->second : nullptr;
}

Json parse_json(std::string_view text) { return JsonReader(text).document(); }

}  // namespace ddpm
