#include "auth/email.h"

#include "base/bytes.h"

namespace coditect::auth {

Result<std::string> valid_email(std::string_view text) {
  const auto wrong = [] {
    return std::unexpected(
        Error{Code::invalid_argument,
              "validation_failed",
              "the body breaks the rules named in errors",
              {{"/email", "invalid_email", "must be an e-mail address such as ada@example.com"}}});
  };
  auto email = to_lower_ascii(trim(text));
  const auto at = email.find('@');
  if (at == 0 || at == std::string::npos || at > 64 || email.find('@', at + 1) != std::string::npos)
    return wrong();
  const auto domain = std::string_view(email).substr(at + 1);
  if (!domain.contains('.') || domain.starts_with('.') || domain.ends_with('.') ||
      domain.contains(".."))
    return wrong();
  for (const char c : domain)
    if (!is_ascii_alnum(c) && c != '-' && c != '.') return wrong();
  for (const char c : std::string_view(email).substr(0, at))
    if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f ||
        std::string_view("\"(),:;<>[\\]").contains(c))
      return wrong();
  return email;
}

}  // namespace coditect::auth
