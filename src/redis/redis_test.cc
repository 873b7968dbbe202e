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
  EXPECT_EQ(full->host + " " + full->user + " " + full->password, "redis.example user secret");
  EXPECT_EQ(full->port, 6380);
  EXPECT_EQ(Settings::parse("redis://:pw@127.0.0.1")->password, "pw");
  EXPECT_EQ(Settings::parse("unix:///run/redis.sock?password=pw")->host, "/run/redis.sock");
  for (const char* bad : {"", "http://x", "redis://", "redis://h:0", "redis://h:x",
                          "redis://h:70000", "unix://relative", "unix:///a?db=1"})
    EXPECT_FALSE(Settings::parse(bad)) << bad;
}

}  // namespace
}  // namespace coditect::redis
