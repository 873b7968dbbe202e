#pragma once
#include <string>

#include "tenancy/db.h"

/// The append-only trail of a tenant: each entry is written in the transaction of its change.
namespace coditect::audit {

struct Actor {
  std::string type;  ///< "member", "api_key", "system"
  std::optional<Uuid> id;
};

struct Target {
  std::string type;  ///< "task"
  Uuid id;
};

struct ActivityTag {
  static constexpr std::string_view prefix = "activity";
};
using ActivityId = Id<ActivityTag>;

struct Entry {
  Actor actor;
  std::string verb;  ///< "task.created"
  Target target;
  std::optional<std::string> before, after;  ///< JSON
  std::string request_id;
  ActivityId id = ActivityId::make();
};

/// Adds the entry to the transaction; it is sent with the next statement or the commit.
void record(tenancy::TenantTx& tx, const Entry& entry);

}  // namespace coditect::audit
