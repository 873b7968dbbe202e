// Decoders are strict: what one takes is what its encoder writes.
#include "base/bytes.h"
#include "base/clock.h"
#include "base/id.h"
#include "testing/fuzz.h"

using namespace coditect;

struct FuzzTag {
  static constexpr std::string_view prefix = "fuzz";
};

FUZZ_TARGET {
  if (const auto bytes = from_hex(input)) CHECK(to_hex(*bytes) == to_lower_ascii(input));
  if (const auto bytes = from_base64url(input)) CHECK(to_base64url(*bytes) == input);
  if (const auto bytes = from_base64(input)) CHECK(to_base64(*bytes) == input);
  if (const auto id = parse_uuid(input)) CHECK(parse_uuid(to_string(*id)) == id);
  if (const auto id = parse_base32(input)) CHECK(to_base32(*id) == input);
  if (const auto id = Id<FuzzTag>::parse(input)) CHECK(id->str() == input);
  if (const auto day = parse_iso_date(input)) CHECK(to_iso_date(*day) == input);
  if (const auto t = parse_rfc3339(input)) CHECK(parse_rfc3339(to_rfc3339(*t)) == t);
  if (is_valid_utf8(input)) CHECK(utf8_length(input) <= input.size());
  CHECK(trim(input).size() <= input.size());
}
