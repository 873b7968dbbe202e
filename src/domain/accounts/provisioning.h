#pragma once
#include <optional>
#include <string>

#include "auth/services.h"
#include "domain/accounts/model.h"
#include "http/message.h"

namespace coditect::accounts {

/// Everything a new organization will be, decided before anything is written: whoever repeats the
/// sequence ends in the same tenant with the same key.
struct Plan {
  auth::UserId user;
  std::string email;
  TenantPublicId tenant;
  std::string name;
  std::string slug;
  auth::MemberId member;
  auth::ApiKeyId key;
  std::string key_text;
  Uuid activity;
  std::string request_id;
};

/// What makes two requests the same, and what the record keeps of the body.
struct RequestScope {
  std::string id;  ///< SHA-256 of principal, method, path and key
  std::string body;
  bool is_explicit = false;  ///< the client gave an Idempotency-Key: the answer is replayed
};

/// Makes the organization in three steps, each idempotent: directory as `provisioning` (with the
/// sealed plan), cell, directory as `active`. Returns the plan that was carried out.
/// `password_hash`: of a new user; nullopt when the user exists. Throws `email_taken`,
/// `slug_taken`.
class Provisioning {
 public:
  explicit Provisioning(auth::Services& services) : s_(services) {}

  struct Outcome {
    Plan plan;
    bool replayed = false;
  };
  /// An earlier request of this scope, finished now if a crash left it; nullopt when there is none.
  Async<std::optional<Outcome>> resume(const RequestScope& scope, Deadline deadline);
  Async<Outcome> run(const RequestScope& scope, Plan plan, std::optional<std::string> password_hash,
                     Deadline deadline);

  /// Finishes what crashed processes left; the number finished.
  Async<int> sweep(Deadline deadline);

 private:
  Async<> finish(const std::string& scope_id, std::int64_t tenant, const Plan& plan,
                 Deadline deadline);

  auth::Services& s_;
};

}  // namespace coditect::accounts
