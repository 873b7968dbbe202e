#include "auth/routes.h"

#include <charconv>

#include "base/bytes.h"
#include "base/mutant.h"
#include "crypto/digest.h"

namespace coditect::auth {

std::optional<std::string> Context::query(std::string_view name) const {
  for (const auto& [key, value] : request.query)
    if (key == name) return value;
  return std::nullopt;
}

void Context::require_match(std::int64_t version) const {
  const auto* header = request.header("if-match");
  if (header == nullptr || trim(*header) == "*") return;
  const auto wanted = '"' + std::to_string(version) + '"';
  bool matched = false;
  for (std::string_view rest = *header;;) {
    const auto comma = rest.find(',');
    auto tag = trim(rest.substr(0, comma));
    matched = matched || tag == wanted;
    if (tag.starts_with("W/")) tag.remove_prefix(2);  // weak tags are well formed and never match
    if (tag.size() < 2 || !tag.starts_with('"') || !tag.ends_with('"'))
      fail(Code::invalid_argument, "invalid_if_match", "If-Match is * or a list of quoted ETags");
    if (comma == rest.npos) break;
    rest.remove_prefix(comma + 1);
  }
  if (!matched)
    fail(Code::failed_precondition, "version_mismatch",
         "the resource has changed since; read it again");
}

std::string TenantContext::page_scope() const {
  std::string scope = (mutant("cursor.any_tenant") ? "" : access.public_id.str()) + " " +
                      (mutant("cursor.any_list") ? "" : route);
  auto query = request.query;
  std::ranges::sort(query);
  for (const auto& [name, value] : query)
    if (name != "page_token" && name != "page_size") scope += "\n" + name + "=" + value;
  for (const auto& [name, value] : params)
    if (name != "tenant" || !mutant("cursor.any_tenant"))
      scope += "\n" + std::string(name) + ":" + value;
  return crypto::sha256(scope);
}

TenantContext::PageQuery TenantContext::page_query() const {
  PageQuery out;
  if (const auto size = query("page_size")) {
    const auto [end, bad] = std::from_chars(size->data(), size->data() + size->size(), out.size);
    if (bad != std::errc() || end != size->data() + size->size() || out.size < 1)
      throw Failure({Code::invalid_argument,
                     "invalid_parameter",
                     "page_size is a number from 1 to 200",
                     {{"page_size", "invalid", "must be 1 to 200"}}});
    out.size = std::min(out.size, 200);
  }
  const auto token = query("page_token");
  if (token && !token->empty()) {
    const auto sealed = from_base64url(*token);
    out.after = sealed ? services.keys.open("cursor", *sealed, page_scope()) : std::nullopt;
    if (!out.after)
      throw Failure({Code::invalid_argument,
                     "invalid_page_token",
                     "the page_token is of another list or another query; start without one",
                     {{"page_token", "invalid",
                       "must be the next_page_token of the same list with the same parameters"}}});
  }
  return out;
}

std::string TenantContext::next_token(std::string_view position) const {
  return to_base64url(services.keys.seal("cursor", position, page_scope()));
}

namespace detail {

void require_json(const http::Request& request) {
  const auto* type = request.header("content-type");
  const auto media = type == nullptr
                         ? ""
                         : to_lower_ascii(trim(std::string_view(*type).substr(0, type->find(';'))));
  if (media != "application/json" && media != "application/merge-patch+json" &&
      !request.body.empty())
    fail(Code::invalid_argument, "content_type_not_json", "send Content-Type: application/json");
}

void require_no_body(const http::Request& request) {
  if (!request.body.empty() && trim(request.body) != "{}")
    fail(Code::invalid_argument, "body_not_expected", "this operation takes no body");
}

}  // namespace detail
}  // namespace coditect::auth
