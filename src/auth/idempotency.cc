#include "auth/idempotency.h"

#include <fmt/format.h>

#include "base/mutant.h"
#include "crypto/digest.h"
#include "http/problem.h"
#include "obs/log.h"

namespace coditect::auth {
namespace {

using namespace std::chrono_literals;
using tenancy::TenantStatement;

constexpr auto kKept = 24h;
constexpr std::string_view kPurpose = "idempotency", kBodyPurpose = "idempotency_body";

constexpr TenantStatement<pg::NoRow, pg::Bytes> kDropExpired{
    "idempotency.drop_expired",
    "DELETE FROM idempotency_records r WHERE r.tenant_id = $1 AND r.id = $2 AND r.expires_at < "
    "now()"};
constexpr TenantStatement<pg::NoRow, pg::Bytes, std::string, pg::Bytes, Timestamp> kClaim{
    "idempotency.claim",
    "INSERT INTO idempotency_records (tenant_id, id, body_key, body_mac, expires_at) VALUES ($1, "
    "$2, $3, $4, $5)"};
constexpr TenantStatement<pg::NoRow, pg::Bytes, std::int32_t, pg::Bytes> kComplete{
    "idempotency.complete",
    "UPDATE idempotency_records AS r SET status = $3, answer = $4 WHERE r.tenant_id = $1 AND r.id "
    "= $2"};
constexpr TenantStatement<pg::NoRow, pg::Bytes, std::string, pg::Bytes, Timestamp, std::int32_t,
                          pg::Bytes>
    kStore{"idempotency.store",
           "INSERT INTO idempotency_records (tenant_id, id, body_key, body_mac, expires_at, "
           "status, answer) "
           "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant_id, id) DO NOTHING"};

struct Record {
  std::string body_key;
  pg::Bytes body_mac;
  std::optional<pg::Bytes> answer;
};
BOOST_DESCRIBE_STRUCT(Record, (), (body_key, body_mac, answer))
constexpr TenantStatement<Record, pg::Bytes> kFind{
    "idempotency.find",
    "SELECT r.body_key, r.body_mac, r.answer FROM idempotency_records r WHERE r.tenant_id = $1 AND "
    "r.id = $2"};

/// The key's scope and what the record keeps of the body.
struct Claim {
  std::string id;
  crypto::Keyring::Mac body;
};

Claim claim_of(const TenantContext& ctx, const std::string& key) {
  const auto& p = ctx.principal();
  // Decoded: one path has one spelling.
  std::string decoded;
  for (const auto& segment : ctx.request.segments) decoded += '/' + segment;
  if (mutant("idempotency.any_tenant"))
    return {crypto::sha256(key), ctx.services.keys.mac(kBodyPurpose, "")};
  const auto scope = fmt::format("{} {}\n{} {}\n{}", p.type_name(), to_string(p.id),
                                 ctx.request.method, decoded, key);
  return {crypto::sha256(scope), ctx.services.keys.mac(kBodyPurpose, ctx.request.body)};
}

/// A refusal by the handler is an answer too: the same request gets it again. Not so a 400: the
/// body may be mended under the same key.
Async<> store_refusal(const TenantContext& ctx, const TenantDb& db, const Claim& claim,
                      const http::Response& response) {
  auto tx = db.begin();
  tx.defer(kDropExpired, pg::Bytes{claim.id});
  tx.defer(kStore, pg::Bytes{claim.id}, claim.body.key_id, pg::Bytes{claim.body.bytes},
           now() + kKept, response.status,
           pg::Bytes{ctx.services.keys.seal(kPurpose, pack(response), claim.id)});
  co_await tx.commit();
}

struct Attempt {
  std::optional<http::Response> response;
  bool replay = false;
};

using tenancy::GlobalStatement;
constexpr GlobalStatement<pg::NoRow, pg::Bytes> kDropExpiredOnce{
    "once.drop_expired", "DELETE FROM request_records WHERE id = $1 AND expires_at <= now()"};
constexpr GlobalStatement<pg::NoRow, pg::Bytes, std::string, pg::Bytes, Timestamp, Timestamp>
    kClaimOnce{"once.claim",
               "INSERT INTO request_records (id, body_key, body_mac, plan, created_at, expires_at) "
               "VALUES ($1, $2, $3, '', $4, $5)"};
constexpr GlobalStatement<pg::NoRow, pg::Bytes, std::int32_t, pg::Bytes> kCompleteOnce{
    "once.complete", "UPDATE request_records SET status = $2, plan = $3 WHERE id = $1"};
constexpr GlobalStatement<Record, pg::Bytes> kFindOnce{
    "once.find", "SELECT body_key, body_mac, plan FROM request_records WHERE id = $1"};

/// The kept answer, or the reason why there is none.
http::Response answer_of(const Services& services, const http::Request& request,
                         const std::optional<Record>& record, const std::string& id) {
  if (!record || !record->answer)
    fail(Code::conflict, "idempotency_key_in_flight",
         "the first request with this key is not finished; try again");
  if (!services.keys.verify(kBodyPurpose, request.body,
                            {record->body_key, record->body_mac.value}) &&
      !mutant("idempotency.any_tenant"))
    fail(Code::unprocessable, "idempotency_key_reused",
         "this Idempotency-Key was used with another body");
  const auto text = services.keys.open(kPurpose, record->answer->value, id);
  if (!text)
    fail(Code::conflict, "idempotency_record_unreadable",
         "the answer was sealed with a key that is gone");
  auto response = unpack(*text);
  response.headers.push_back({"Idempotent-Replayed", "true"});
  return response;
}

Async<http::Response> replay(const TenantContext& ctx, const TenantDb& db, const Claim& claim) {
  const auto record = co_await db.maybe_one(kFind, pg::Bytes{claim.id});
  co_return answer_of(ctx.services, ctx.request, record, claim.id);
}

/// One try: claim, work, keep the answer, commit.
Async<Attempt> attempt(const Routes::Route& route, const TenantContext& ctx, const TenantDb& db,
                       const std::optional<Claim>& claim) {
  // Found before it is claimed, and (with the statement's filter off) whoever it belongs to.
  if (claim && mutant("idempotency.any_tenant") &&
      co_await db.maybe_one(kFind, pg::Bytes{claim->id}))
    co_return Attempt{{}, true};
  auto tx = db.begin();
  if (claim) {
    tx.defer(kDropExpired, pg::Bytes{claim->id});
    tx.set_lock_timeout(50ms);
    tx.defer(kClaim, pg::Bytes{claim->id}, claim->body.key_id, pg::Bytes{claim->body.bytes},
             now() + kKept);
    tx.set_lock_timeout(0ms);
    if (auto error = co_await tx.try_flush()) {
      co_await tx.rollback();
      if (error->state == "23505") co_return Attempt{{}, true};
      if (error->state == "55P03")
        fail(Code::conflict, "idempotency_key_in_flight",
             "the first request with this key is not finished; try again");
      throw pg::SqlFailure(std::move(*error));
    }
  }
  TenantWrite write{ctx, tx};
  auto response = co_await route.write(write);
  if (claim)
    tx.defer(kComplete, pg::Bytes{claim->id}, response.status,
             pg::Bytes{ctx.services.keys.seal(kPurpose, pack(response), claim->id)});
  co_await tx.commit();
  for (auto& work : write.after_commit) {
    try {
      co_await std::move(work);
    } catch (const Failure& f) {  // the answer stands: the change is committed
      obs::log(obs::Level::warn, "work after a commit failed",
               {{"request_id", ctx.request.id}, {"error", f.what()}});
    }
  }
  co_return Attempt{std::move(response), false};
}

}  // namespace

Async<http::Response> run_once(Services& services, const http::Request& request,
                               std::string principal, int& holding,
                               const std::function<Async<http::Response>()>& work) {
  const auto key = idempotency_key(request);
  if (!key) co_return co_await work();
  if (holding >= 2)
    throw Failure(
        {Code::unavailable, "too_busy", "too many of these at once", {}, std::chrono::seconds(1)});
  struct Held {
    explicit Held(int& n) : count(++n) {}
    ~Held() { --count; }
    int& count;
  } const held(holding);
  if (mutant("once.any_principal")) principal.clear();
  const auto id = crypto::sha256("once\n" + principal + "\n" + request.method + " " +
                                 std::string(request.path()) + "\n" + *key);
  const auto body = services.keys.mac(kBodyPurpose, request.body);
  const GlobalDb db(services.directory, request.deadline);
  auto tx = db.begin();
  tx.defer(kDropExpiredOnce, pg::Bytes{id});
  tx.set_lock_timeout(50ms);
  tx.defer(kClaimOnce, pg::Bytes{id}, body.key_id, pg::Bytes{body.bytes}, now(), now() + kKept);
  tx.set_lock_timeout(0ms);
  if (auto error = co_await tx.try_flush()) {
    co_await tx.rollback();
    if (error->state == "23505")
      co_return answer_of(services, request, co_await db.maybe_one(kFindOnce, pg::Bytes{id}), id);
    if (error->state == "55P03")
      fail(Code::conflict, "idempotency_key_in_flight",
           "the first request with this key is not finished; try again");
    throw pg::SqlFailure(std::move(*error));
  }
  auto response = co_await work();
  tx.defer(kCompleteOnce, pg::Bytes{id}, response.status,
           pg::Bytes{services.keys.seal(kPurpose, pack(response), id)});
  co_await tx.commit();
  co_return response;
}

std::optional<std::string> idempotency_key(const http::Request& request) {
  const auto* header = request.header("idempotency-key");
  if (header == nullptr || request.method != "POST") return std::nullopt;
  bool printable = !header->empty() && header->size() <= 255;
  for (const char c : *header) printable = printable && c > 0x20 && c < 0x7f;
  if (!printable)
    fail(Code::invalid_argument, "invalid_idempotency_key",
         "Idempotency-Key has 1 to 255 printable characters without spaces");
  return *header;
}

Async<http::Response> run_write(const Routes::Route& route, TenantContext& ctx,
                                const TenantDb& db) {
  std::optional<Claim> claim;
  if (const auto key = idempotency_key(ctx.request)) claim = claim_of(ctx, *key);
  for (int tries = 1;; ++tries) {
    std::optional<Error> refused;
    try {
      auto result = co_await attempt(route, ctx, db, claim);
      if (!result.replay) co_return std::move(*result.response);
    } catch (const Failure& f) {  // looked at below: a retry, an answer to keep, or passed on
      refused = f.error();
    }
    if (!refused) co_return co_await replay(ctx, db, *claim);
    // Nothing was committed: a serialization failure or deadlock may be tried again.
    if (refused->reason == "transaction_conflict" && tries < 4) {
      co_await async::sleep_for(async::Backoff(5ms, 50ms).next() * tries);
      continue;
    }
    const int status = http::status_of(refused->code);
    const bool answer = status > 400 && status < 500 && status != 401 && status != 403 &&
                        status != 429 && !refused->reason.starts_with("idempotency_") &&
                        refused->reason != "reference_changed";
    if (claim && answer) {
      const auto response = http::problem(*refused, ctx.request.id);
      co_await store_refusal(ctx, db, *claim, response);
      co_return response;
    }
    throw Failure(std::move(*refused));
  }
}

std::string pack(const http::Response& response) {
  boost::json::array headers;
  for (const auto& h : response.headers) headers.push_back({h.name, h.value});
  return boost::json::serialize(boost::json::object{{"status", response.status},
                                                    {"type", response.content_type},
                                                    {"headers", std::move(headers)},
                                                    {"body", response.body}});
}

http::Response unpack(std::string_view text) {
  const auto value = boost::json::parse(text);
  http::Response r;
  r.status = static_cast<int>(value.at("status").as_int64());
  r.content_type = value.at("type").as_string();
  r.body = value.at("body").as_string();
  for (const auto& h : value.at("headers").as_array())
    r.headers.push_back({std::string(h.at(0).as_string()), std::string(h.at(1).as_string())});
  return r;
}

}  // namespace coditect::auth
