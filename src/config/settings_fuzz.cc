// A settings file and single values of every type.
#include "config/settings.h"
#include "testing/fuzz.h"

using namespace coditect;

FUZZ_TARGET {
  std::string text, name = "x";
  Secret secret;
  bool on = false;
  int number = 5;
  std::chrono::milliseconds wait{100};
  config::Table table;
  table.add("a.text", text, "");
  table.add("a.secret", secret, "");
  table.add("a.on", on, "");
  table.add("b.number", number, {0, 10}, "");
  table.add("b.wait", wait, {0, 1000}, "");
  config::Table::Sources sources;
  sources.file_name = "f";
  sources.file_text = input;
  (void)table.load(sources);
  CHECK(number >= 0 && number <= 10);
  CHECK(wait.count() >= 0 && wait.count() <= 1000);
  if (const auto d = config::parse_duration(input))
    CHECK(*config::parse_duration(config::to_text(*d)) == *d);
}
