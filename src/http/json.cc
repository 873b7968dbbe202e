#include "http/json.h"

#include <set>

#include <boost/json/basic_parser_impl.hpp>

namespace coditect::http {
namespace {

constexpr std::size_t kMaxDepth = 16;

/// Finds a member that an object has twice: two readers of such a body could see different values.
struct DuplicateFinder {
  static constexpr std::size_t max_object_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_array_size = max_object_size;
  static constexpr std::size_t max_key_size = max_object_size;
  static constexpr std::size_t max_string_size = max_object_size;
  using Error = json::error_code;

  std::vector<std::set<std::string, std::less<>>> open;
  std::string key, duplicate;

  bool on_document_begin(Error&) { return true; }
  bool on_document_end(Error&) { return true; }
  bool on_object_begin(Error&) { return open.emplace_back(), true; }
  bool on_object_end(std::size_t, Error&) { return open.pop_back(), true; }
  bool on_array_begin(Error&) { return true; }
  bool on_array_end(std::size_t, Error&) { return true; }
  bool on_key_part(json::string_view s, std::size_t, Error&) { return key.append(s), true; }
  bool on_key(json::string_view s, std::size_t, Error&) {
    key.append(s);
    if (!open.back().insert(key).second) duplicate = key;
    key.clear();
    return true;
  }
  bool on_string_part(json::string_view, std::size_t, Error&) { return true; }
  bool on_string(json::string_view, std::size_t, Error&) { return true; }
  bool on_number_part(json::string_view, Error&) { return true; }
  bool on_int64(std::int64_t, json::string_view, Error&) { return true; }
  bool on_uint64(std::uint64_t, json::string_view, Error&) { return true; }
  bool on_double(double, json::string_view, Error&) { return true; }
  bool on_bool(bool, Error&) { return true; }
  bool on_null(Error&) { return true; }
  bool on_comment_part(json::string_view, Error&) { return true; }
  bool on_comment(json::string_view, Error&) { return true; }
};

}  // namespace

coditect::Result<json::value> parse_json(std::string_view text) {
  if (text.empty())
    return coditect::error(Code::invalid_argument, "body_missing", "a JSON body is needed");
  json::parse_options options;
  options.max_depth = kMaxDepth;
  json::error_code ec;
  json::basic_parser<DuplicateFinder> finder(options);
  const auto used = finder.write_some(false, text.data(), text.size(), ec);
  if (!ec && used == text.size()) {
    auto value = json::parse(text, ec, {}, options);
    if (!ec && finder.handler().duplicate.empty()) return value;
    if (!ec)
      return std::unexpected(
          Error{Code::invalid_argument,
                "duplicate_member",
                "an object has a member twice",
                {{"/" + finder.handler().duplicate, "duplicate", "is given twice"}}});
  }
  return coditect::error(Code::invalid_argument, "malformed_json",
                         "the body is not valid JSON at byte " + std::to_string(used));
}

namespace detail {

std::string pointer(const std::string& at, std::string_view member) {
  std::string out = at + '/';
  for (const char c : member) {
    if (c == '~')
      out += "~0";
    else if (c == '/')
      out += "~1";
    else
      out += c;
  }
  return out;
}

std::optional<std::string> read_text(const json::value& v, const std::string& at,
                                     FieldErrors& errors, std::size_t min, std::size_t max) {
  if (!v.is_string()) return wrong_type(at, "a text", errors);
  const std::string_view text = v.get_string();
  if (!is_valid_utf8(text)) {
    errors.push_back({at, "invalid_text", "must be valid UTF-8 without U+0000"});
    return std::nullopt;
  }
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r') {
      errors.push_back({at, "invalid_text", "must have no control characters"});
      return std::nullopt;
    }
  }
  const auto length = utf8_length(text);
  if (length < min || (min > 0 && trim(text).empty())) {
    errors.push_back(
        {at, "too_short", "must have at least " + std::to_string(min) + " characters"});
    return std::nullopt;
  }
  if (length > max) {
    errors.push_back({at, "too_long", "must have at most " + std::to_string(max) + " characters"});
    return std::nullopt;
  }
  return std::string(text);
}

void unknown_member(std::string_view name, const std::string& at,
                    const std::vector<std::string>& known, FieldErrors& errors) {
  std::string list;
  for (const auto& k : known) list += (list.empty() ? "" : ", ") + k;
  errors.push_back({pointer(at, name), "unknown_member", "is not known here; known are " + list});
}

}  // namespace detail
}  // namespace coditect::http
