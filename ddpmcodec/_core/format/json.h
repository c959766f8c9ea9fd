// A strict reader of JSON (RFC 8259), as large as model files and profiles of archives need: UTF-8 alone, no key twice, limited depth.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace ddpm {

struct Json;

// A number that is no integer of 64 bits. Its form is checked; nothing here needs its value.
struct JsonNumber {};

using JsonArray = std::vector<Json>;
using JsonObject = std::vector<std::pair<std::string, Json>>;  // sorted by key

struct Json {
    std::variant<std::nullptr_t, bool, int64_t, JsonNumber, std::string, JsonArray, JsonObject> value = nullptr;

    // The value, if it is of this kind; otherwise null.
    const int64_t* integer() const { return std::get_if<int64_t>(&value); }
    const std::string* text() const { return std::get_if<std::string>(&value); }
    const JsonArray* array() const { return std::get_if<JsonArray>(&value); }
    const JsonObject* object() const { return std::get_if<JsonObject>(&value); }

    // A member; null if there is none, or this is no object.
    const Json* find(std::string_view key) const;
};

inline constexpr int MAX_JSON_DEPTH = 32;  // arrays and objects inside each other

// Throws Error (FORMAT).
Json parse_json(std::string_view text);

}  // namespace ddpm
