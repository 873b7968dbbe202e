#include <gtest/gtest.h>

#include "http/json.h"
#include "http/message.h"
#include "http/problem.h"
#include "http/router.h"

namespace coditect::http {
namespace {

enum class Colour { red, green };
BOOST_DESCRIBE_ENUM(Colour, red, green)

struct Inner {
  Int<1, 10> n;
};
BOOST_DESCRIBE_STRUCT(Inner, (), (n))

struct Body {
  Text<2, 5> name;
  std::optional<Colour> colour;
  List<Inner, 2> items;
};
BOOST_DESCRIBE_STRUCT(Body, (), (name, colour, items))

struct Patch {
  Field<Text<1, 5>> name;
  Field<std::optional<Date>> due;
};
BOOST_DESCRIBE_STRUCT(Patch, (), (name, due))

std::vector<std::string> broken(std::string_view text) {
  std::vector<std::string> out;
  try {
    read_json<Body>(text);
  } catch (const Failure& f) {
    for (const auto& field : f.error().fields) out.push_back(field.pointer + " " + field.code);
    if (out.empty()) out.emplace_back(f.error().reason);
  }
  return out;
}

using Problems = std::vector<std::string>;

TEST(Json, NamesEachBrokenRuleByItsPointer) {
  EXPECT_EQ(broken(R"({"name":"ab","items":[]})"), Problems{});
  EXPECT_EQ(broken(R"({"name":"a","items":[{"n":11}],"colour":"blue","more":1})"),
            (Problems{"/name too_short", "/colour unknown_value", "/items/0/n out_of_range",
                      "/more unknown_member"}));
  EXPECT_EQ(broken(R"({"name":"ab","items":[{"n":1.5},{"n":"1"}]})"),
            (Problems{"/items/0/n wrong_type", "/items/1/n wrong_type"}));
  EXPECT_EQ(broken(R"({"name":"ab","items":[{"n":1},{"n":1},{"n":1}]})"),
            Problems{"/items too_many"});
  EXPECT_EQ(broken(R"({"name":"abcdef","items":[]})"), Problems{"/name too_long"});
  EXPECT_EQ(broken(R"({"name":"東京","items":[]})"), Problems{});  // characters, not bytes
  EXPECT_EQ(broken("[]"), Problems{" wrong_type"});
  EXPECT_EQ(broken(R"({"a/b~c":1,"name":"ab","items":[]})"), Problems{"/a~1b~0c unknown_member"});
  EXPECT_EQ(broken(R"({"name":"ab","items":[{"n":1,"n":2}]})"), Problems{"/n duplicate"});
  EXPECT_EQ(broken(R"({"name":"ab","items":[],})"), Problems{"malformed_json"});
  EXPECT_EQ(broken("{\"name\":\"ab\",\"items\":[]} {}"), Problems{"malformed_json"});
  EXPECT_EQ(broken(std::string(100, '[')), Problems{"malformed_json"});
  EXPECT_EQ(broken(""), Problems{"body_missing"});
  EXPECT_EQ(broken("{\"name\":\"\xff\xff\",\"items\":[]}").size(), 1u);
}

TEST(Json, AMergePatchTellsAbsentFromNull) {
  const auto absent = read_json<Patch>("{}");
  EXPECT_FALSE(absent.name.present() || absent.due.present());
  const auto null = read_json<Patch>(R"({"due":null})");
  EXPECT_TRUE(null.due.present());
  EXPECT_FALSE((*null.due).has_value());
  EXPECT_THROW(read_json<Patch>(R"({"name":null})"), Failure);
}

TEST(Json, WritesWhatItReads) {
  const std::string text = R"({"name":"a\"\nb","colour":"green","items":[{"n":3}]})";
  EXPECT_EQ(to_json(read_json<Body>(text)), text);
}

TEST(Json, TheSchemaStatesTheRules) {
  const auto schema = JsonType<Body>::schema();
  EXPECT_EQ(json::serialize(schema.at("required")), R"(["name","items"])");
  EXPECT_EQ(schema.at("properties").at("name").at("maxLength").to_number<int>(), 5);
  EXPECT_FALSE(schema.at("additionalProperties").as_bool());
}

TEST(Router, ALiteralBeatsAParameterAndTheMethodsOfAPathAreKnown) {
  Router<int> router;
  router.add("GET", "/a/{x}", 1);
  router.add("GET", "/a/new", 2);
  router.add("POST", "/a/{x}", 3);
  router.add("GET", "/a/{x}/b/{y}", 4);
  EXPECT_EQ(*router.find("GET", {"a", "new"}).route, 2);
  EXPECT_EQ(*router.find("HEAD", {"a", "z"}).route, 1);
  const auto deep = router.find("GET", {"a", "1", "b", "2"});
  EXPECT_EQ(deep.params.at("x"), "1");
  EXPECT_EQ(deep.params.at("y"), "2");
  const auto wrong = router.find("DELETE", {"a", "z"});
  EXPECT_EQ(wrong.route, nullptr);
  EXPECT_EQ(wrong.allowed, "GET, HEAD, POST");
  EXPECT_TRUE(router.find("GET", {"a"}).allowed.empty());
  EXPECT_TRUE(router.find("GET", {"a", ""}).allowed.empty());
  EXPECT_EQ(*router.find("GET", {"a", "new", "b", "2"}).route, 4);
}

TEST(Target, IsDecodedOnceAndStrictly) {
  Request r;
  r.target = "/a%2Fb/c%20d?x=1+2&y=%26&z&x=3";
  ASSERT_TRUE(parse_target(r));
  EXPECT_EQ(r.segments, (std::vector<std::string>{"a/b", "c d"}));
  EXPECT_EQ(r.query.size(), 4u);
  EXPECT_EQ(r.query[0].second, "1 2");
  EXPECT_EQ(r.query[1].second, "&");
  for (const char* bad : {"a", "*", "/%", "/%2", "/%zz", "/%00", "/%ff", "/?x=%0"}) {
    Request refused;
    refused.target = bad;
    EXPECT_FALSE(parse_target(refused)) << bad;
  }
  Request slash;
  slash.target = "/a/";
  ASSERT_TRUE(parse_target(slash));
  EXPECT_EQ(slash.segments, (std::vector<std::string>{"a", ""}));
}

TEST(Problem, KeepsPrivateDetailsPrivate) {
  Error error{Code::conflict, "taken", "constraint projects_pkey_102045 on 10.0.0.7"};
  EXPECT_TRUE(problem(error, "req_1").body.contains("102045"));
  error.detail_is_private = true;
  EXPECT_FALSE(problem(error, "req_1").body.contains("102045"));
  EXPECT_FALSE(
      problem({Code::internal, "internal", "secret words"}, "req_1").body.contains("secret"));
  const auto busy = problem({Code::unavailable, "busy", "", {}, std::chrono::seconds(3)}, "req_1");
  EXPECT_EQ(busy.status, 503);
  EXPECT_EQ(busy.headers.front().value, "3");
}

}  // namespace
}  // namespace coditect::http
