#include "domain/accounts/model.h"

#include <algorithm>

#include "base/bytes.h"

namespace coditect::accounts {
namespace {

std::unexpected<Error> broken(std::string pointer, std::string code, std::string message) {
  return std::unexpected(Error{Code::invalid_argument,
                               "validation_failed",
                               "the body breaks the rules named in errors",
                               {{std::move(pointer), std::move(code), std::move(message)}}});
}

// The most used passwords of published leaks that are long enough to pass the first rule.
constexpr std::string_view kKnown[] = {
    "password",      "12345678", "123456789", "1234567890", "qwertyuiop", "password1",
    "password123",   "iloveyou", "sunshine",  "princess",   "football",   "baseball",
    "superman",      "trustno1", "11111111",  "00000000",   "abcdefgh",   "abcd1234",
    "qwerty123",     "1q2w3e4r", "letmein1",  "welcome1",   "welcome123", "admin123",
    "administrator", "changeme", "changeit",  "passw0rd",   "p@ssw0rd",   "p@ssword",
    "88888888",      "87654321", "asdfghjkl", "zxcvbnm1",   "computer",   "internet",
    "michelle",      "jennifer", "whatever",  "starwars",   "dragon123",  "monkey123",
    "secret123",     "test1234", "testtest",  "1qaz2wsx",   "q1w2e3r4",   "aa123456",
    "a1234567",      "qwer1234", "liverpool", "metallica",  "samantha",   "corvette"};

}  // namespace

Result<void> valid_slug(std::string_view slug) {
  bool ok = slug.size() >= 3 && slug.size() <= 40 && !slug.starts_with('-') &&
            !slug.ends_with('-') && !slug.contains("--");
  for (const char c : slug)
    ok = ok && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-');
  if (!ok)
    return broken("/organization/slug", "invalid_slug",
                  "must be 3 to 40 of a-z, 0-9 and single hyphens, not at the ends");
  constexpr std::string_view kReserved[] = {"admin",    "api",     "www", "operator",
                                            "coditect", "support", "new", "null"};
  if (std::ranges::find(kReserved, slug) != std::end(kReserved))
    return broken("/organization/slug", "reserved", "is reserved; choose another");
  return {};
}

Result<void> valid_password(const Secret& password, std::string_view email) {
  const auto& text = password.reveal();
  if (utf8_length(text) < 8)
    return broken("/password", "too_short",
                  "must have at least 8 characters; 15 or more are better");
  const auto lower = to_lower_ascii(text);
  const bool one_character = lower.find_first_not_of(lower[0]) == std::string::npos;
  if (one_character || std::ranges::find(kKnown, std::string_view(lower)) != std::end(kKnown) ||
      lower == email || lower == email.substr(0, email.find('@')))
    return broken("/password", "too_common",
                  "is among the first that an attacker tries; choose another");
  return {};
}

}  // namespace coditect::accounts
