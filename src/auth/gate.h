#pragma once
#include <optional>
#include <string>

#include "auth/credential.h"
#include "auth/permission.h"
#include "auth/services.h"
#include "http/message.h"

namespace coditect::auth {

/// Who acts inside a tenant.
struct Principal {
  enum class Type { api_key, member };
  Type type = Type::api_key;
  Uuid id;  ///< of the API key or of the member
  PermissionSet permissions;

  std::string_view type_name() const { return type == Type::api_key ? "api_key" : "member"; }
};

/// A credential that was checked, and the one tenant it acts for.
struct TenantAccess {
  Tenant tenant;
  tenancy::TenantRecord record;
  Principal principal;
};

struct UserAccess {
  UserId user;
  SessionId session;
  std::string email;
};

struct OperatorAccess {
  OperatorId id;
  std::string name;
};

/// The one place where a credential becomes a Tenant. Checks are remembered for one second at most.
/// One per loop.
class Gate {
 public:
  explicit Gate(Services& services);

  /// Who may act for the tenant of the path. Another tenant's path and one that does not exist fail
  /// alike, with `tenant_not_found`. `while_inactive`: also when it is suspended or deleted.
  Async<TenantAccess> tenant(const http::Request& request, const std::string& slug,
                             bool while_inactive);
  /// The signed-in user. Changing methods need the CSRF token.
  Async<UserAccess> user(const http::Request& request);
  Async<OperatorAccess> operators(const http::Request& request);

  /// Forgets what is remembered of a session that has ended here.
  void forget_session(const std::string& token_hash);

 private:
  struct KeyEntry {
    std::int64_t tenant;
    Uuid key;
    PermissionSet permissions;
  };
  struct SessionEntry {
    UserAccess access;
  };
  struct MemberEntry {
    MemberId member;
    Role role;
  };

  Async<TenantAccess> by_api_key(const http::Request& request, std::string_view bearer,
                                 const std::string& slug);
  Async<TenantAccess> by_session(const http::Request& request, const std::string& slug);
  void check_browser(const http::Request& request, const SessionId& session) const;

  Services& s_;
  LruCache<std::string, KeyEntry> keys_;
  LruCache<std::string, SessionEntry> sessions_;
  LruCache<std::string, MemberEntry> members_;
};

/// The session cookie's name: with the __Host- prefix when cookies are Secure.
std::string session_cookie_name(const Settings& settings);

}  // namespace coditect::auth
