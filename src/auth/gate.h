#pragma once
#include <array>
#include <atomic>
#include <cstring>
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

  std::string_view type_name() const { return type == Type::api_key ? "api_key" : "member"; }
};

class KeyCheck;

/// A credential, and the one tenant it acts for. Where it is an API key that this process has not
/// looked at within the last second, `check` is what remains to be done: it travels with the first
/// statement of the request, and nothing of that is used or committed before the key, the tenant's
/// state and the permission have been found right.
struct TenantAccess {
  Tenant tenant;
  TenantPublicId public_id;
  std::string slug;
  Principal principal;
  PermissionSet permissions;  ///< without a check; else those that the check finds
  std::shared_ptr<KeyCheck> check{};
};

/// The remaining check, for the TenantDb of the request; nullptr when there is none.
tenancy::Companion* companion_of(const TenantAccess& access);

struct UserAccess {
  UserId user;
  SessionId session;
  std::string email;
};

struct OperatorAccess {
  OperatorId id;
  std::string name;
};

/// API keys that were found right within the last second, for all loops of the process.
class KnownKeys {
 public:
  using Digest = std::array<char, 32>;
  struct Entry {
    TenantPublicId public_id;
    Uuid key;
    std::int64_t tenant;
    std::uint64_t slug;  ///< as in TenantIdentity
    PermissionSet permissions;
    tenancy::TenantState state;
    std::chrono::steady_clock::time_point checked_at;
  };
  static constexpr std::chrono::milliseconds kLife{1000};

  /// An entry that is still to be believed.
  std::optional<Entry> find(const Digest& digest, tenancy::TenantKnowledge& tenants);
  void put(const Digest& digest, const Entry& entry) { entries_.put(digest, entry); }

  /// Whether a key that was never seen may be checked together with its request's first statement.
  /// Not while many keys are wrong: their statements would be work for nothing.
  bool may_hope();
  void was_wrong() { wrong_.fetch_add(1, std::memory_order_relaxed); }

 private:
  struct Hash {
    std::size_t operator()(const Digest& d) const {
      std::size_t out = 0;
      std::memcpy(&out, d.data(), sizeof out);
      return out;
    }
  };
  FixedCache<Digest, Entry, Hash> entries_{65536};  ///< 9 MiB when full
  std::atomic<int> wrong_{0};                       ///< keys in this second
  std::atomic<std::int64_t> second_{0};
};

/// The one place where a credential becomes a Tenant. Checks are remembered for one second at most.
/// One per loop.
class Gate {
 public:
  explicit Gate(Services& services);

  /// What the route asks of the credential.
  struct Need {
    Permission permission;
    bool while_inactive;  ///< also when the tenant is suspended or deleted
    bool at_once;         ///< before the handler runs, not with its first statement
  };
  /// Who may act for the tenant of the path. Another tenant's path and one that does not exist fail
  /// alike, with `tenant_not_found`.
  Async<TenantAccess> tenant(const http::Request& request, const std::string& slug, Need need);
  /// What the credential may do; does what remains of the check first.
  Async<PermissionSet> settle(const TenantAccess& access, const http::Request& request);
  /// The signed-in user. Changing methods need the CSRF token.
  Async<UserAccess> user(const http::Request& request);
  Async<OperatorAccess> operators(const http::Request& request);

  /// Forgets what is remembered of a session that has ended here.
  void forget_session(const std::string& token_hash);

 private:
  struct SessionEntry {
    UserAccess access;
  };
  struct MemberEntry {
    MemberId member;
    Role role;
  };

  Async<TenantAccess> by_api_key(const http::Request& request, std::string_view bearer,
                                 const std::string& slug, Need need);
  Async<TenantAccess> by_session(const http::Request& request, const std::string& slug, Need need);
  void check_browser(const http::Request& request, const SessionId& session) const;

  Services& s_;
  LruCache<std::string, SessionEntry> sessions_;
  LruCache<std::string, MemberEntry> members_;
};

/// The session cookie's name: with the __Host- prefix when cookies are Secure.
std::string session_cookie_name(const Settings& settings);

}  // namespace coditect::auth
