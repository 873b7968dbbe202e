// Binary values as a server sends them: a wrong one is an error, whatever its bytes.
#include "base/error.h"
#include "pg/codec.h"
#include "testing/fuzz.h"

using namespace coditect;

template <class T>
static void decode(std::string_view bytes) {
  try {
    const auto value = pg::Codec<T>::decode(bytes);
    std::string again;
    pg::Codec<T>::encode(again, value);
    CHECK(pg::Codec<T>::decode(again) == value);
  } catch (const Failure&) {  // malformed
  }
}

FUZZ_TARGET {
  decode<bool>(input);
  decode<std::int32_t>(input);
  decode<std::int64_t>(input);
  decode<std::string>(input);
  decode<Uuid>(input);
  decode<Timestamp>(input);
  decode<Date>(input);
  decode<std::vector<std::string>>(input);
  decode<std::vector<Uuid>>(input);
}
