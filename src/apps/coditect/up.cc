#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <thread>

#include "apps/coditect/commands.h"
#include "apps/coditect/demo.h"
#include "apps/coditect/embedded.h"
#include "apps/coditect/monitoring.h"
#include "apps/coditect/private_cluster.h"
#include "apps/coditect/service_manager.h"
#include "apps/coditect/serving.h"
#include "crypto/digest.h"
#include "http/client.h"
#include "obs/log.h"
#include "schema/migrate.h"

namespace coditect::app {
namespace {

using namespace std::chrono_literals;

volatile std::sig_atomic_t stop_asked = 0;
void ask_to_stop(int) { stop_asked = 1; }

void install_signals() {
  struct sigaction action{};
  action.sa_handler = ask_to_stop;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void say(const std::string& line) {
  std::puts(line.c_str());
  std::fflush(stdout);
}

/// What must be true before anything starts, so that there is never half a start.
void check_http_port(const ProgramSettings& settings) {
  if (settings.http.port != 0 && !port_is_free(settings.http.host, settings.http.port))
    fail(Code::unavailable, "port_in_use",
         settings.http.host + ":" + std::to_string(settings.http.port) +
             " is in use; choose another with --http-port");
}

class Up {
 public:
  Up(const Application& application, ProgramSettings& settings, config::Table& table,
     const UpOptions& options, StateDir& state)
      : application_(application),
        settings_(settings),
        table_(table),
        options_(options),
        state_(state),
        servers_(state),
        monitoring_(state) {}

  /// Serves until it is asked to stop. `on_ready` runs once the API answers.
  void run(const std::function<void()>& on_ready) {
    try {
      start();
      on_ready();
      while (stop_asked == 0) {
        servers_.watch();
        monitoring_.watch();
        std::this_thread::sleep_for(100ms);
      }
    } catch (...) {  // whatever failed: leave nothing running, then pass it on
      stop();
      throw;
    }
    stop();
  }

 private:
  void start() {
    const bool own_database = settings_.database.url.empty();
    const bool own_redis = table_.find("redis.url")->source == "default";
    take_secrets();
    check_http_port(settings_);
    if (options_.monitoring) find_program("prometheus");
    if (!own_redis && options_.redis_cluster)
      fail(Code::invalid_argument, "flags_contradict",
           "--redis-cluster makes a private Redis Cluster, --redis names one that exists: give one "
           "of the two");
    using Redis = EmbeddedServers::Redis;
    if (!own_database && options_.citus_workers > 0)
      fail(Code::invalid_argument, "flags_contradict",
           "--citus makes private PostgreSQL servers, --database names one that exists: for a "
           "cluster of your own use 'coditect cluster init'");
    servers_.start({.postgres = own_database,
                    .redis = !own_redis               ? Redis::none
                             : options_.redis_cluster ? Redis::cluster
                                                      : Redis::one,
                    .citus_workers = options_.citus_workers});
    if (own_redis) settings_.redis_url = Secret(servers_.redis_url());
    const auto administrator =
        own_database ? servers_.database_url() : settings_.database.url.reveal();
    if (own_database) {
      settings_.database.url = Secret(administrator);
      if (servers_.cell_url() != administrator) settings_.cell.url = Secret(servers_.cell_url());
    }
    if (!servers_.citus_workers().empty())
      prepare_private_cluster(application_, settings_, state_, servers_);
    prepare_database(administrator);
    if (options_.monitoring) start_jaeger();
    serving_ = std::make_unique<Serving>(application_, settings_);
    serving_->start();
    base_ = "http://127.0.0.1:" + std::to_string(serving_->port());
    auto ports = state_.read_values("ports");
    ports["http"] = std::to_string(serving_->port());
    state_.write_values("ports", ports);
    if (options_.monitoring) monitoring_.start_prometheus(serving_->port());
    greet();
  }

  /// On one machine every request is traced, unless settings say otherwise.
  void start_jaeger() {
    jaeger_ = settings_.trace.endpoint.empty() && monitoring_.start_jaeger();
    if (!jaeger_) return;
    settings_.trace.endpoint = monitoring_.trace_endpoint();
    if (table_.find("trace.sample_per_mille")->source == "default")
      settings_.trace.sample_per_mille = 1000;
  }

  void stop() {
    serving_.reset();
    monitoring_.stop();
    servers_.stop();
  }

  /// Passwords of the roles and the sealing keys live in the state directory, unless settings give
  /// them.
  void take_secrets() {
    auto secrets = state_.read_values("secrets");
    auto& d = settings_.database;
    bool changed = false;
    const auto take = [&](const std::string& name, Secret& member,
                          const std::function<std::string()>& make) {
      if (!member.empty()) return;
      if (!secrets.contains(name)) secrets[name] = make(), changed = true;
      member = Secret(secrets[name]);
    };
    const auto password = [] { return crypto::random_base62(32); };
    take("app", d.app_password, password);
    take("operator", d.operator_password, password);
    take("maintenance", d.maintenance_password, password);
    take("migrator", d.migrator_password, password);
    take("import", d.import_password, password);
    take("cluster", d.cluster_password, password);
    if (state_.read_file("operator.key") && settings_.sealing_keys.empty() &&
        settings_.sealing_key_file.empty() && !secrets.contains("sealing_keys"))
      fail(Code::failed_precondition, "state_directory_damaged",
           state_.file("secrets") +
               " has lost the sealing keys, without which no API key is valid: restore it, or "
               "start with another --state");
    if (settings_.sealing_key_file.empty())
      take("sealing_keys", settings_.sealing_keys,
           [] { return crypto::Keyring::generate().reveal(); });
    if (changed) state_.write_values("secrets", secrets);
  }

  void prepare_database(const std::string& administrator) {
    const auto& d = settings_.database;
    const auto& sources = application_.migrations;
    // A second start finds all in place with two short look-ups.
    bool ready = false;
    try {
      ready =
          schema::readiness(settings_.directory_conninfo("coditect_migrator", d.migrator_password),
                            "directory", sources) == schema::Readiness::ready &&
          schema::readiness(settings_.cell_conninfo("coditect_migrator", d.migrator_password),
                            "cell", sources) == schema::Readiness::ready;
    } catch (const Failure&) {  // no such database or role yet: made below
    }
    if (!ready) {
      if (settings_.cell.url.empty()) {
        schema::prepare_server(administrator, d.role_passwords(),
                               {d.names.directory, d.names.cell});
      } else {
        schema::prepare_server(administrator, d.role_passwords(), {d.names.directory});
        schema::prepare_server(settings_.cell.url.reveal(), d.role_passwords(), {d.names.cell});
      }
      const auto report = [](const std::string& line) {
        obs::log(obs::Level::info, "migrate", {{"step", line}});
      };
      schema::migrate(settings_.directory_conninfo("coditect_migrator", d.migrator_password),
                      schema::migrations_of("directory", sources), report);
      schema::migrate(settings_.cell_conninfo("coditect_migrator", d.migrator_password),
                      schema::migrations_of("cell", sources), report);
    }
    wait_for_schema(settings_, sources, say, [] { return stop_asked != 0; });
    if (!state_.read_file("operator.key"))
      if (const auto key = first_operator(settings_, administrator))
        state_.write_file("operator.key", *key + "\n");
  }

  void greet() {
    say((application_.name == "coditect" ? "Coditect" : application_.name) + " " +
        application_.version + " answers at " + base_);
    say("  documentation  " + base_ + "/docs");
    say("  state          " + state_.path() +
        (state_.moved() ? "  (the place you named cannot be reached by the servers' user; it is a "
                          "link to this one)"
                        : ""));
    say("  log            " + state_.file("log/coditect.log"));
    if (options_.monitoring) {
      say("  Prometheus     " + monitoring_.prometheus_url() + "/alerts");
      say("  Jaeger         " +
          (jaeger_ ? monitoring_.jaeger_url()
           : !settings_.trace.endpoint.empty()
               ? "not started: trace.endpoint names a collector"
               : std::string("not installed: tools/build.sh jaeger, needs Go")));
    }
    say("  operator key   " + state_.file("operator.key") + "  (for '" + application_.name +
        " admin')");
    if (!options_.no_demo && !state_.read_file("demo-shown")) {
      greet_first_time(application_, base_,
                       settings_.sealing_keys.empty() ? settings_.database.app_password.reveal()
                                                      : settings_.sealing_keys.reveal(),
                       say);
      state_.write_file("demo-shown", "yes\n");
    }
    const auto down = "'" + application_.name + " down --state " + state_.path() + "'";
    say(options_.detach ? down + " stops it." : "Ctrl-C stops it; " + down + " from elsewhere.");
  }

  const Application& application_;
  ProgramSettings& settings_;
  config::Table& table_;
  const UpOptions& options_;
  StateDir& state_;
  EmbeddedServers servers_;
  Monitoring monitoring_;
  bool jaeger_ = false;
  std::unique_ptr<Serving> serving_;
  std::string base_;
};

void log_to_file(const StateDir& state) {
  mkdir(state.file("log").c_str(), 0700);
  const int fd = ::open(state.file("log/coditect.log").c_str(),
                        O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0)
    fail(Code::unavailable, "state_directory_unusable",
         "cannot write " + state.file("log/coditect.log"));
  obs::set_log_file(fd);
}

/// In the detached child: what is said goes to the waiting parent, then nowhere.
void leave_terminal() {
  std::fflush(stdout);
  const int null = ::open("/dev/null", O_RDWR);
  dup2(null, 0);
  dup2(null, 1);
  dup2(null, 2);
  close(null);
}

/// Forks; the parent passes on what the child says until it serves or fails, and exits. Returns in
/// the child only, whose standard output is the pipe.
void detach() {
  int ends[2];
  if (pipe(ends) != 0) fail(Code::unavailable, "cannot_fork", "pipe");
  std::fflush(stdout);
  const pid_t child = fork();
  if (child < 0) fail(Code::unavailable, "cannot_fork", "fork");
  if (child > 0) {
    close(ends[1]);
    char buffer[4096];
    for (ssize_t n = 0; (n = read(ends[0], buffer, sizeof buffer)) > 0;)
      std::fwrite(buffer, 1, static_cast<std::size_t>(n), stdout);
    std::fflush(stdout);
    int code = 0;
    // The pipe ends when the child serves, or when it has ended.
    for (int i = 0; i < 20; ++i) {
      if (waitpid(child, &code, WNOHANG) == child)
        std::_Exit(WIFEXITED(code) ? WEXITSTATUS(code) : 1);
      std::this_thread::sleep_for(5ms);
    }
    std::_Exit(0);
  }
  close(ends[0]);
  setsid();
  dup2(ends[1], 1);
  dup2(ends[1], 2);
  close(ends[1]);
}

}  // namespace

void settings_from_state(ProgramSettings& settings, const std::string& path) {
  auto state = StateDir::open(path);
  const auto ports = state.read_values("ports");
  if (!state.owner() || !ports.contains("postgres"))
    fail(Code::invalid_argument, "setting_missing",
         "set database.url (--database-url or CODITECT_DATABASE_URL), or --state of a running "
         "'coditect up'");
  const auto secrets = state.read_values("secrets");
  settings.database.url = Secret("host=" + state.socket_dir() + " port=" + ports.at("postgres"));
  const auto citus = state.read_values("citus");
  if (const auto at = citus.find("coordinator"); at != citus.end() && ports.contains(at->second))
    settings.cell.url = Secret("host=" + state.socket_dir() + " port=" + ports.at(at->second));
  const auto take = [&secrets](const std::string& name, Secret& member) {
    if (member.empty() && secrets.contains(name)) member = Secret(secrets.at(name));
  };
  take("import", settings.database.import_password);
  take("cluster", settings.database.cluster_password);
  take("operator", settings.database.operator_password);
  if (settings.sealing_key_file.empty()) take("sealing_keys", settings.sealing_keys);
}

int up(const Application& application, ProgramSettings& settings, config::Table& table,
       const UpOptions& options) {
  const auto user = unprivileged_user();
  raise_descriptor_limit();
  const auto path = options.state;
  if (const auto owner = StateDir::open(path).owner())
    fail(
        Code::conflict, "already_running",
        "it runs already, as process " + std::to_string(*owner) + "; 'coditect status' tells more");
  if (settings.http.tls.on() || settings.http.management_port != 0)
    fail(Code::invalid_argument, "setting_invalid",
         "http.tls_* and http.management_port are for 'coditect serve api': what 'up' runs is for "
         "this machine");
  check_http_port(settings);  // before anything is made
  auto state = StateDir::prepare(path, user);
  if (options.detach) detach();
  if (user) become(*user);
  if (chdir("/") != 0) fail(Code::internal, "chdir", "cannot go to /");
  if (access(state.file(kRestoring).c_str(), F_OK) == 0)  // it may be root's
    fail(Code::failed_precondition, "restore_interrupted",
         "a restore into " + state.path() + " has not ended: repeat the 'restore' command");
  if (!state.lock())
    fail(Code::conflict, "already_running", "it has just been started by somebody else");
  install_signals();
  log_to_file(state);
  settings.auth.cookie_secure =
      table.find("auth.cookie_secure")->source != "default" && settings.auth.cookie_secure;
  if (settings.http.port == 0) {
    const auto ports = state.read_values("ports");
    settings.http.port =
        choose_port(ports.contains("http") ? std::atoi(ports.at("http").c_str()) : 0);
  }
  Up program(application, settings, table, options, state);
  program.run([&options] {
    if (options.detach) leave_terminal();
  });
  if (!options.detach) say("stopped");
  return 0;
}

int down(const std::string& path) {
  const auto state = StateDir::open(path);
  const auto owner = state.owner();
  if (!owner) {
    say("it is not running");
    return 0;
  }
  if (kill(*owner, SIGTERM) != 0)
    fail(Code::permission_denied, "cannot_stop",
         "process " + std::to_string(*owner) + " belongs to somebody else");
  for (int i = 0; i < 600; ++i) {
    if (state.owner() != owner) {
      say("stopped");
      return 0;
    }
    std::this_thread::sleep_for(100ms);
  }
  fail(Code::deadline_exceeded, "does_not_stop",
       "process " + std::to_string(*owner) + " has not stopped within 60 s");
}

int status(const std::string& path, bool json) {
  const auto state = StateDir::open(path);
  const auto owner = state.owner();
  const auto ports = state.read_values("ports");
  const auto port = [&ports](const char* name) {
    return ports.contains(name) ? ports.at(name) : std::string("0");
  };
  std::string ready = "no";
  if (owner) {
    try {
      if (http::fetch_now("GET", "http://127.0.0.1:" + port("http") + "/health/ready", {}, "", 20s)
              .status == 200)
        ready = "yes";
    } catch (const Failure&) {  // then it is not ready
    }
  }
  if (json) {
    say(boost::json::serialize(boost::json::object{{"running", owner.has_value()},
                                                   {"pid", owner ? *owner : 0},
                                                   {"ready", ready == "yes"},
                                                   {"url", "http://127.0.0.1:" + port("http")},
                                                   {"postgres_port", std::stoi(port("postgres"))},
                                                   {"redis_port", std::stoi(port("redis"))},
                                                   {"state", state.path()}}));
  } else if (owner) {
    say("running    process " + std::to_string(*owner) + "\nready      " + ready +
        "\naddress    http://127.0.0.1:" + port("http") +
        "\npostgres   127.0.0.1:" + port("postgres") + "\nredis      127.0.0.1:" + port("redis") +
        (state.read_values("citus").contains("workers")
             ? "\ncitus      " + state.read_values("citus").at("workers") +
                   " workers; 'coditect cluster status' tells more"
             : "") +
        "\nstate      " + state.path());
  } else {
    say("not running\nstate      " + state.path());
  }
  return owner && ready == "yes" ? 0 : 3;
}

int serve_api(const Application& application, ProgramSettings& settings) {
  settings.http.listening_socket = inherited_socket();
  raise_descriptor_limit();
  install_signals();
  if (settings.database.url.empty())
    fail(Code::invalid_argument, "setting_missing", "set database.url (CODITECT_DATABASE_URL)");
  if (settings.http.management_port != 0 && settings.http.management_port == settings.http.port)
    fail(Code::invalid_argument, "setting_invalid",
         "http.management_port must be another port than http.port");
  Serving serving(application, settings);  // says what is wrong with a setting before it waits
  wait_for_schema(
      settings, application.migrations,
      [](const std::string& line) { obs::log(obs::Level::warn, line); },
      [] { return stop_asked != 0; });
  if (stop_asked != 0) return 0;
  serving.start();
  obs::log(obs::Level::info, "serving",
           {{"host", settings.http.host},
            {"port", serving.port()},
            {"tls", settings.http.tls.on()},
            {"version", application.version}});
  notify_service_manager("READY=1");
  while (stop_asked == 0) std::this_thread::sleep_for(50ms);
  notify_service_manager("STOPPING=1");
  obs::log(obs::Level::info, "draining");
  serving.stop();
  return 0;
}

}  // namespace coditect::app
