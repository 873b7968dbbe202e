#pragma once
#include "auth/services.h"
#include "config/settings.h"
#include "http/otlp_exporter.h"
#include "http/server.h"
#include "schema/bootstrap.h"

namespace coditect::app {

struct DatabaseSettings {
  Secret url;  ///< the server; may hold a password
  schema::DatabaseNames names;
  Secret app_password, operator_password, maintenance_password, migrator_password, import_password,
      cluster_password, identity_password;
  int cell_pool = 8, directory_pool = 4;
  pg::PoolSettings pool;

  /// Of the roles that the application and its commands log in as; only those that are set.
  std::map<std::string, Secret> role_passwords() const;
};

struct CellSettings {
  Secret url;  ///< the cell's server, when it is not the directory's
  std::string route = "worker";
  std::chrono::milliseconds map_interval{2000};
  int backend_memory_mib = 256;
};

/// Every setting of the program, with its default.
struct ProgramSettings {
  http::ServerSettings http;
  DatabaseSettings database;
  CellSettings cell;
  Secret redis_url{"redis://127.0.0.1:6379"};
  std::chrono::milliseconds redis_timeout{250};
  std::string redis_ca_file;
  auth::Settings auth;
  http::TraceSettings trace;
  Secret sealing_keys;
  std::string sealing_key_file;
  int loops = 0;
  int hash_threads = 0;
  int hash_queue = 64;
  std::string log_level = "info";
  std::chrono::milliseconds maintenance_interval{5000};

  void describe(config::Table& table);
  int loop_count() const;
  /// An administrator's way to the cell's server.
  const Secret& cell_url() const { return cell.url.empty() ? database.url : cell.url; }
  std::string directory_conninfo(const std::string& role, const Secret& password) const;
  std::string cell_conninfo(const std::string& role, const Secret& password) const;
};

}  // namespace coditect::app
