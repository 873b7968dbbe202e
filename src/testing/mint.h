#pragma once
#include "tenancy/tenant_mint.h"

namespace coditect::testing {

/// The two tenants of every fixture, as tests may make them.
inline constexpr std::int64_t kAcme = 1, kGlobex = 2;
inline Tenant tenant(std::int64_t id) { return tenancy::TenantMint::mint(id); }

}  // namespace coditect::testing
