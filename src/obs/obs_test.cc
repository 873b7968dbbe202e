#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/json.hpp>

#include "obs/log.h"
#include "obs/metrics.h"
#include "obs/trace.h"

namespace coditect::obs {
namespace {

TEST(Log, ALineIsOneJsonObjectWhateverTheText) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  set_log_file(ends[1]);
  log(Level::info, "a \"quoted\"\nline\x01", {{"n", 7}, {"x", 0.5}, {"ok", true}, {"t", "\\"}});
  log(Level::debug, "not written");
  set_log_file(2);
  char buffer[512];
  const auto size = read(ends[0], buffer, sizeof buffer);
  const std::string line(buffer, static_cast<std::size_t>(size));
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const auto object = boost::json::parse(line).as_object();
  EXPECT_EQ(object.at("message").as_string(), "a \"quoted\"\nline\x01");
  EXPECT_EQ(object.at("n").as_int64(), 7);
  EXPECT_EQ(object.at("level").as_string(), "info");
  EXPECT_TRUE(object.at("ok").as_bool());
  close(ends[0]);
  close(ends[1]);
}

TEST(Trace, ReadsAndWritesTraceparent) {
  const std::string header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const auto context = TraceContext::parse(header);
  ASSERT_TRUE(context);
  EXPECT_TRUE(context->sampled);
  EXPECT_EQ(context->header(), header);
  EXPECT_EQ(context->child().trace_id, context->trace_id);
  EXPECT_NE(context->child().span_id, context->span_id);
}

TEST(Trace, StrangersCannotHaveEverythingRecorded) {
  AskedSamples asked;
  const auto at = now();
  int taken = 0;
  for (int i = 0; i < 1000; ++i) taken += asked.take(at + std::chrono::microseconds(i)) ? 1 : 0;
  EXPECT_EQ(taken, AskedSamples::kPerSecond);
  EXPECT_TRUE(asked.take(at + std::chrono::seconds(1)));
}

TEST(Trace, RefusesMalformedHeaders) {
  for (const char* bad : {"", "00", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
                          "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                          "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                          "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
                          "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
                          "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
                          "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-zz"})
    EXPECT_FALSE(TraceContext::parse(bad)) << bad;
  EXPECT_TRUE(TraceContext::parse("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x"));
}

TEST(Trace, AFullQueueDropsAndCounts) {
  SpanQueue queue(2);
  for (int i = 0; i < 5; ++i) queue.push({.name = "s", .context = TraceContext::start(true)});
  EXPECT_EQ(queue.dropped(), 3u);
  EXPECT_EQ(queue.take(10).size(), 2u);
}

TEST(Trace, TheExportIsValidOtlpJson) {
  const auto parent = TraceContext::start(true);
  Span span{
      .name = "GET /v1/\"x\"", .context = parent.child(), .parent = parent.span_id, .failed = true};
  span.attributes = {{"http.route", "/v1"}};
  const auto json = boost::json::parse(to_otlp_json({span, span}, "coditect")).as_object();
  const auto& spans = json.at("resourceSpans").at(0).at("scopeSpans").at(0).at("spans").as_array();
  ASSERT_EQ(spans.size(), 2u);
  EXPECT_EQ(spans[0].at("name").as_string(), "GET /v1/\"x\"");
  EXPECT_EQ(spans[0].at("status").at("code").as_int64(), 2);
}

TEST(Metrics, TheSameNameAndLabelsAreTheSameCounter) {
  Metrics metrics;
  metrics.counter("coditect_test_total", "help", {{"kind", "a"}}).Increment();
  metrics.counter("coditect_test_total", "help", {{"kind", "a"}}).Increment();
  EXPECT_NE(metrics.text().find("coditect_test_total{kind=\"a\"} 2"), std::string::npos)
      << metrics.text();
}

}  // namespace
}  // namespace coditect::obs
