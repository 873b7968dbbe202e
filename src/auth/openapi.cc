#include "auth/routes.h"

namespace coditect::auth {
namespace {

namespace json = boost::json;

json::object problem_schema() {
  return {{"type", "object"},
          {"description", "RFC 9457 problem details"},
          {"properties",
           {{"type", {{"type", "string"}}},
            {"title", {{"type", "string"}}},
            {"status", {{"type", "integer"}}},
            {"code", {{"type", "string"}, {"description", "stable machine word"}}},
            {"detail", {{"type", "string"}}},
            {"request_id", {{"type", "string"}}},
            {"errors",
             {{"type", "array"},
              {"items",
               {{"type", "object"},
                {"properties",
                 {{"pointer",
                   {{"type", "string"},
                    {"description", "JSON pointer into the body, or a parameter's name"}}},
                  {"code", {{"type", "string"}}},
                  {"message", {{"type", "string"}}}}}}}}}}},
          {"required", {"type", "title", "status", "code", "request_id"}}};
}

json::object parameter(std::string_view in, std::string_view name, std::string_view description,
                       bool required) {
  return {{"in", in},
          {"name", name},
          {"description", description},
          {"required", required},
          {"schema", {{"type", "string"}}}};
}

json::object query_parameter(const QueryParameter& q) {
  auto out = parameter("query", q.name, q.description, false);
  auto& schema = out["schema"].get_object();
  if (!q.values.empty()) schema["enum"] = json::value_from(q.values);
  if (!q.refers.empty()) schema["pattern"] = "^" + q.refers + "_[0-7][0-9a-hjkmnp-tv-z]{25}$";
  return out;
}

json::array parameters_of(const Routes::Route& r) {
  json::array out;
  for (std::size_t at = r.path.find('{'); at != std::string::npos; at = r.path.find('{', at + 1))
    out.push_back(
        parameter("path", r.path.substr(at + 1, r.path.find('}', at) - at - 1), "", true));
  for (const auto& q : r.doc.query) out.push_back(query_parameter(q));
  if (r.method == "POST")
    out.push_back(parameter("header", "Idempotency-Key",
                            "makes the request safe to repeat for 24 hours", false));
  if (r.method == "PATCH")
    out.push_back(parameter("header", "If-Match", "the ETag that was read", false));
  if (r.operators && r.method != "GET")
    out.push_back(parameter("header", "X-Reason", "why; kept in the operator log", true));
  return out;
}

json::array security_of(const Routes::Route& r) {
  if (r.permission) return {{{"api_key", json::array{}}}, {{"session", json::array{}}}};
  if (r.user) return {{{"session", json::array{}}}};
  if (r.operators) return {{{"operator_key", json::array{}}}};
  return {};
}

json::object operation_of(const Routes::Route& r) {
  json::object responses;
  json::object ok{{"description", r.doc.status == 204 ? "Done" : "OK"}};
  if (r.answer) ok["content"] = {{"application/json", {{"schema", *r.answer}}}};
  responses[std::to_string(r.doc.status)] = std::move(ok);
  responses["default"] = {
      {"description", "A problem"},
      {"content",
       {{"application/problem+json", {{"schema", {{"$ref", "#/components/schemas/Problem"}}}}}}}};
  json::object out{{"operationId", r.doc.id},
                   {"summary", r.doc.summary},
                   {"tags", json::array{json::string(r.doc.tag)}},
                   {"parameters", parameters_of(r)},
                   {"responses", std::move(responses)},
                   {"security", security_of(r)}};
  if (r.permission) out["x-permission"] = boost::describe::enum_to_string(*r.permission, "");
  if (r.body) {
    const char* type = r.method == "PATCH" ? "application/merge-patch+json" : "application/json";
    out["requestBody"] = {{"required", true}, {"content", {{type, {{"schema", *r.body}}}}}};
  }
  return out;
}

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

/// A JSON value with line breaks, for reading.
void pretty(std::string& out, const json::value& v, int indent) {
  const std::string pad(static_cast<std::size_t>(indent) * 2, ' ');
  if (v.is_object() && !v.get_object().empty()) {
    out += "{\n";
    bool first = true;
    for (const auto& [key, value] : v.get_object()) {
      if (!std::exchange(first, false)) out += ",\n";
      out += pad + "  " + json::serialize(json::string(key)) + ": ";
      pretty(out, value, indent + 1);
    }
    out += "\n" + pad + "}";
  } else {
    out += json::serialize(v);
  }
}

/// The schema as an example: names and types, not the whole JSON Schema.
json::value example_of(const json::value& schema) {
  if (!schema.is_object()) return nullptr;
  const auto& o = schema.get_object();
  if (const auto* any = o.if_contains("anyOf")) return example_of(any->at(0));
  if (const auto* list = o.if_contains("enum")) {
    std::string all;
    for (const auto& item : list->as_array())
      all += (all.empty() ? "" : " | ") + std::string(item.as_string());
    return json::string(all);
  }
  const auto* type = o.if_contains("type");
  if (type == nullptr) return "any";
  const std::string name(type->is_array() ? type->at(0).as_string() : type->as_string());
  if (name == "object") {
    json::object out;
    for (const auto& [key, value] : o.at("properties").as_object()) out[key] = example_of(value);
    return out;
  }
  if (name == "array") return json::array{example_of(o.at("items"))};
  const auto* format = o.if_contains("format");
  const auto* pattern = o.if_contains("pattern");
  std::string text = format != nullptr    ? std::string(format->as_string())
                     : pattern != nullptr ? "id"
                                          : name;
  if (type->is_array()) text += " or null";
  return json::string(text);
}

}  // namespace

std::string openapi_document(const Routes& routes, const std::string& version) {
  json::object paths;
  for (const auto& r : routes.all()) {
    auto& path = paths[r->path];
    if (path.is_null()) path.emplace_object();
    std::string method = r->method;
    for (char& c : method) c = static_cast<char>(c + 32);
    path.get_object()[method] = operation_of(*r);
  }
  const json::object document{
      {"openapi", "3.1.0"},
      {"info",
       {{"title", "Coditect API"},
        {"version", version},
        {"license", {{"name", "MIT"}, {"identifier", "MIT"}}}}},
      {"paths", std::move(paths)},
      {"components",
       {{"schemas", {{"Problem", problem_schema()}}},
        {"securitySchemes",
         {{"api_key",
           {{"type", "http"},
            {"scheme", "bearer"},
            {"description", "an API key of the organization"}}},
          {"operator_key",
           {{"type", "http"},
            {"scheme", "bearer"},
            {"description", "a key of an operator of this installation"}}},
          {"session",
           {{"type", "apiKey"},
            {"in", "cookie"},
            {"name", "coditect_session"},
            {"description",
             "from POST /v1/sessions; changing methods also need X-CSRF-Token"}}}}}}}};
  return json::serialize(document);
}

std::string docs_page(const Routes& routes, const std::string& version) {
  std::string nav, body;
  std::string tag;
  for (const auto& r : routes.all()) {
    if (r->doc.tag != tag) {
      tag = r->doc.tag;
      nav += "<h3>" + escape(tag) + "</h3>";
      body += "<h2>" + escape(tag) + "</h2>";
    }
    const auto& id = r->doc.id;
    nav += "<a href=\"#" + id + "\">" + escape(r->doc.summary) + "</a>";
    body += "<section id=\"" + id + "\"><h4><code class=\"m " + r->method + "\">" + r->method +
            "</code> <code>" + escape(r->path) + "</code></h4><p>" + escape(r->doc.summary) + ".";
    if (r->permission)
      body += std::string(" Needs <code>") + boost::describe::enum_to_string(*r->permission, "") +
              "</code>.";
    else if (r->user)
      body += " Needs a session.";
    else if (r->operators)
      body += " Needs an operator's key.";
    body += "</p>";
    if (!r->doc.query.empty()) {
      body += "<table>";
      for (const auto& q : r->doc.query)
        body +=
            "<tr><td><code>" + q.name + "</code></td><td>" + escape(q.description) + "</td></tr>";
      body += "</table>";
    }
    const auto block = [&body](std::string_view title, const boost::json::object& schema) {
      std::string text;
      pretty(text, example_of(schema), 0);
      body += "<details open><summary>" + std::string(title) + "</summary><pre>" + escape(text) +
              "</pre></details>";
    };
    if (r->body) block("Request body", *r->body);
    if (r->answer) block("Answer " + std::to_string(r->doc.status), *r->answer);
    body += "</section>";
  }
  return "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" "
         "content=\"width=device-width\">"
         "<title>Coditect API</title><style>"
         ":root{color-scheme:light dark;--line:#8884;--soft:#8881}*{box-sizing:border-box}"
         "body{margin:0;font:15px/1.5 "
         "system-ui,sans-serif;display:grid;grid-template-columns:17rem minmax(0,56rem)}"
         "nav{position:sticky;top:0;height:100vh;overflow:auto;padding:1rem;border-right:1px solid "
         "var(--line)}"
         "nav h3{margin:1rem 0 .25rem;font-size:.8rem;text-transform:uppercase;opacity:.7}"
         "nav a{display:block;color:inherit;text-decoration:none;padding:.15rem "
         ".4rem;border-radius:4px}nav a:hover{background:var(--soft)}"
         "main{padding:1rem 2rem 6rem}section{border-top:1px solid var(--line);padding:.5rem 0 "
         "1rem}"
         "h4{margin:.5rem "
         "0;font-size:1rem;overflow-wrap:anywhere}pre{background:var(--soft);padding:.75rem;border-"
         "radius:6px;overflow:auto;font-size:13px}"
         "code{font-family:ui-monospace,monospace}.m{padding:.1rem "
         ".4rem;border-radius:4px;color:#fff;background:#555}"
         ".GET{background:#2563eb}.POST{background:#15803d}.PATCH{background:#b45309}.DELETE{"
         "background:#b91c1c}"
         "td{padding:.1rem .8rem .1rem 0;vertical-align:top}summary{cursor:pointer;opacity:.75}"
         "@media(max-width:50rem){body{display:block}nav{position:static;height:auto}}"
         "</style><nav><strong>Coditect API</strong> <small>" +
         version + "</small><br><a href=\"/openapi.json\">openapi.json</a>" + nav +
         "</nav><main><h1>Coditect API</h1><p>JSON over HTTP. Errors are "
         "<code>application/problem+json</code> (RFC 9457) with a stable "
         "<code>code</code>. Lists take <code>page_size</code> (up to 200) and "
         "<code>page_token</code>. POST takes an "
         "<code>Idempotency-Key</code>; PATCH is a JSON merge patch and takes "
         "<code>If-Match</code>.</p>" +
         body + "</main></html>";
}

}  // namespace coditect::auth
