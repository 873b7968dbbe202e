#pragma once
#include <cstdint>
#include <string>

#include "base/id.h"

namespace coditect {

namespace tenancy {
class TenantMint;
}

/// Proof that the current work acts for exactly one tenant. It cannot be made from a number: only
/// the authentication gate mints one, from a verified credential (see tenant_mint.h).
class Tenant {
 public:
  /// The number in the tables' tenant_id; never shown outside.
  std::int64_t id() const noexcept { return id_; }

 private:
  friend class tenancy::TenantMint;
  explicit Tenant(std::int64_t id) : id_(id) {}
  std::int64_t id_;
};

struct TenantTag {
  static constexpr std::string_view prefix = "org";
};
/// A tenant's id outside: "org_01h455vb4pex5vsknk084sn02q".
using TenantPublicId = Id<TenantTag>;

}  // namespace coditect
