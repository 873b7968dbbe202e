// A request's body: what is read can be written, and read again as the same.
#include "http/json.h"
#include "testing/fuzz.h"

using namespace coditect;

enum class Colour { red, green };
BOOST_DESCRIBE_ENUM(Colour, red, green)

struct Part {
  http::Int<-5, 5> n;
  std::optional<Date> day;
};
BOOST_DESCRIBE_STRUCT(Part, (), (n, day))

struct Body {
  http::Text<1, 20> name;
  std::optional<Colour> colour;
  std::optional<Timestamp> at;
  bool on;
  http::List<Part, 4> parts;
};
BOOST_DESCRIBE_STRUCT(Body, (), (name, colour, at, on, parts))

FUZZ_TARGET {
  try {
    const auto body = http::read_json<Body>(input);
    const auto text = http::to_json(body);
    CHECK(http::to_json(http::read_json<Body>(text)) == text);
    CHECK(body.parts.items.size() <= 4);
  } catch (const Failure& f) {  // refused, with words
    CHECK(f.error().code == Code::invalid_argument);
    CHECK(f.error().fields.size() <= http::kMaxFieldErrors);
    for (const auto& field : f.error().fields) {
      const auto text = http::to_json(field.pointer);
      CHECK(is_valid_utf8(text) && http::parse_json(text));
    }
  }
}
