#include <gtest/gtest.h>

#include "redis/client.h"
#include "redis/resp.h"

namespace coditect::redis {
namespace {

using Status = Parser::Status;

TEST(Resp, ReadsEveryKindByteByByte) {
  const std::string bytes =
      "+OK\r\n-ERR "
      "no\r\n:42\r\n$5\r\nhello\r\n$-1\r\n*2\r\n:1\r\n$1\r\nx\r\n_\r\n#t\r\n%1\r\n+k\r\n:7\r\n="
      "7\r\ntxt:abc\r\n";
  Parser parser;
  std::vector<Reply> replies;
  for (const char c : bytes) {
    parser.append({&c, 1});
    Reply reply;
    while (parser.next(reply) == Status::complete) replies.push_back(reply);
  }
  ASSERT_EQ(replies.size(), 10u);
  EXPECT_EQ(replies[0].text, "OK");
  EXPECT_TRUE(replies[1].is_error());
  EXPECT_EQ(replies[2].integer, 42);
  EXPECT_EQ(replies[3].text, "hello");
  EXPECT_TRUE(replies[4].is_null());
  EXPECT_EQ(replies[5].items[1].text, "x");
  EXPECT_TRUE(replies[6].is_null());
  EXPECT_EQ(replies[7].integer, 1);
  EXPECT_EQ(replies[8].items.size(), 2u);
  EXPECT_EQ(replies[9].text, "abc");
}

TEST(Resp, RefusesWhatIsNoReply) {
  for (const char* bad : {"hello\r\n", "$abc\r\n", "$-2\r\n", "$3\r\nabcde\r\n", ":x\r\n",
                          "*99999999999\r\n", "#x\r\n"}) {
    Parser parser;
    parser.append(bad);
    Reply reply;
    EXPECT_EQ(parser.next(reply), Status::malformed) << bad;
  }
  Parser deep;
  std::string nested;
  for (int i = 0; i < 100; ++i) nested += "*1\r\n";
  deep.append(nested);
  Reply reply;
  EXPECT_EQ(deep.next(reply), Status::malformed);
}

TEST(RedisUrl, ReadsItsFormsAndRefusesOthers) {
  const auto full = Settings::parse("rediss://user:secret@redis.example:6380");
  ASSERT_TRUE(full);
  EXPECT_TRUE(full->tls);
  EXPECT_FALSE(full->cluster);
  EXPECT_EQ(full->user + " " + full->password, "user secret");
  EXPECT_EQ(full->addresses, (std::vector<Address>{{"redis.example", 6380}}));
  EXPECT_EQ(Settings::parse("redis://:pw@127.0.0.1")->password, "pw");
  EXPECT_EQ(Settings::parse("redis://:p%40w%2F@127.0.0.1")->password, "p@w/");
  EXPECT_EQ(Settings::parse("redis://[::1]:7000")->addresses,
            (std::vector<Address>{{"::1", 7000}}));
  EXPECT_EQ(Settings::parse("unix:///run/redis.sock?password=pw")->addresses[0].host,
            "/run/redis.sock");
  const auto cluster = Settings::parse("rediss+cluster://u:p@a.example,b.example:7001,[::1]:7002/");
  ASSERT_TRUE(cluster);
  EXPECT_TRUE(cluster->cluster && cluster->tls);
  EXPECT_EQ(cluster->addresses,
            (std::vector<Address>{{"a.example", 6379}, {"b.example", 7001}, {"::1", 7002}}));
  for (const char* bad : {"", "http://x", "redis://", "redis://h:0", "redis://h:x",
                          "redis://h:70000", "unix://relative", "unix:///a?db=1", "redis://a,b",
                          "redis+cluster://a,,b", "redis+cluster://", "redis://::1", "redis://[::1",
                          "redis://[::1]x", "redis://:%4@h", "redis://h/0"})
    EXPECT_FALSE(Settings::parse(bad)) << bad;
}

TEST(Slots, AreTheClusterSpecificationsOwn) {
  // The specification's check value, and what a Redis 7 answers to CLUSTER KEYSLOT.
  EXPECT_EQ(slot_of("123456789"), 0x31c3 % kSlots);
  EXPECT_EQ(slot_of("foo"), 12182);
  EXPECT_EQ(slot_of(""), 0);
  EXPECT_EQ(slot_of("{user1000}.following"), slot_of("{user1000}.followers"));
  EXPECT_EQ(slot_of("{user1000}.following"), slot_of("user1000"));
  EXPECT_EQ(slot_of("foo{bar}{zap}"), slot_of("bar"));
  EXPECT_EQ(slot_of("foo{{bar}}zap"), slot_of("{bar"));
  EXPECT_NE(slot_of("foo{}{bar}"), slot_of("bar"));
  EXPECT_NE(slot_of("foo{bar"), slot_of("bar"));
}

Reply parsed(const std::string& bytes) {
  Parser parser;
  parser.append(bytes);
  Reply reply;
  EXPECT_EQ(parser.next(reply), Status::complete);
  return reply;
}

TEST(Slots, AMapComesFromClusterSlots) {
  const Address asked{"10.0.0.9", 7000};
  const auto map =
      SlotMap::from(parsed("*2\r\n*4\r\n:0\r\n:100\r\n*2\r\n$8\r\n10.0.0.1\r\n:7001\r\n"
                           "*2\r\n$8\r\n10.0.0.2\r\n:7002\r\n"
                           "*3\r\n:101\r\n:16383\r\n*3\r\n$-1\r\n:7003\r\n$2\r\nid\r\n"),
                    asked);
  ASSERT_TRUE(map);
  EXPECT_TRUE(map->complete());
  EXPECT_EQ(*map->master_of(0), (Address{"10.0.0.1", 7001}));
  EXPECT_EQ(*map->master_of(100), (Address{"10.0.0.1", 7001}));
  EXPECT_EQ(*map->master_of(101), (Address{"10.0.0.9", 7003}));  // the host that was asked
  EXPECT_EQ(map->masters().size(), 2u);
  for (const char* bad :
       {"*0\r\n", "+OK\r\n", "*1\r\n:1\r\n", "*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*1\r\n*3\r\n:5\r\n:4\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*1\r\n*3\r\n:-1\r\n:4\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*1\r\n*3\r\n:0\r\n:4\r\n*2\r\n$1\r\na\r\n:0\r\n",
        "*1\r\n*3\r\n:0\r\n:4\r\n*1\r\n$1\r\na\r\n"})
    EXPECT_FALSE(SlotMap::from(parsed(bad), asked)) << bad;
}

TEST(Slots, RedirectionsAreReadAndOtherErrorsAreNot) {
  const Address asked{"h", 1};
  const auto moved = Redirect::from("MOVED 3999 127.0.0.1:6381", asked);
  ASSERT_TRUE(moved);
  EXPECT_EQ(moved->kind, Redirect::Kind::moved);
  EXPECT_EQ(moved->slot, 3999);
  EXPECT_EQ(moved->to, (Address{"127.0.0.1", 6381}));
  EXPECT_EQ(Redirect::from("ASK 0 :7000", asked)->to, (Address{"h", 7000}));
  EXPECT_EQ(Redirect::from("ASK 0 ::1:7000", asked)->to, (Address{"::1", 7000}));
  for (const char* other :
       {"", "ERR no", "MOVED", "MOVED ", "MOVED x 1:2", "MOVED 1", "MOVED 16384 a:1",
        "MOVED -1 a:1", "MOVED 1 a", "MOVED 1 a:0", "MOVED 1 a:65536", "ASK 1 a:b", "ASKING 1 a:1"})
    EXPECT_FALSE(Redirect::from(other, asked)) << other;
}

}  // namespace
}  // namespace coditect::redis
