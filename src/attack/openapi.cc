#include "attack/openapi.h"

#include <algorithm>

namespace coditect::attack {
namespace {

namespace json = boost::json;

std::string text_of(const json::object& o, std::string_view name) {
  const auto* v = o.if_contains(name);
  return v != nullptr && v->is_string() ? std::string(v->get_string()) : std::string();
}

/// Replaces {"$ref": "#/..."} by what it names; a reference to itself ends at some depth.
json::value resolved(const json::value& document, const json::value& v, int depth = 0) {
  if (depth > 12) return json::object{};
  if (const auto* o = v.if_object()) {
    if (const auto ref = text_of(*o, "$ref"); ref.starts_with("#/")) {
      boost::system::error_code ec;
      const auto* found = document.find_pointer(ref.substr(1), ec);
      return found != nullptr ? resolved(document, *found, depth + 1) : json::object{};
    }
    json::object out;
    for (const auto& [key, value] : *o) out[key] = resolved(document, value, depth + 1);
    return out;
  }
  if (const auto* a = v.if_array()) {
    json::array out;
    for (const auto& item : *a) out.push_back(resolved(document, item, depth + 1));
    return out;
  }
  return v;
}

void add_parameters(Operation& op, const json::object& holder) {
  const auto* list = holder.if_contains("parameters");
  if (list == nullptr || !list->is_array()) return;
  for (const auto& item : list->get_array()) {
    if (!item.is_object()) continue;
    const auto& p = item.get_object();
    const auto* schema = p.if_contains("schema");
    op.parameters.push_back(
        {text_of(p, "name"), text_of(p, "in"),
         schema != nullptr && schema->is_object() ? schema->get_object() : json::object{}});
  }
}

void add_body(Operation& op, const json::object& holder) {
  const auto* body = holder.if_contains("requestBody");
  if (body == nullptr || !body->is_object()) return;
  const auto* content = body->get_object().if_contains("content");
  if (content == nullptr || !content->is_object()) return;
  for (const auto& [type, media] : content->get_object()) {
    if (!type.contains("json") || !media.is_object()) continue;
    const auto* schema = media.get_object().if_contains("schema");
    op.body = schema != nullptr && schema->is_object() ? schema->get_object() : json::object{};
    op.body_type = std::string(type);
    return;
  }
}

void add_security(Operation& op, const json::object& holder, const json::object& document) {
  const auto* list = holder.if_contains("security");
  if (list == nullptr) list = document.if_contains("security");
  if (list == nullptr || !list->is_array()) return;
  for (const auto& item : list->get_array())
    if (item.is_object())
      for (const auto& [name, scopes] : item.get_object()) op.security.emplace_back(name);
}

/// The type, without null; empty when any.
std::string type_of(const json::object& schema) {
  const auto* type = schema.if_contains("type");
  if (type == nullptr) return {};
  if (type->is_string()) return std::string(type->get_string());
  if (const auto* list = type->if_array())
    for (const auto& t : *list)
      if (t.is_string() && t.get_string() != "null") return std::string(t.get_string());
  return {};
}

std::int64_t number_of(const json::object& schema, std::string_view name, std::int64_t otherwise) {
  const auto* v = schema.if_contains(name);
  if (v == nullptr || !v->is_number()) return otherwise;
  return v->to_number<std::int64_t>();
}

}  // namespace

std::vector<std::string> Operation::path_parameters() const {
  std::vector<std::string> out;
  for (std::size_t at = 0; (at = path.find('{', at)) != std::string::npos; ++at)
    out.push_back(path.substr(at + 1, path.find('}', at) - at - 1));
  return out;
}

std::string Operation::collection_of(std::string_view name) const {
  return path.substr(0, path.find("/{" + std::string(name) + "}"));
}

bool Operation::takes(std::string_view in, std::string_view name) const {
  return std::ranges::any_of(parameters,
                             [&](const Parameter& p) { return p.in == in && p.name == name; });
}

std::vector<Operation> operations_of(const std::string& text) {
  boost::system::error_code ec;
  const auto document = json::parse(text, ec);
  if (ec || !document.is_object() || !document.get_object().contains("paths") ||
      !document.at("paths").is_object())
    fail(Code::invalid_argument, "openapi_malformed", "the OpenAPI document cannot be read");
  std::vector<Operation> out;
  for (const auto& [path, raw] : document.at("paths").get_object()) {
    const auto item = resolved(document, raw);
    if (!item.is_object()) continue;
    for (const char* method : {"get", "post", "put", "patch", "delete"}) {
      const auto* found = item.get_object().if_contains(method);
      if (found == nullptr || !found->is_object()) continue;
      const auto& o = found->get_object();
      Operation op;
      op.method = method;
      std::ranges::transform(op.method, op.method.begin(),
                             [](char c) { return static_cast<char>(c - 32); });
      op.path = std::string(path);
      op.id = text_of(o, "operationId");
      if (op.id.empty()) op.id = op.method + " " + op.path;
      add_parameters(op, item.get_object());
      add_parameters(op, o);
      add_body(op, o);
      add_security(op, o, document.get_object());
      out.push_back(std::move(op));
    }
  }
  return out;
}

std::string reference_of(const std::string& name, const json::object& schema) {
  const auto pattern = text_of(schema, "pattern");
  if (pattern.starts_with('^')) {
    const auto underscore = pattern.find("_[");
    if (underscore != std::string::npos && underscore > 1) return pattern.substr(1, underscore - 1);
  }
  if (name.ends_with("_id") && name.size() > 3) return name.substr(0, name.size() - 3);
  return {};
}

std::optional<json::value> Examples::make(const std::string& name,
                                          const json::object& schema) const {
  for (const char* choice : {"anyOf", "oneOf", "allOf"})
    if (const auto* list = schema.if_contains(choice); list != nullptr && list->is_array())
      for (const auto& item : list->get_array())
        if (item.is_object() && type_of(item.get_object()) != "null")
          return make(name, item.get_object());
  if (const auto* list = schema.if_contains("enum");
      list != nullptr && list->is_array() && !list->get_array().empty())
    return list->get_array().front();
  const auto type = type_of(schema);
  if (type == "object" || schema.contains("properties")) {
    json::object out;
    std::vector<std::string> required;
    if (const auto* list = schema.if_contains("required"); list != nullptr && list->is_array())
      for (const auto& r : list->get_array()) required.emplace_back(r.get_string());
    if (const auto* members = schema.if_contains("properties");
        members != nullptr && members->is_object())
      for (const auto& [member, inner] : members->get_object()) {
        const std::string key(member);
        auto value = inner.is_object() ? make(key, inner.get_object()) : std::nullopt;
        if (value)
          out[key] = std::move(*value);
        else if (std::ranges::find(required, key) != required.end())
          return std::nullopt;
      }
    return out;
  }
  if (type == "array") {
    const auto* items = schema.if_contains("items");
    if (items == nullptr || !items->is_object()) return json::array{};
    auto one = make(name, items->get_object());
    if (!one) return std::nullopt;
    return json::array{std::move(*one)};
  }
  if (type == "integer" || type == "number") return number_of(schema, "minimum", 1);
  if (type == "boolean") return true;
  if (const auto noun = reference_of(name, schema); !noun.empty()) {
    auto id = refer(noun);
    if (!id) return std::nullopt;
    return json::value(*id);
  }
  const auto format = text_of(schema, "format");
  if (format == "date-time") return "2099-01-02T03:04:05Z";
  if (format == "date") return "2099-01-02";
  if (format == "password") return "correct horse battery staple";
  auto value = text(format == "email" ? "email" : name);
  if (const auto most = number_of(schema, "maxLength", 1000); std::ssize(value) > most)
    value.resize(static_cast<std::size_t>(most));
  return json::value(value);
}

}  // namespace coditect::attack
