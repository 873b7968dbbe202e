#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/fixed_cache.h"
#include "base/id.h"
#include "base/lru_cache.h"

namespace coditect {
namespace {

struct TaskTag {
  static constexpr std::string_view prefix = "task";
};
using TaskId = Id<TaskTag>;

TEST(FixedCache, ForgetsTheOldestOfTwoFullBucketsAndEverythingAtOnce) {
  struct AlwaysTheSame {
    std::size_t operator()(int) const { return 1; }
  };
  FixedCache<int, int, AlwaysTheSame> cache(8);
  int kept = 0;
  for (int i = 0; i < 20; ++i) cache.put(i, i * 10);
  for (int i = 0; i < 20; ++i) {
    const auto value = cache.find(i);
    kept += value.has_value();
    if (value) {
      EXPECT_EQ(*value, i * 10);
      EXPECT_GE(i, 12) << "older than another that went";
    }
  }
  EXPECT_GE(kept, 4);
  EXPECT_LE(kept, 8);
  cache.put(19, 11);
  EXPECT_EQ(cache.find(19), 11);
  cache.erase(19);
  EXPECT_EQ(cache.find(19), std::nullopt);
  cache.put(19, 12);
  cache.clear();
  EXPECT_EQ(cache.find(19), std::nullopt);
  cache.put(19, 13);
  EXPECT_EQ(cache.find(19), 13);
}

TEST(FixedCache, HoldsNearlyAllOfWhatItIsMadeFor) {
  struct Mixed {
    std::size_t operator()(std::uint64_t n) const {
      n = (n ^ (n >> 31)) * 0xBF58476D1CE4E5B9u;
      return n ^ (n >> 29);
    }
  };
  constexpr std::uint64_t kCount = 100000;
  FixedCache<std::uint64_t, std::uint64_t, Mixed> cache(kCount * 5 / 4);
  for (std::uint64_t i = 1; i <= kCount; ++i) cache.put(i, ~i);
  std::uint64_t found = 0;
  for (std::uint64_t i = 1; i <= kCount; ++i) found += cache.find(i) == ~i;
  EXPECT_GT(found, kCount * 98 / 100);
}

TEST(Base64Url, RoundTripsEveryLengthAndRefusesSpareBitsAndPadding) {
  std::string bytes;
  for (int i = 0; i < 70; ++i) {
    EXPECT_EQ(from_base64url(to_base64url(bytes)), bytes);
    EXPECT_EQ(from_base64(to_base64(bytes)), bytes);
    EXPECT_EQ(from_hex(to_hex(bytes)), bytes);
    bytes += static_cast<char>(i * 37);
  }
  EXPECT_EQ(to_base64url("f"), "Zg");
  EXPECT_FALSE(from_base64url("Zh"));  // same byte, other spare bits
  EXPECT_FALSE(from_base64url("Zg=="));
  EXPECT_FALSE(from_base64url("Zg "));
  EXPECT_FALSE(from_base64url("A"));
}

TEST(Crc32, IsTheChecksumOfZlib) { EXPECT_EQ(crc32("123456789"), 0xCBF43926u); }

TEST(Utf8, RefusesOverlongSurrogateAndNul) {
  EXPECT_TRUE(is_valid_utf8("Zürich 東京 🦊"));
  EXPECT_EQ(utf8_length("東京🦊"), 3u);
  EXPECT_FALSE(is_valid_utf8("\xC0\x80"));
  EXPECT_FALSE(is_valid_utf8("\xED\xA0\x80"));
  EXPECT_FALSE(is_valid_utf8("\xF4\x90\x80\x80"));
  EXPECT_FALSE(is_valid_utf8("a\xE2\x82"));
  EXPECT_FALSE(is_valid_utf8(std::string_view("a\0b", 3)));
}

TEST(TypeId, MatchesThePublishedVectors) {
  // https://github.com/jetify-com/typeid/blob/main/spec/valid.yml
  const auto id = parse_uuid("01890a5d-ac96-774b-bcce-b302099a8057");
  ASSERT_TRUE(id);
  EXPECT_EQ(to_base32(*id), "01h455vb4pex5vsknk084sn02q");
  EXPECT_EQ(parse_base32("01h455vb4pex5vsknk084sn02q"), id);
  EXPECT_EQ(to_base32(*parse_uuid("ffffffff-ffff-ffff-ffff-ffffffffffff")),
            "7zzzzzzzzzzzzzzzzzzzzzzzzz");
  EXPECT_FALSE(parse_base32("8zzzzzzzzzzzzzzzzzzzzzzzzz"));
  EXPECT_FALSE(parse_base32("01H455VB4PEX5VSKNK084SN02Q"));
  EXPECT_FALSE(parse_base32("01h455vb4pex5vsknk084sn02"));
}

TEST(TypeId, OfAnotherKindDoesNotParse) {
  const auto id = TaskId::make();
  EXPECT_EQ(TaskId::parse(id.str()), id);
  EXPECT_FALSE(TaskId::parse("project_" + to_base32(id.uuid())));
  EXPECT_FALSE(TaskId::parse(to_base32(id.uuid())));
  EXPECT_FALSE(TaskId::parse(""));
}

TEST(Uuid7, SortsByTimeAndHasARandomTail) {
  const auto t = now();
  EXPECT_LT(make_uuid7(t), make_uuid7(t + std::chrono::microseconds(1)));
  const auto a = make_uuid7(t), b = make_uuid7(t), later = make_uuid7(t + std::chrono::seconds(1));
  EXPECT_NE(a, b);
  EXPECT_LT(a, later);
  EXPECT_EQ(to_string(a)[14], '7');
}

TEST(Time, RoundTripsAndRefusesDaysThatDoNotExist) {
  const auto t = parse_rfc3339("2026-02-28T23:59:58.123456Z");
  ASSERT_TRUE(t);
  EXPECT_EQ(to_rfc3339(*t), "2026-02-28T23:59:58.123456Z");
  EXPECT_EQ(to_http_date(*t), "Sat, 28 Feb 2026 23:59:58 GMT");
  EXPECT_EQ(parse_rfc3339("2026-03-01T00:59:58.123456+01:00"), t);
  EXPECT_FALSE(parse_rfc3339("2026-02-29T00:00:00Z"));
  EXPECT_FALSE(parse_rfc3339("2026-02-28T24:00:00Z"));
  EXPECT_FALSE(parse_rfc3339("2026-02-28T00:00:00"));
  EXPECT_FALSE(parse_rfc3339("2026-02-28 00:00:00Z"));
  EXPECT_EQ(to_iso_date(*parse_iso_date("2024-02-29")), "2024-02-29");
  EXPECT_FALSE(parse_iso_date("2023-02-29"));
  EXPECT_FALSE(parse_iso_date("2024-2-9"));
  EXPECT_FALSE(parse_iso_date("2024-02-29T"));
  EXPECT_FALSE(parse_iso_date("0000-01-01"));
}

TEST(LruCache, ForgetsTheOldestAndTheExpired) {
  using namespace std::chrono_literals;
  LruCache<std::string, int> cache(2, 10s);
  const auto t = std::chrono::steady_clock::now();
  cache.put("a", 1, t);
  cache.put("b", 2, t);
  EXPECT_TRUE(cache.find("a", t));
  cache.put("c", 3, t);
  EXPECT_FALSE(cache.find("b", t));
  EXPECT_EQ(*cache.find("a", t + 9s), 1);
  EXPECT_FALSE(cache.find("a", t + 10s));
  EXPECT_EQ(cache.size(), 1u);
}

}  // namespace
}  // namespace coditect
