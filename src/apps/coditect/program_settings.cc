#include "apps/coditect/program_settings.h"

#include <thread>

namespace coditect::app {

void ProgramSettings::describe(config::Table& t) {
  constexpr std::int64_t kSecond = 1000, kHour = 3600 * kSecond, kDay = 24 * kHour;
  t.add("http.host", http.host, "address to listen on");
  t.add("http.port", http.port, {0, 65535}, "port to listen on; 0 chooses a free one");
  t.add("http.max_connections", http.max_connections, {1, 1000000},
        "open connections of one event loop");
  t.add("http.max_header_bytes", http.max_header_bytes, {1024, 1048576},
        "size of a request's headers");
  t.add("http.max_url_bytes", http.max_url_bytes, {256, 65536}, "size of a request's URL");
  t.add("http.max_body_bytes", http.max_body_bytes, {1024, 1073741824}, "size of a request's body");
  t.add("http.header_timeout", http.header_timeout, {100, 10 * 60 * kSecond},
        "for a client to send its headers");
  t.add("http.body_timeout", http.body_timeout, {100, kHour}, "for a client to send its body");
  t.add("http.idle_timeout", http.idle_timeout, {100, kHour},
        "between two requests of a connection");
  t.add("http.write_timeout", http.write_timeout, {100, kHour}, "for a client to take its answer");
  t.add("http.request_timeout", http.request_timeout, {50, 10 * 60 * kSecond},
        "for the work on a request");
  t.add("http.drain_timeout", http.drain_timeout, {0, 10 * 60 * kSecond},
        "for running requests at shutdown");
  t.add("http.access_log", http.access_log, "whether each request gets a log line");
  t.add("http.trust_proxies", http.trust_proxies, {0, 16},
        "proxies of yours in front, whose X-Forwarded-For is believed");
  t.add("http.tls_certificate_file", http.tls.certificate_file,
        "PEM file of the server's certificate; the port speaks TLS. Read again when it changes");
  t.add("http.tls_key_file", http.tls.key_file, "PEM file of the certificate's key");
  t.add("http.tls_client_ca_file", http.tls.client_ca_file,
        "PEM file of who signs clients' certificates; a client must have one");
  t.add(
      "http.tls_client_names", http.tls.client_names,
      "DNS names, of which a client's certificate must have one, separated by commas; empty: any");
  t.add(
      "http.management_port", http.management_port, {0, 65535},
      "a plain port of its own for /health and /metrics, which are then not on the other; 0: none");
  t.add("database.url", database.url,
        "PostgreSQL server, as postgresql://host:port or key=value; sslmode as usual");
  t.add("database.directory_name", database.names.directory, "database of the directory");
  t.add("database.cell_name", database.names.cell, "database of the cell");
  t.add("database.identity_name", database.names.identity, "database of Ory Hydra");
  t.add("database.app_password", database.app_password, "password of coditect_app");
  t.add("database.operator_password", database.operator_password, "password of coditect_operator");
  t.add("database.maintenance_password", database.maintenance_password,
        "password of coditect_maintenance");
  t.add("database.migrator_password", database.migrator_password,
        "password of coditect_migrator; only for coditect migrate");
  t.add("database.import_password", database.import_password,
        "password of coditect_import; only for coditect tenant import");
  t.add("database.cluster_password", database.cluster_password,
        "password of coditect_cluster; only for coditect cluster");
  t.add("database.identity_password", database.identity_password,
        "password of coditect_identity, the role of Ory Hydra; only for coditect bootstrap, which "
        "makes its database when this is set");
  t.add("database.cell_pool", database.cell_pool, {1, 1000},
        "connections of one event loop to the cell, or to each worker of a Citus cell");
  t.add("database.directory_pool", database.directory_pool, {1, 1000},
        "connections of one event loop to the directory");
  t.add("database.queue", database.pool.queue, {0, 1000000},
        "requests of one loop that may wait for a connection");
  t.add("database.max_wait", database.pool.max_wait, {1, 10 * 60 * kSecond},
        "for a connection, before 503");
  t.add("database.connect_timeout", database.pool.connect_timeout, {50, 10 * 60 * kSecond},
        "to open a connection");
  t.add("database.statement_timeout", database.pool.statement_timeout, {50, kHour},
        "the longest a statement may take");
  t.add("database.max_lifetime", database.pool.max_lifetime, {kSecond, kDay},
        "age at which a connection is replaced");
  t.add("cell.url", cell.url,
        "the cell's PostgreSQL server or Citus coordinator; empty: database.url");
  t.add("cell.route", cell.route,
        "on Citus, where a tenant's statements go: worker, coordinator, or other, a wrong worker, "
        "to test that it forwards them");
  t.add("cell.map_interval", cell.map_interval, {50, kHour},
        "on Citus, between two looks at which worker has which tenants");
  t.add("cell.backend_memory_mib", cell.backend_memory_mib, {16, 1048576},
        "on Citus, memory of a server process above which its connection is replaced");
  t.add("redis.url", redis_url,
        "redis://[user][:password@]host[:port], rediss:// for TLS, unix:///path?password=...; "
        "redis+cluster:// or rediss+cluster:// with host[:port],... for Redis Cluster");
  t.add("redis.timeout", redis_timeout, {1, 60 * kSecond},
        "for an answer of Redis, before going on without");
  t.add("redis.ca_file", redis_ca_file,
        "PEM file of who signs the servers' certificates; empty: the system's");
  t.add("auth.session_lifetime", auth.session_lifetime, {60 * kSecond, 365 * kDay},
        "how long a session lasts");
  t.add("auth.cookie_secure", auth.cookie_secure, "whether the session cookie needs HTTPS");
  t.add("auth.origin", auth.origin,
        "scheme and host of the console; empty: the request's own host");
  t.add("auth.argon2_memory_kib", auth.argon2_memory_kib, {8, 4194304},
        "memory of a password hash, KiB");
  t.add("auth.argon2_passes", auth.argon2_passes, {1, 100}, "passes of a password hash");
  t.add("auth.login_per_address", auth.login_per_address, {1, 1000000},
        "sign-in tries a minute from one address block");
  t.add("auth.login_per_account", auth.login_per_account, {1, 1000000},
        "sign-in tries a minute for one e-mail address");
  t.add("auth.session_idle", auth.session_idle, {60 * kSecond, 365 * kDay},
        "how long a session lasts without use");
  t.add("auth.login_global", auth.login_global, {1, 10000000}, "sign-in tries a minute in all");
  t.add("auth.signup_per_address", auth.signup_per_address, {1, 1000000},
        "signups a minute from one address block");
  t.add("auth.signup_global", auth.signup_global, {1, 10000000}, "signups a minute in all");
  t.add("sealing.keys", sealing_keys,
        "keys that seal cursors and answers and hash API keys: id:base64 of 32 bytes, newest "
        "first, separated by commas");
  t.add("sealing.key_file", sealing_key_file, "a file that holds sealing.keys");
  t.add("server.loops", loops, {0, 1024}, "event loops; 0: one per core");
  t.add("server.hash_threads", hash_threads, {0, 1024},
        "threads for password hashes; 0: one per core");
  t.add("server.hash_queue", hash_queue, {0, 100000}, "password hashes that may wait, before 503");
  t.add("server.maintenance_interval", maintenance_interval, {100, kHour},
        "between two rounds of maintenance");
  t.add("trace.endpoint", trace.endpoint,
        "OTLP/HTTP collector, e.g. http://127.0.0.1:4318/v1/traces; empty: no traces");
  t.add("trace.sample_per_mille", trace.sample_per_mille, {0, 1000},
        "share of new traces that are recorded");
  t.add("log.level", log_level, "debug, info, warn, error or off");
}

std::map<std::string, Secret> DatabaseSettings::role_passwords() const {
  std::map<std::string, Secret> out{{"coditect_app", app_password},
                                    {"coditect_operator", operator_password},
                                    {"coditect_maintenance", maintenance_password},
                                    {"coditect_migrator", migrator_password},
                                    {"coditect_import", import_password}};
  std::erase_if(out, [](const auto& role) { return role.second.empty(); });
  return out;
}

int ProgramSettings::loop_count() const {
  return loops > 0 ? loops : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

std::string ProgramSettings::directory_conninfo(const std::string& role,
                                                const Secret& password) const {
  return schema::conninfo_for(database.url.reveal(), database.names.directory, role, password) +
         " application_name=coditect";
}

std::string ProgramSettings::cell_conninfo(const std::string& role, const Secret& password) const {
  return schema::conninfo_for(cell_url().reveal(), database.names.cell, role, password) +
         " application_name=coditect";
}

}  // namespace coditect::app
