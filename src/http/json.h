#pragma once
#include <charconv>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/describe.hpp>
#include <boost/json.hpp>
#include <boost/mp11.hpp>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/id.h"
#include "base/secret.h"
#include "obs/log.h"

/// Described C++ types to and from JSON, with every broken rule named by its JSON pointer, and the
/// JSON Schema of the type for the OpenAPI document. The type is the rule: Text<1, 200> is a text
/// of 1 to 200 characters.
namespace coditect::http {

namespace json = boost::json;

/// Text of Min to Max characters (code points), without control characters but tab and newline.
template <std::size_t Min, std::size_t Max>
struct Text {
  std::string value;
};
/// A list of at most Max items.
template <class T, std::size_t Max>
struct List {
  std::vector<T> items;
};
/// A whole number within bounds.
template <std::int64_t Min, std::int64_t Max>
struct Int {
  std::int64_t value = 0;
};
/// A member of a JSON merge patch (RFC 7396): absent, or a value; Field<std::optional<T>> may also
/// be null.
template <class T>
struct Field {
  std::optional<T> value;
  bool present() const { return value.has_value(); }
  const T& operator*() const { return *value; }
};
/// JSON kept as it is, e.g. of the activity trail.
struct RawJson {
  std::string text = "null";
};

using FieldErrors = std::vector<FieldError>;
/// More broken rules are not listed: an answer must not outgrow its request.
inline constexpr std::size_t kMaxFieldErrors = 20;

template <class T>
struct JsonType;

namespace detail {

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <class T>
inline constexpr bool is_field = false;
template <class T>
inline constexpr bool is_field<Field<T>> = true;

inline std::nullopt_t wrong_type(const std::string& at, std::string_view wanted,
                                 FieldErrors& errors) {
  errors.push_back({at, "wrong_type", "must be " + std::string(wanted)});
  return std::nullopt;
}

std::optional<std::string> read_text(const json::value& v, const std::string& at,
                                     FieldErrors& errors, std::size_t min, std::size_t max);
void unknown_member(std::string_view name, const std::string& at,
                    const std::vector<std::string>& known, FieldErrors& errors);
std::string pointer(const std::string& at, std::string_view member);

template <class T>
using Members = boost::describe::describe_members<T, boost::describe::mod_public |
                                                         boost::describe::mod_inherited>;

}  // namespace detail

template <>
struct JsonType<std::string> {
  static std::optional<std::string> read(const json::value& v, const std::string& at,
                                         FieldErrors& e) {
    return detail::read_text(v, at, e, 0, 10000);
  }
  static void write(std::string& out, const std::string& v) { obs::append_json_string(out, v); }
  static json::object schema() { return {{"type", "string"}}; }
};
template <>
struct JsonType<Secret> {
  static std::optional<Secret> read(const json::value& v, const std::string& at, FieldErrors& e) {
    auto text = detail::read_text(v, at, e, 1, 1024);
    if (!text) return std::nullopt;
    return Secret(std::move(*text));
  }
  static json::object schema() { return {{"type", "string"}, {"format", "password"}}; }
};
template <std::size_t Min, std::size_t Max>
struct JsonType<Text<Min, Max>> {
  static std::optional<Text<Min, Max>> read(const json::value& v, const std::string& at,
                                            FieldErrors& e) {
    auto text = detail::read_text(v, at, e, Min, Max);
    if (!text) return std::nullopt;
    return Text<Min, Max>{std::move(*text)};
  }
  static void write(std::string& out, const Text<Min, Max>& v) {
    obs::append_json_string(out, v.value);
  }
  static json::object schema() {
    return {{"type", "string"}, {"minLength", Min}, {"maxLength", Max}};
  }
};
template <>
struct JsonType<bool> {
  static std::optional<bool> read(const json::value& v, const std::string& at, FieldErrors& e) {
    if (!v.is_bool()) return detail::wrong_type(at, "true or false", e);
    return v.get_bool();
  }
  static void write(std::string& out, bool v) { out += v ? "true" : "false"; }
  static json::object schema() { return {{"type", "boolean"}}; }
};
template <std::int64_t Min, std::int64_t Max>
struct JsonType<Int<Min, Max>> {
  static std::optional<Int<Min, Max>> read(const json::value& v, const std::string& at,
                                           FieldErrors& e) {
    boost::system::error_code ec;
    const auto n = v.is_double() ? 0 : v.to_number<std::int64_t>(ec);
    if (v.is_double() || ec) return detail::wrong_type(at, "a whole number", e);
    if (n < Min || n > Max) {
      e.push_back(
          {at, "out_of_range", "must be " + std::to_string(Min) + " to " + std::to_string(Max)});
      return std::nullopt;
    }
    return Int<Min, Max>{n};
  }
  static void write(std::string& out, const Int<Min, Max>& v) { out += std::to_string(v.value); }
  static json::object schema() { return {{"type", "integer"}, {"minimum", Min}, {"maximum", Max}}; }
};
template <>
struct JsonType<std::int64_t> {
  static void write(std::string& out, std::int64_t v) { out += std::to_string(v); }
  static json::object schema() { return {{"type", "integer"}}; }
};
template <class Tag>
struct JsonType<Id<Tag>> {
  static std::optional<Id<Tag>> read(const json::value& v, const std::string& at, FieldErrors& e) {
    const auto id = v.is_string() ? Id<Tag>::parse(v.get_string()) : std::nullopt;
    if (!id)
      e.push_back(
          {at, "invalid_id", "must be an id that starts with " + std::string(Tag::prefix) + "_"});
    return id;
  }
  static void write(std::string& out, const Id<Tag>& v) {
    out += '"';
    out += Tag::prefix;
    out += '_';
    append_base32(out, v.uuid());
    out += '"';
  }
  static json::object schema() {
    return {{"type", "string"},
            {"pattern", "^" + std::string(Tag::prefix) + "_[0-7][0-9a-hjkmnp-tv-z]{25}$"}};
  }
};
template <>
struct JsonType<Timestamp> {
  static std::optional<Timestamp> read(const json::value& v, const std::string& at,
                                       FieldErrors& e) {
    const auto t = v.is_string() ? parse_rfc3339(v.get_string()) : std::nullopt;
    if (!t)
      e.push_back({at, "invalid_time", "must be a time such as 2026-01-02T03:04:05Z (RFC 3339)"});
    return t;
  }
  static void write(std::string& out, Timestamp v) {
    out += '"';
    append_rfc3339(out, v);
    out += '"';
  }
  static json::object schema() { return {{"type", "string"}, {"format", "date-time"}}; }
};
template <>
struct JsonType<Date> {
  static std::optional<Date> read(const json::value& v, const std::string& at, FieldErrors& e) {
    const auto d = v.is_string() ? parse_iso_date(v.get_string()) : std::nullopt;
    if (!d) e.push_back({at, "invalid_date", "must be a day such as 2026-01-02"});
    return d;
  }
  static void write(std::string& out, Date v) { out += '"' + to_iso_date(v) + '"'; }
  static json::object schema() { return {{"type", "string"}, {"format", "date"}}; }
};
template <>
struct JsonType<RawJson> {
  static void write(std::string& out, const RawJson& v) { out += v.text; }
  static json::object schema() { return {}; }
};
template <class E>
  requires std::is_enum_v<E>
struct JsonType<E> {
  static std::string names() {
    std::string out;
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<E>>(
        [&](auto d) { out += (out.empty() ? "" : ", ") + std::string(d.name); });
    return out;
  }
  static std::optional<E> read(const json::value& v, const std::string& at, FieldErrors& e) {
    E value{};
    if (!v.is_string()) return detail::wrong_type(at, "one of " + names(), e);
    // c_str() ends at a NUL, which JSON may have inside.
    if (!boost::describe::enum_from_string(v.get_string().c_str(), value) ||
        boost::describe::enum_to_string(value, "") != v.get_string()) {
      e.push_back({at, "unknown_value", "must be one of " + names()});
      return std::nullopt;
    }
    return value;
  }
  static void write(std::string& out, E v) {
    out += '"';
    out += boost::describe::enum_to_string(v, "");
    out += '"';
  }
  static json::object schema() {
    json::array list;
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<E>>(
        [&](auto d) { list.emplace_back(d.name); });
    return {{"type", "string"}, {"enum", std::move(list)}};
  }
};
template <class T>
struct JsonType<std::optional<T>> {
  /// The outer optional: whether it could be read; the inner: whether it was null.
  static std::optional<std::optional<T>> read(const json::value& v, const std::string& at,
                                              FieldErrors& e) {
    if (v.is_null()) return std::optional<std::optional<T>>(std::in_place);
    auto inner = JsonType<T>::read(v, at, e);
    if (!inner) return std::nullopt;
    return std::optional<std::optional<T>>(std::in_place, std::move(inner));
  }
  static void write(std::string& out, const std::optional<T>& v) {
    if (v)
      JsonType<T>::write(out, *v);
    else
      out += "null";
  }
  static json::object schema() {
    auto inner = JsonType<T>::schema();
    if (inner.contains("type") && inner["type"].is_string() && !inner.contains("enum"))
      inner["type"] = json::array{inner["type"], "null"};
    else
      inner = {{"anyOf", {std::move(inner), {{"type", "null"}}}}};
    return inner;
  }
};
template <class T>
struct JsonType<Field<T>> {
  static std::optional<Field<T>> read(const json::value& v, const std::string& at, FieldErrors& e) {
    auto value = JsonType<T>::read(v, at, e);
    if (!value) return std::nullopt;
    return Field<T>{std::move(value)};
  }
  static json::object schema() { return JsonType<T>::schema(); }
};
template <class T>
struct JsonType<std::vector<T>> {
  static void write(std::string& out, const std::vector<T>& v) {
    out += '[';
    for (const auto& item : v) {
      if (&item != v.data()) out += ',';
      JsonType<T>::write(out, item);
    }
    out += ']';
  }
  static json::object schema() { return {{"type", "array"}, {"items", JsonType<T>::schema()}}; }
};
template <class T, std::size_t Max>
struct JsonType<List<T, Max>> {
  static std::optional<List<T, Max>> read(const json::value& v, const std::string& at,
                                          FieldErrors& e) {
    if (!v.is_array()) return detail::wrong_type(at, "a list", e);
    const auto& array = v.get_array();
    if (array.size() > Max) {
      e.push_back({at, "too_many", "must have at most " + std::to_string(Max) + " items"});
      return std::nullopt;
    }
    List<T, Max> out;
    for (std::size_t i = 0; i < array.size() && e.size() < kMaxFieldErrors; ++i)
      if (auto item = JsonType<T>::read(array[i], at + "/" + std::to_string(i), e))
        out.items.push_back(std::move(*item));
    return out.items.size() == array.size() ? std::optional(std::move(out)) : std::nullopt;
  }
  static void write(std::string& out, const List<T, Max>& v) {
    JsonType<std::vector<T>>::write(out, v.items);
  }
  static json::object schema() {
    return {{"type", "array"}, {"items", JsonType<T>::schema()}, {"maxItems", Max}};
  }
};

/// Described structs: an object whose members are the struct's. Unknown members are refused by
/// name; std::optional and Field members may be absent.
template <class T>
  requires boost::describe::has_describe_members<T>::value
struct JsonType<T> {
  static std::optional<T> read(const json::value& v, const std::string& at, FieldErrors& e) {
    if (!v.is_object()) return detail::wrong_type(at, "an object", e);
    const auto& object = v.get_object();
    const auto before = e.size();
    T out{};
    std::vector<std::string> known;
    boost::mp11::mp_for_each<detail::Members<T>>([&](auto member) {
      using Value = std::remove_reference_t<decltype(out.*member.pointer)>;
      known.emplace_back(member.name);
      const auto* found = object.if_contains(member.name);
      if (found == nullptr) {
        if constexpr (!detail::is_optional<Value> && !detail::is_field<Value>)
          e.push_back({detail::pointer(at, member.name), "missing", "is required"});
        return;
      }
      if (auto value = JsonType<Value>::read(*found, detail::pointer(at, member.name), e))
        out.*member.pointer = std::move(*value);
    });
    for (const auto& [name, value] : object) {
      if (e.size() >= kMaxFieldErrors) break;
      if (std::ranges::find(known, std::string_view(name)) == known.end())
        detail::unknown_member(name, at, known, e);
    }
    if (e.size() != before) return std::nullopt;
    return out;
  }
  static void write(std::string& out, const T& v) {
    out += '{';
    bool first = true;
    boost::mp11::mp_for_each<detail::Members<T>>([&](auto member) {
      if (!std::exchange(first, false)) out += ',';
      out += '"';
      out += member.name;
      out += "\":";
      JsonType<std::remove_cvref_t<decltype(v.*member.pointer)>>::write(out, v.*member.pointer);
    });
    out += '}';
  }
  static json::object schema() {
    json::object properties;
    json::array required;
    boost::mp11::mp_for_each<detail::Members<T>>([&](auto member) {
      using Value = std::remove_cvref_t<decltype(std::declval<T&>().*member.pointer)>;
      properties[member.name] = JsonType<Value>::schema();
      if constexpr (!detail::is_optional<Value> && !detail::is_field<Value>)
        required.emplace_back(member.name);
    });
    json::object out{
        {"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
    if (!required.empty()) out["required"] = std::move(required);
    return out;
  }
};

/// Parses a body: valid UTF-8 JSON, at most 16 levels deep, no member twice in an object.
coditect::Result<json::value> parse_json(std::string_view text);

/// The body as a T; throws a Failure that names each broken rule.
template <class T>
T read_json(std::string_view text) {
  auto value = parse_json(text);
  if (!value) throw Failure(std::move(value.error()));
  FieldErrors errors;
  auto out = JsonType<T>::read(*value, "", errors);
  if (!out)
    throw Failure({Code::invalid_argument, "validation_failed",
                   "the body breaks the rules named in errors", std::move(errors)});
  return std::move(*out);
}

template <class T>
std::string to_json(const T& value) {
  std::string out;
  JsonType<T>::write(out, value);
  return out;
}

}  // namespace coditect::http
