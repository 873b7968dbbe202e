#include "config/settings.h"

#include <gtest/gtest.h>

namespace coditect::config {
namespace {

struct Example {
  int port = 8080;
  std::string host = "127.0.0.1";
  Secret key;
  bool on = false;
  std::chrono::milliseconds wait{250};
};

struct SettingsTest : ::testing::Test {
  SettingsTest() {
    table.add("http.port", values.port, {.min = 1, .max = 65535}, "port");
    table.add("http.host", values.host, "host");
    table.add("seal.key", values.key, "key");
    table.add("http.on", values.on, "on");
    table.add("pool.max_wait", values.wait, {.min = 1, .max = 60000}, "wait");
  }
  std::string problem(const Table::Sources& sources) {
    const auto loaded = table.load(sources);
    return loaded ? "" : loaded.error().detail;
  }
  Example values;
  Table table;
};

TEST_F(SettingsTest, AFlagBeatsTheEnvironmentBeatsTheFileBeatsTheDefault) {
  EXPECT_EQ(problem({.flags = {{"http.port", "3"}},
                     .environment = {{"CODITECT_HTTP_PORT", "2"}, {"CODITECT_HTTP_HOST", "b"}},
                     .file_name = "c.toml",
                     .file_text = "[http]\nport = 1\nhost = 'a'\non = true\n"}),
            "");
  EXPECT_EQ(values.port, 3);
  EXPECT_EQ(values.host, "b");
  EXPECT_TRUE(values.on);
  EXPECT_EQ(values.wait.count(), 250);
  EXPECT_EQ(table.find("http.port")->source, "--http-port");
  EXPECT_EQ(table.find("http.host")->source, "CODITECT_HTTP_HOST");
  EXPECT_EQ(table.find("http.on")->source, "file c.toml");
  EXPECT_EQ(table.find("pool.max_wait")->source, "default");
}

TEST_F(SettingsTest, AnUnknownKeyIsRefusedWithTheNearestKnownOne) {
  EXPECT_NE(problem({.file_name = "c.toml", .file_text = "[http]\nprot = 1\n"}).find("http.port"),
            std::string::npos);
  EXPECT_NE(
      problem({.environment = {{"CODITECT_POOL_MAXWAIT", "1s"}}}).find("CODITECT_POOL_MAX_WAIT"),
      std::string::npos);
}

TEST_F(SettingsTest, AWrongValueNamesTheSettingAndWhatWouldBeRight) {
  EXPECT_NE(problem({.flags = {{"http.port", "70000"}}}).find("1 to 65535"), std::string::npos);
  EXPECT_NE(problem({.flags = {{"http.port", "80x"}}}).find("whole number"), std::string::npos);
  EXPECT_NE(problem({.flags = {{"pool.max_wait", "5"}}}).find("ms, s, m, h or d"),
            std::string::npos);
  EXPECT_NE(problem({.flags = {{"pool.max_wait", "2m"}}}).find("1ms to 1m"), std::string::npos);
  EXPECT_NE(problem({.flags = {{"http.on", "yes"}}}).find("true nor false"), std::string::npos);
  EXPECT_NE(problem({.file_name = "c.toml", .file_text = "x = [1"}).find("c.toml:1"),
            std::string::npos);
}

TEST_F(SettingsTest, ASecretIsNeverShown) {
  EXPECT_EQ(problem({.flags = {{"seal.key", "hunter2"}}}), "");
  EXPECT_EQ(table.find("seal.key")->shown(), "***");
}

TEST(Duration, RoundTrips) {
  for (const char* text : {"0s", "250ms", "5s", "10m", "2h", "30d"})
    EXPECT_EQ(to_text(*parse_duration(text)), text);
  for (const char* bad :
       {"", "5", "s", "-1s", "5 s", "1.5s", "99999999999999999999d", "9000000000000000000ms"})
    EXPECT_FALSE(parse_duration(bad)) << bad;
}

TEST(Settings, AFileThatTheParserWouldNotBearIsRefusedByItsLine) {
  std::string text;
  Table table;
  table.add("a.text", text, "");
  const auto load = [&](const std::string& file) {
    Table::Sources sources;
    sources.file_name = "f.toml";
    sources.file_text = file;
    return table.load(sources);
  };
  for (const char* bad :
       {"\n[?]", "\n[", "\n[[a]]", "\nnum \xc3\x99 = 1", "\n a = \xff", "\na = [1]", "\na = {}",
        "\na = 1.5", "\na = 1979-05-27", "\na = \"x", "\na = \"\\q\"", "\na = '''x", "\na = 1 1",
        "\na", "\n= 1", "\na == 1", "\na = \"\x01\"", "\n[a] b = 1", "\na.text = \"\xff\""}) {
    const auto loaded = load(bad);
    ASSERT_FALSE(loaded) << bad;
    EXPECT_TRUE(loaded.error().detail.starts_with("f.toml:2: ")) << loaded.error().detail;
  }
  EXPECT_TRUE(
      load("# Gr\xc3\xbc\xc3\x9f"
           "e\r\n[ a ] # x\r\n\ttext=\"Gr\xc3\xbc\xc3\x9f"
           "e \\\" # [?\" # \xc3\x99\n"));
  EXPECT_EQ(text,
            "Gr\xc3\xbc\xc3\x9f"
            "e \" # [?");
  EXPECT_TRUE(load("a.text = 'C:\\x'"));
  EXPECT_EQ(text, "C:\\x");
}

}  // namespace
}  // namespace coditect::config
