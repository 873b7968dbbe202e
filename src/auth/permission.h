#pragma once
#include <cstdint>
#include <initializer_list>
#include <vector>

#include <boost/describe.hpp>
#include <boost/mp11.hpp>

namespace coditect::auth {

/// What a credential may do inside its own tenant; also the scopes of API keys.
enum class Permission {
  tenant_read,
  tenant_update,
  tenant_delete,
  members_read,
  members_manage,
  api_keys_read,
  api_keys_manage,
  data_read,
  data_write,
  activity_read,
};
BOOST_DESCRIBE_ENUM(Permission, tenant_read, tenant_update, tenant_delete, members_read,
                    members_manage, api_keys_read, api_keys_manage, data_read, data_write,
                    activity_read)

enum class Role { owner, admin, member, viewer };
BOOST_DESCRIBE_ENUM(Role, owner, admin, member, viewer)

class PermissionSet {
 public:
  constexpr PermissionSet() = default;
  constexpr PermissionSet(std::initializer_list<Permission> list) {
    for (const auto p : list) bits_ |= bit(p);
  }
  explicit PermissionSet(const std::vector<Permission>& list) {
    for (const auto p : list) bits_ |= bit(p);
  }

  constexpr bool has(Permission p) const { return (bits_ & bit(p)) != 0; }
  constexpr bool contains(PermissionSet other) const { return (other.bits_ & ~bits_) == 0; }

 private:
  static constexpr std::uint32_t bit(Permission p) { return 1u << static_cast<unsigned>(p); }
  std::uint32_t bits_ = 0;
};

constexpr PermissionSet permissions_of(Role role) {
  using enum Permission;
  switch (role) {
    case Role::owner:
      return {tenant_read,   tenant_update,   tenant_delete, members_read, members_manage,
              api_keys_read, api_keys_manage, data_read,     data_write,   activity_read};
    case Role::admin:
      return {tenant_read,     tenant_update, members_read, members_manage, api_keys_read,
              api_keys_manage, data_read,     data_write,   activity_read};
    case Role::member: return {tenant_read, members_read, data_read, data_write, activity_read};
    case Role::viewer: return {tenant_read, members_read, data_read};
  }
  return {};
}

}  // namespace coditect::auth
