#include "audit/activity.h"

namespace coditect::audit {
namespace {

// DO NOTHING: a repeated step of an idempotent sequence has written it already.
constexpr tenancy::TenantStatement<pg::NoRow, ActivityId, std::string, std::optional<Uuid>,
                                   std::string, std::string, Uuid, std::optional<pg::Json>,
                                   std::optional<pg::Json>, std::string, Timestamp>
    kRecord{"activity.record",
            "INSERT INTO activity (tenant_id, id, actor_type, actor_id, verb, target_type, "
            "target_id, before, after, request_id, created_at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (tenant_id, id) DO "
            "NOTHING"};

std::optional<pg::Json> to_json(const std::optional<std::string>& text) {
  return text ? std::optional(pg::Json{*text}) : std::nullopt;
}

}  // namespace

void record(tenancy::TenantTx& tx, const Entry& e) {
  tx.defer(kRecord, e.id, e.actor.type, e.actor.id, e.verb, e.target.type, e.target.id,
           to_json(e.before), to_json(e.after), e.request_id, now());
}

}  // namespace coditect::audit
