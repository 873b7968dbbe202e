#include "redis/settings.h"

#include <charconv>
#include <optional>
#include <string_view>

#include "base/bytes.h"

namespace coditect::redis {
namespace {

std::unexpected<Error> wrong(std::string_view why) {
  return coditect::error(Code::invalid_argument, "invalid_redis_url",
                         std::string(why) +
                             "; write redis://[user][:password@]host[:port], rediss:// for TLS, "
                             "redis+cluster://host[:port][,host...] or "
                             "unix:///path?password=...");
}

std::optional<std::string> unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned byte = 0;
    const auto digits = text.substr(i + 1, 2);
    const auto [end, bad] = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
    if (bad != std::errc() || end != digits.data() + 2) return std::nullopt;
    out += static_cast<char>(byte);
    i += 2;
  }
  return out;
}

coditect::Result<Address> parse_address(std::string_view text) {
  Address out;
  std::optional<std::string_view> port;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == text.npos) return wrong("the IPv6 address has no closing bracket");
    out.host = text.substr(1, end - 1);
    const auto rest = text.substr(end + 1);
    if (!rest.empty() && rest[0] != ':') return wrong("the address is malformed");
    if (!rest.empty()) port = rest.substr(1);
  } else {
    const auto colon = text.rfind(':');
    out.host = text.substr(0, colon);
    if (out.host.contains(':')) return wrong("an IPv6 address needs brackets");
    if (colon != text.npos) port = text.substr(colon + 1);
  }
  if (out.host.empty() || out.host.contains('/')) return wrong("the host is missing");
  if (port) {
    const auto [end, bad] = std::from_chars(port->data(), port->data() + port->size(), out.port);
    if (bad != std::errc() || end != port->data() + port->size() || out.port < 1 ||
        out.port > 65535)
      return wrong("the port is malformed");
  }
  return out;
}

coditect::Result<Settings> parse_unix(std::string_view rest) {
  Settings s;
  const auto mark = rest.find('?');
  s.addresses = {{std::string(rest.substr(0, mark)), 0}};
  if (!s.addresses[0].host.starts_with('/')) return wrong("the socket's path must be absolute");
  constexpr std::string_view kPassword = "?password=";
  if (mark != rest.npos) {
    if (!rest.substr(mark).starts_with(kPassword))
      return wrong("only ?password= is known after the path");
    const auto password = unescaped(rest.substr(mark + kPassword.size()));
    if (!password) return wrong("a % must be followed by two hexadecimal digits");
    s.password = *password;
  }
  return s;
}

}  // namespace

coditect::Result<Settings> Settings::parse(const std::string& url) {
  std::string_view rest = url;
  const auto take = [&rest](std::string_view start) {
    if (!rest.starts_with(start)) return false;
    rest.remove_prefix(start.size());
    return true;
  };
  if (take("unix://")) return parse_unix(rest);
  Settings s;
  if (take("rediss+cluster://"))
    s.tls = s.cluster = true;
  else if (take("redis+cluster://"))
    s.cluster = true;
  else if (take("rediss://"))
    s.tls = true;
  else if (!take("redis://"))
    return wrong("the scheme is unknown");
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (const auto at = rest.rfind('@'); at != rest.npos) {
    const auto login = rest.substr(0, at);
    const auto colon = login.find(':');
    const auto user = unescaped(login.substr(0, colon));
    const auto password =
        unescaped(colon == login.npos ? std::string_view() : login.substr(colon + 1));
    if (!user || !password) return wrong("a % must be followed by two hexadecimal digits");
    s.user = *user;
    s.password = *password;
    rest.remove_prefix(at + 1);
  }
  s.addresses.clear();
  for (;;) {
    const auto comma = rest.find(',');
    auto address = parse_address(rest.substr(0, comma));
    if (!address) return std::unexpected(address.error());
    s.addresses.push_back(std::move(*address));
    if (comma == rest.npos) break;
    rest.remove_prefix(comma + 1);
  }
  if (s.addresses.size() > 1 && !s.cluster) return wrong("only a cluster has several addresses");
  return s;
}

}  // namespace coditect::redis
