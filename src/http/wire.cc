#include "http/wire.h"

#include <algorithm>

namespace coditect::http {
namespace {

const std::string& date_header() {
  thread_local std::int64_t second = 0;
  thread_local std::string text;
  const auto at = now();
  const auto s = std::chrono::floor<std::chrono::seconds>(at).time_since_epoch().count();
  if (s != second) second = s, text = to_http_date(at);
  return text;
}

template <class... Parts>
void append(std::string& out, const Parts&... parts) {
  (out += ... += parts);
}

}  // namespace

bool names_a_version(std::string_view bytes) {
  const auto end = bytes.find('\n');
  if (end == bytes.npos || end < 10 || bytes[end - 1] != '\r') return false;
  const auto line = bytes.substr(0, end - 1);
  if (std::ranges::count(line, ' ') != 2) return false;
  const auto version = bytes.substr(end - 9, 8);
  return version.starts_with("HTTP/") && version[6] == '.' && version[5] >= '0' &&
         version[5] <= '9' && version[7] >= '0' && version[7] <= '9';
}

bool has_folded_header(std::string_view bytes) {
  const auto header = bytes.substr(0, bytes.find("\r\n\r\n"));
  return header.contains("\r\n ") || header.contains("\r\n\t");
}

void write_head(std::string& out, const Response& r, bool keep_alive, const Request& request) {
  append(out, "HTTP/1.1 ", std::to_string(r.status), " ", reason_phrase(r.status),
         "\r\nDate: ", date_header());
  if (r.status != 204 && r.status != 304) {
    if (!r.content_type.empty()) append(out, "\r\nContent-Type: ", r.content_type);
    append(out, "\r\nContent-Length: ", std::to_string(r.body.size()));
  }
  for (const auto& h : r.headers) append(out, "\r\n", h.name, ": ", h.value);
  append(out, "\r\nX-Request-Id: ", request.id, "\r\ntraceparent: ", request.trace.header(),
         keep_alive ? "\r\n\r\n" : "\r\nConnection: close\r\n\r\n");
}

bool headers_are_safe(const Response& r) {
  for (const auto& h : r.headers)
    for (const char c : h.value)
      if (static_cast<unsigned char>(c) < 0x20 && c != '\t') return false;
  return true;
}

}  // namespace coditect::http
