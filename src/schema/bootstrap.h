#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/secret.h"

namespace coditect::schema {

/// Where the platform's databases are, and as whom to reach them.
struct DatabaseNames {
  std::string directory = "coditect_directory";
  std::string cell = "coditect_cell";
  std::string identity = "coditect_identity";
};

/// The login roles; ARCHITECTURE tells what each may do.
inline constexpr const char* kLoginRoles[] = {"coditect_migrator", "coditect_app",
                                              "coditect_maintenance", "coditect_operator",
                                              "coditect_import"};

/// Makes the roles (with these passwords, by role name) and the databases on one server, where they
/// are missing. The administrator needs CREATEROLE and CREATEDB, not superuser. Idempotent. Blocks.
void prepare_server(const std::string& administrator,
                    const std::map<std::string, Secret>& passwords,
                    const std::vector<std::string>& databases);

/// Makes the database of Ory Hydra and the role that owns it, on the directory's server, or sets
/// the role's password. The role may do nothing else. Idempotent. Blocks.
void prepare_identity(const std::string& administrator, const std::string& database,
                      const Secret& password);

/// The same server with another database, user and password: URL or key=value in, key=value out.
std::string conninfo_for(const std::string& base, const std::string& database,
                         const std::string& user, const Secret& password);

}  // namespace coditect::schema
