#pragma once
#include <libpq-fe.h>

#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <boost/container/small_vector.hpp>
#include <boost/describe.hpp>
#include <boost/mp11.hpp>

#include "base/clock.h"
#include "base/error.h"
#include "base/id.h"

/// Values to and from PostgreSQL's binary formats (the send and receive functions of each type in
/// src/backend/utils/adt). Both ways are binary: no text is parsed on either side.
namespace coditect::pg {

/// A bytea.
struct Bytes {
  std::string value;
};
/// A jsonb as its text.
struct Json {
  std::string text;
};
/// A row of no interest.
struct NoRow {};

/// Type numbers from pg_type.dat.
inline constexpr Oid kBool = 16, kBytea = 17, kInt8 = 20, kInt2 = 21, kInt4 = 23, kText = 25,
                     kFloat8 = 701, kByteaArray = 1001, kTextArray = 1009, kDate = 1082,
                     kTimestamptz = 1184, kUuid = 2950, kUuidArray = 2951, kJsonb = 3802;

namespace detail {

inline constexpr std::int64_t kEpochMicroseconds = 946684800'000000;  // 2000-01-01 from 1970-01-01
inline constexpr std::int32_t kEpochDays = 10957;

template <class Int>
void put_int(std::string& out, Int value) {
  using U = std::make_unsigned_t<Int>;
  for (int shift = static_cast<int>(sizeof(Int)) * 8 - 8; shift >= 0; shift -= 8)
    out += static_cast<char>(static_cast<U>(value) >> shift);
}

[[noreturn]] inline void malformed(std::string_view what) {
  fail(Code::internal, "database_value_malformed", std::string(what));
}

template <class Int>
Int get_int(std::string_view bytes) {
  if (bytes.size() != sizeof(Int)) malformed("integer of another size");
  std::make_unsigned_t<Int> value = 0;
  for (const char c : bytes)
    value = static_cast<std::make_unsigned_t<Int>>(static_cast<std::uint64_t>(value) << 8 |
                                                   static_cast<unsigned char>(c));
  return static_cast<Int>(value);
}

template <class T>
inline constexpr bool is_id = false;
template <class Tag>
inline constexpr bool is_id<Id<Tag>> = true;
template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

}  // namespace detail

template <class T>
struct Codec;

template <>
struct Codec<bool> {
  static constexpr Oid oid = kBool;
  static void encode(std::string& out, bool v) { out += static_cast<char>(v); }
  static bool decode(std::string_view b) { return detail::get_int<std::int8_t>(b) != 0; }
};
template <>
struct Codec<std::int64_t> {
  static constexpr Oid oid = kInt8;
  static void encode(std::string& out, std::int64_t v) { detail::put_int(out, v); }
  static std::int64_t decode(std::string_view b) { return detail::get_int<std::int64_t>(b); }
};
template <>
struct Codec<std::int32_t> {
  static constexpr Oid oid = kInt4;
  static void encode(std::string& out, std::int32_t v) { detail::put_int(out, v); }
  static std::int32_t decode(std::string_view b) { return detail::get_int<std::int32_t>(b); }
};
template <>
struct Codec<std::string> {
  static constexpr Oid oid = kText;
  static void encode(std::string& out, const std::string& v) { out += v; }
  static std::string decode(std::string_view b) { return std::string(b); }
};
template <>
struct Codec<Bytes> {
  static constexpr Oid oid = kBytea;
  static void encode(std::string& out, const Bytes& v) { out += v.value; }
  static Bytes decode(std::string_view b) { return {std::string(b)}; }
};
template <>
struct Codec<Json> {
  static constexpr Oid oid = kJsonb;
  static void encode(std::string& out, const Json& v) { out += '\x01', out += v.text; }
  static Json decode(std::string_view b) {
    if (b.empty() || b[0] != '\x01') detail::malformed("jsonb of another version");
    return {std::string(b.substr(1))};
  }
};
template <>
struct Codec<Uuid> {
  static constexpr Oid oid = kUuid;
  static void encode(std::string& out, const Uuid& v) { out += v.view(); }
  static Uuid decode(std::string_view b) {
    Uuid id;
    if (b.size() != id.bytes.size()) detail::malformed("uuid");
    std::memcpy(id.bytes.data(), b.data(), b.size());
    return id;
  }
};
template <class Tag>
struct Codec<Id<Tag>> {
  static constexpr Oid oid = kUuid;
  static void encode(std::string& out, const Id<Tag>& v) { out += v.uuid().view(); }
  static Id<Tag> decode(std::string_view b) { return Id<Tag>(Codec<Uuid>::decode(b)); }
};
template <>
struct Codec<Timestamp> {
  static constexpr Oid oid = kTimestamptz;
  static void encode(std::string& out, Timestamp v) {
    detail::put_int(out, v.time_since_epoch().count() - detail::kEpochMicroseconds);
  }
  static Timestamp decode(std::string_view b) {
    const auto n = detail::get_int<std::int64_t>(b);
    if (n > INT64_MAX - detail::kEpochMicroseconds || n == INT64_MIN)
      detail::malformed("an infinite time");
    return Timestamp(std::chrono::microseconds(n + detail::kEpochMicroseconds));
  }
};
template <>
struct Codec<Date> {
  static constexpr Oid oid = kDate;
  static void encode(std::string& out, Date v) {
    detail::put_int(out,
                    static_cast<std::int32_t>(v.time_since_epoch().count() - detail::kEpochDays));
  }
  static Date decode(std::string_view b) {
    const auto n = detail::get_int<std::int32_t>(b);
    if (n > INT32_MAX - detail::kEpochDays || n == INT32_MIN) detail::malformed("an infinite day");
    return Date(std::chrono::days(n + detail::kEpochDays));
  }
};
/// Described enums are text with a CHECK: an SQL enum's operators are not leakproof, so row-level
/// security would keep them out of index conditions.
template <class E>
  requires std::is_enum_v<E>
struct Codec<E> {
  static constexpr Oid oid = kText;
  static void encode(std::string& out, E v) { out += boost::describe::enum_to_string(v, ""); }
  static E decode(std::string_view b) {
    E v{};
    if (!boost::describe::enum_from_string(std::string(b).c_str(), v))
      detail::malformed("unknown enumerator");
    return v;
  }
};
/// The elements of a one-dimensional array without NULLs, as they lie in the bytes.
inline std::vector<std::string_view> array_elements(std::string_view b) {
  const auto take = [&b] {
    if (b.size() < 4) detail::malformed("array");
    const auto n = detail::get_int<std::int32_t>(b.substr(0, 4));
    b.remove_prefix(4);
    return n;
  };
  std::vector<std::string_view> out;
  const auto dimensions = take();
  take();  // whether there are NULLs
  take();  // element type
  if (dimensions == 0) return out;
  if (dimensions != 1) detail::malformed("array of several dimensions");
  const auto count = take();
  take();  // lower bound
  for (std::int32_t i = 0; i < count; ++i) {
    const auto size = take();
    if (size < 0 || static_cast<std::size_t>(size) > b.size()) detail::malformed("array element");
    out.push_back(b.substr(0, static_cast<std::size_t>(size)));
    b.remove_prefix(static_cast<std::size_t>(size));
  }
  return out;
}

/// One-dimensional arrays without NULLs.
template <class T>
struct Codec<std::vector<T>> {
  static constexpr Oid element = Codec<T>::oid;
  static constexpr Oid oid = element == kUuid    ? kUuidArray
                             : element == kBytea ? kByteaArray
                                                 : kTextArray;
  static_assert(element == kUuid || element == kBytea || element == kText);
  static void encode(std::string& out, const std::vector<T>& v) {
    detail::put_int<std::int32_t>(out, v.empty() ? 0 : 1);
    detail::put_int<std::int32_t>(out, 0);
    detail::put_int<std::int32_t>(out, static_cast<std::int32_t>(element));
    if (v.empty()) return;
    detail::put_int<std::int32_t>(out, static_cast<std::int32_t>(v.size()));
    detail::put_int<std::int32_t>(out, 1);
    for (const auto& item : v) {
      std::string bytes;
      Codec<T>::encode(bytes, item);
      detail::put_int<std::int32_t>(out, static_cast<std::int32_t>(bytes.size()));
      out += bytes;
    }
  }
  static std::vector<T> decode(std::string_view b) {
    std::vector<T> out;
    for (const auto item : array_elements(b)) out.push_back(Codec<T>::decode(item));
    return out;
  }
};

/// The bound values of one command.
class Params {
 public:
  Params() = default;

  template <class... Args>
  static Params of(const Args&... args) {
    Params p;
    (p.add(args), ...);
    return p;
  }

  template <class T>
  void add(const T& value) {
    if constexpr (detail::is_optional<T>) {
      if (value)
        add(*value);
      else
        values_.push_back({Codec<typename T::value_type>::oid, 0, -1});
    } else {
      const auto start = data_.size();
      Codec<T>::encode(data_, value);
      values_.push_back(
          {Codec<T>::oid, static_cast<int>(start), static_cast<int>(data_.size() - start)});
    }
  }

  struct Value {
    Oid type;
    int start;   ///< in data()
    int length;  ///< -1: NULL
  };
  std::span<const Value> values() const { return values_; }
  /// All values one after another.
  const char* data() const { return data_.data(); }

 private:
  std::string data_;
  boost::container::small_vector<Value, 12> values_;
};

struct FreeResult {
  void operator()(PGresult* r) const { PQclear(r); }
};
using Result = std::unique_ptr<PGresult, FreeResult>;

template <class T>
T decode_value(const PGresult* r, int row, int column) {
  if constexpr (detail::is_optional<T>) {
    if (PQgetisnull(r, row, column) != 0) return std::nullopt;
    return decode_value<typename T::value_type>(r, row, column);
  } else {
    if (PQgetisnull(r, row, column) != 0) detail::malformed("NULL in a column that has none");
    return Codec<T>::decode(
        {PQgetvalue(r, row, column), static_cast<std::size_t>(PQgetlength(r, row, column))});
  }
}

/// Columns map to described members by position: the SELECT list is the contract. A Row that is
/// one value takes the only column.
template <class Row>
Row decode_row(const PGresult* r, int row) {
  if constexpr (std::is_same_v<Row, NoRow>) {
    return {};
  } else if constexpr (boost::describe::has_describe_members<Row>::value) {
    Row out{};
    int column = 0;
    using Members = boost::describe::describe_members<Row, boost::describe::mod_public |
                                                               boost::describe::mod_inherited>;
    if (PQnfields(r) != static_cast<int>(boost::mp11::mp_size<Members>::value))
      detail::malformed("other columns than members");
    boost::mp11::mp_for_each<Members>([&](auto member) {
      using Value = std::remove_reference_t<decltype(out.*member.pointer)>;
      out.*member.pointer = decode_value<Value>(r, row, column++);
    });
    return out;
  } else {
    return decode_value<Row>(r, row, 0);
  }
}

template <class Row>
std::vector<Row> decode_rows(const PGresult* r) {
  std::vector<Row> out;
  const int rows = PQntuples(r);
  out.reserve(static_cast<std::size_t>(rows));
  for (int i = 0; i < rows; ++i) out.push_back(decode_row<Row>(r, i));
  return out;
}

}  // namespace coditect::pg
