// A server's bytes, whole and in pieces; slot maps; redirections; addresses.
#include "redis/resp.h"
#include "redis/settings.h"
#include "redis/slots.h"
#include "testing/fuzz.h"

using namespace coditect;

static std::vector<redis::Reply> replies(std::string_view bytes, std::size_t piece, bool& bad) {
  redis::Parser parser;
  std::vector<redis::Reply> out;
  while (!bytes.empty() && !bad) {
    parser.append(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
    for (redis::Reply reply;;) {
      const auto status = parser.next(reply);
      bad = status == redis::Parser::Status::malformed;
      if (status != redis::Parser::Status::complete) break;
      out.push_back(std::move(reply));
    }
  }
  return out;
}

static bool same(const redis::Reply& a, const redis::Reply& b) {
  return a.kind == b.kind && a.text == b.text && a.integer == b.integer &&
         std::ranges::equal(a.items, b.items, same);
}

FUZZ_TARGET {
  bool bad = false, bad_in_pieces = false;
  const auto whole = replies(input, std::string_view::npos, bad);
  const auto pieces = replies(input, 3, bad_in_pieces);
  CHECK(bad == bad_in_pieces);
  CHECK(std::ranges::equal(whole, pieces, same));
  const redis::Address asked{"host", 1};
  for (const auto& reply : whole) {
    if (const auto map = redis::SlotMap::from(reply, asked))
      for (int slot = 0; slot < redis::kSlots; slot += 1000)
        if (const auto* master = map->master_of(slot)) CHECK(master->port > 0);
    if (const auto to = redis::Redirect::from(reply.text, asked)) {
      CHECK(to->slot >= 0 && to->slot < redis::kSlots);
      CHECK(to->to.port > 0 && to->to.port < 65536);
    }
  }
  const int slot = redis::slot_of(input);
  CHECK(slot >= 0 && slot < redis::kSlots);
  if (const auto settings = redis::Settings::parse(std::string(input)))
    CHECK(!settings->addresses.empty());
}
