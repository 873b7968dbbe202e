#include "apps/coditect/serving.h"

#include <unistd.h>

#include <fstream>
#include <sstream>

#include "domain/accounts/provisioning.h"
#include "http/problem.h"
#include "obs/log.h"
#include "schema/migrate.h"
#include "schema/verify.h"
#include "tenancy/lifecycle.h"

namespace coditect::app {
namespace {

using namespace std::chrono_literals;

constexpr tenancy::GlobalStatement<std::int32_t> kDirectoryAnswers{"health.directory", "SELECT 1"};

constexpr tenancy::OperatorStatement<pg::NoRow> kDropIdempotency{
    "maintenance.idempotency", "DELETE FROM idempotency_records WHERE expires_at < now()"};
constexpr tenancy::GlobalStatement<pg::NoRow> kDropSessions{
    "maintenance.sessions", "DELETE FROM sessions WHERE expires_at < now()"};
constexpr tenancy::GlobalStatement<pg::NoRow> kDropRequests{
    "maintenance.requests",
    "DELETE FROM request_records WHERE expires_at < now() AND NOT EXISTS (SELECT 1 FROM tenants t "
    "WHERE t.id = request_records.tenant_id AND t.state = 'provisioning')"};

auth::Routes& with_all_routes(auth::Routes& routes, const Application& application) {
  for (const auto add_routes : application.slices) add_routes(routes);
  return routes;
}

pg::PoolSettings pool(const ProgramSettings& s, std::string conninfo, int size) {
  auto out = s.database.pool;
  // SET LOCAL app.tenant_id reaches Citus workers only so; set here and not only for the role, so
  // that sessions from before a database becomes a cluster go on.
  out.parameters = {{"citus.propagate_set_commands", "local"}};
  out.conninfo = std::move(conninfo);
  out.size = size;
  return out;
}

/// Deletes may take their time, and nobody waits for them.
pg::PoolSettings maintenance_pool(const ProgramSettings& s, std::string conninfo) {
  auto out = pool(s, std::move(conninfo), 1);
  out.statement_timeout = 60s;
  return out;
}

redis::Settings redis_settings(const ProgramSettings& s) {
  auto parsed = redis::Settings::parse(s.redis_url.reveal());
  if (!parsed) throw Failure(parsed.error());
  parsed->timeout = s.redis_timeout;
  parsed->ca_file = s.redis_ca_file;
  return *parsed;
}

http::ServerSettings management_settings(http::ServerSettings s) {
  s.port = s.management_port;
  s.listening_socket = -1;
  s.max_connections = std::min(s.max_connections, 256);
  return s;
}

bool is_management(std::string_view path) {
  return path == "/health/live" || path == "/health/ready" || path == "/metrics";
}

std::string holder_name() {
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  return std::string(host) + ":" + std::to_string(getpid());
}

}  // namespace

crypto::Keyring load_keys(const ProgramSettings& settings) {
  Secret text = settings.sealing_keys;
  if (text.empty() && !settings.sealing_key_file.empty()) {
    std::ifstream file(settings.sealing_key_file);
    if (!file)
      fail(Code::invalid_argument, "sealing_keys_unreadable",
           "sealing.key_file '" + settings.sealing_key_file + "' cannot be read");
    std::ostringstream all;
    all << file.rdbuf();
    text = Secret(std::string(trim(all.str())));
  }
  if (text.empty())
    fail(Code::invalid_argument, "sealing_keys_missing",
         "set sealing.keys (CODITECT_SEALING_KEYS) or sealing.key_file; 'coditect keys new' makes "
         "one");
  auto ring = crypto::Keyring::parse(text);
  if (!ring)
    fail(Code::invalid_argument, "sealing_keys_malformed", "sealing.keys: " + ring.error().detail);
  return *ring;
}

/// All that lives on one loop. Members are built in order and torn down in reverse.
struct Serving::OnLoop {
  OnLoop(Serving& s, async::Loop& l, const tenancy::DirectoryFeed& feed)
      : loop(l),
        directory(
            l,
            pool(s.settings_,
                 s.settings_.directory_conninfo("coditect_app", s.settings_.database.app_password),
                 s.settings_.database.directory_pool),
            s.metrics_, "directory"),
        cell(l,
             pool(s.settings_,
                  s.settings_.cell_conninfo("coditect_app", s.settings_.database.app_password),
                  s.settings_.database.cell_pool),
             tenancy::route_of(s.settings_.cell.route), s.metrics_),
        directory_operator(l,
                           pool(s.settings_,
                                s.settings_.directory_conninfo(
                                    "coditect_operator", s.settings_.database.operator_password),
                                2),
                           s.metrics_, "directory_operator"),
        cell_operator(l,
                      pool(s.settings_,
                           s.settings_.cell_conninfo("coditect_operator",
                                                     s.settings_.database.operator_password),
                           2),
                      s.metrics_, "cell_operator"),
        directory_maintenance(
            l,
            maintenance_pool(s.settings_, s.settings_.directory_conninfo(
                                              "coditect_maintenance",
                                              s.settings_.database.maintenance_password)),
            s.metrics_, "directory_maintenance"),
        cell_maintenance(
            l,
            maintenance_pool(s.settings_,
                             s.settings_.cell_conninfo("coditect_maintenance",
                                                       s.settings_.database.maintenance_password)),
            s.metrics_, "cell_maintenance"),
        redis(l, redis_settings(s.settings_), s.metrics_),
        tenants(directory, redis, feed, s.knowledge_, s.metrics_),
        limiter(redis, s.settings_.loop_count(), s.metrics_),
        services{l,
                 directory,
                 cell,
                 directory_operator,
                 cell_operator,
                 tenants,
                 limiter,
                 s.keys_,
                 s.hashing_,
                 s.known_keys_,
                 s.spans_,
                 s.metrics_,
                 s.settings_.auth,
                 s.settings_.trace.endpoint.empty() ? 0 : s.settings_.trace.sample_per_mille},
        dispatch(s.routes_, services),
        server(
            l, s.settings_.http, [&s, this](http::Request& r) { return s.answer(*this, r); },
            s.metrics_, s.tls_.get()),
        background(l.io()) {
    if (s.settings_.http.management_port != 0)
      management.emplace(
          l, management_settings(s.settings_.http),
          [&s, this](http::Request& r) { return s.answer_management(*this, r); }, s.metrics_);
  }

  async::Loop& loop;
  pg::Pool directory;
  tenancy::Cell cell;
  pg::Pool directory_operator, cell_operator, directory_maintenance, cell_maintenance;
  redis::Client redis;
  tenancy::Directory tenants;
  tenancy::Limiter limiter;
  auth::Services services;
  auth::Dispatch dispatch;
  http::Server server;
  std::optional<http::Server> management;
  async::TaskGroup background;
};

Serving::Serving(const Application& application, const ProgramSettings& settings)
    : application_(application),
      settings_(settings),
      keys_(load_keys(settings)),
      spans_(static_cast<std::size_t>(settings.trace.queue)),
      hashing_(settings.hash_threads > 0 ? settings.hash_threads : settings.loop_count(),
               settings.hash_queue),
      openapi_(auth::openapi_document(with_all_routes(routes_, application), application.version)),
      docs_(auth::docs_page(routes_, application.version)),
      loops_(settings.loop_count()) {
  if (settings.http.tls.on()) tls_ = std::make_unique<http::ServerTls>(settings.http.tls, metrics_);
  feed_ = std::make_unique<tenancy::DirectoryFeed>(
      loops_[0], settings.directory_conninfo("coditect_app", settings.database.app_password));
  for (std::size_t i = 0; i < loops_.size(); ++i)
    on_loops_.push_back(std::make_unique<OnLoop>(*this, loops_[i], *feed_));
  for (auto& on : on_loops_) feed_->add(on->loop, on->tenants);
  cell_watch_ = std::make_unique<tenancy::CellWatch>(loops_[0], on_loops_[0]->cell,
                                                     settings.cell.map_interval, metrics_);
  for (auto& on : on_loops_) cell_watch_->add(on->loop, on->cell);
  background_ = std::make_unique<async::TaskGroup>(loops_[0].io());
}

Serving::~Serving() {
  stop();
  loops_.stop();
}

Async<> Serving::start_loop(OnLoop& on) {
  on.redis.start();
  on.background.spawn("backend memory", watch_memory(on));
  on.server.listen();
  if (on.management) on.management->listen();
  co_return;
}

void Serving::start() {
  loops_.start();
  running_ = true;
  loops_.run_on(0, cell_watch_->start());
  for (std::size_t i = 0; i < on_loops_.size(); ++i) loops_.run_on(i, start_loop(*on_loops_[i]));
  port_ = on_loops_[0]->server.port();
  asio::post(loops_[0].io(), [this] {
    feed_->start();
    background_->spawn("maintenance", maintain(*on_loops_[0]));
    if (tls_) background_->spawn("certificate", tls_->watch());
    if (!settings_.trace.endpoint.empty())
      background_->spawn("traces", http::export_spans(spans_, settings_.trace, metrics_));
  });
}

Async<> Serving::stop_loop(OnLoop& on) {
  co_await on.server.drain();
  if (on.management) co_await on.management->drain();  // it was asked until now
  co_await on.background.stop();
  co_await on.redis.stop();
  co_await on.directory.stop();
  co_await on.cell.stop();
  co_await on.directory_operator.stop();
  co_await on.cell_operator.stop();
  co_await on.directory_maintenance.stop();
  co_await on.cell_maintenance.stop();
}

void Serving::stop() {
  if (!std::exchange(running_, false)) return;
  loops_.run_on(0, background_->stop());
  loops_.run_on(0, feed_->stop());
  loops_.run_on(0, cell_watch_->stop());
  std::vector<std::future<void>> done;
  for (auto& on : on_loops_)
    done.push_back(asio::co_spawn(on->loop.io(), stop_loop(*on), asio::use_future));
  for (auto& d : done) d.get();
  loops_.stop();
}

/// What is the same for everybody.
std::optional<http::Response> Serving::document(http::Request& request) const {
  const auto path = request.path();
  if (path == "/openapi.json") {
    request.route = "/openapi.json";
    return http::Response{.body = openapi_};
  }
  if (path == "/docs" || path == "/") {
    request.route = "/docs";
    return http::Response{
        .body = docs_,
        .content_type = "text/html; charset=utf-8",
        .headers = {{"Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"},
                    {"X-Content-Type-Options", "nosniff"}}};
  }
  return std::nullopt;
}

Async<http::Response> Serving::answer(OnLoop& on, http::Request& request) {
  if (request.method == "GET" || request.method == "HEAD") {
    if (auto response = document(request)) co_return std::move(*response);
    if (!on.management && is_management(request.path()))
      co_return co_await answer_management(on, request);
  }
  co_return co_await on.dispatch.answer(request);
}

/// For those who look after this process.
Async<http::Response> Serving::answer_management(OnLoop& on, http::Request& request) {
  const bool reads = request.method == "GET" || request.method == "HEAD";
  const auto path = request.path();
  if (!reads || !is_management(path)) co_return http::problem(404, "not_found", "", request.id);
  request.route = std::string(path);
  if (path == "/health/ready") co_return co_await ready(on, request);
  if (path == "/metrics")
    co_return http::Response{.body = metrics_.text(), .content_type = "text/plain; version=0.0.4"};
  co_return http::Response{.body = R"({"status":"live"})"};
}

Async<http::Response> Serving::ready(OnLoop& on, const http::Request& request) {
  std::string missing;
  const auto deadline = after(2s);
  try {
    co_await GlobalDb(on.directory, deadline).maybe_one(kDirectoryAnswers);
  } catch (const Failure&) {  // the answer says so
    missing = "directory";
  }
  // A lost coordinator or worker is no reason to take this process out: the rest is served.
  if (!co_await on.cell.answers(deadline)) missing += missing.empty() ? "cell" : ", cell";
  if (!missing.empty()) {
    auto response = http::problem(Error{Code::unavailable, "not_ready", {}, {}, 1s}, request.id);
    co_return response;
  }
  co_return http::Response{.body = std::string(R"({"status":"ready","redis":)") +
                                   (on.redis.connected() ? "true" : "false") + "}"};
}

/// One step of a round; its failure is counted and leaves the other steps alone.
Async<> Serving::step(std::string_view name, Async<int> work) {
  auto& failures =
      metrics_.counter("coditect_maintenance_failures_total", "Steps of maintenance that failed",
                       {{"step", std::string(name)}});
  try {
    co_await std::move(work);
  } catch (const Failure& f) {  // the next round tries again
    failures.Increment();
    obs::log(obs::Level::warn, "maintenance failed", {{"step", name}, {"error", f.what()}});
  }
}

Async<int> Serving::drop_expired(OnLoop& on, Deadline deadline) {
  auto cell = OperatorDb(on.cell_maintenance, deadline).begin();
  cell.defer(kDropIdempotency);
  co_await cell.commit();
  auto directory = GlobalDb(on.directory_maintenance, deadline).begin();
  directory.defer(kDropSessions);
  directory.defer(kDropRequests);
  co_await directory.commit();
  co_return 0;
}

/// A program that does not know a table would leave a purged tenant's rows in it for ever: during a
/// roll-out, or beside an application of one's own, another process purges.
Async<bool> Serving::knows_all_tables() {
  const auto conninfo = settings_.cell_conninfo("coditect_app", settings_.database.app_password);
  const auto tables = application_.tables;
  const auto unknown = co_await async::blocking(
      hashing_, [conninfo, tables] { return schema::unknown_tenant_tables(conninfo, tables); });
  for (const auto& table : unknown)
    obs::log(obs::Level::warn, "the purge waits for a program that knows all tables",
             {{"unknown_table", table}});
  co_return unknown.empty();
}

/// A round under the lease, which outlasts every deadline of the round.
Async<int> Serving::round(OnLoop& on, std::string holder) {
  constexpr auto kRound = 60s;
  if (!co_await tenancy::take_lease(on.directory_maintenance, "maintenance", holder, kRound * 5,
                                    after(kRound)))
    co_return 0;
  tenancy::Lifecycle lifecycle(on.directory_operator, on.cell_operator, on.tenants);
  accounts::Provisioning provisioning(on.services);
  co_await step("settle", lifecycle.settle(after(kRound)));
  co_await step("provisioning", provisioning.sweep(after(kRound)));
  co_await step("purge",
                tenancy::Lifecycle::purge(
                    on.directory_maintenance, on.cell_maintenance, on.cell_operator,
                    application_.purge, [this] { return knows_all_tables(); }, after(kRound)));
  co_await step("expired", drop_expired(on, after(kRound)));
  constexpr auto kSizesEvery = 60s;
  if (std::chrono::steady_clock::now() >= measure_sizes_at_) {
    measure_sizes_at_ = std::chrono::steady_clock::now() + kSizesEvery;
    co_await step("sizes", cell_watch_->measure_sizes(on.cell_operator, after(kRound)));
    co_await step("population", population_.count(on.directory_operator, after(kRound)));
  }
  // Done: whoever is next need not wait for the end of the lease.
  co_await tenancy::take_lease(on.directory_maintenance, "maintenance", holder, 0s, after(kRound));
  co_return 0;
}

/// Looks after the loop's own connections to the workers.
Async<> Serving::watch_memory(OnLoop& on) {
  for (;;) {
    co_await async::sleep_for(settings_.maintenance_interval);
    co_await step("backend memory", shed_memory(on));
  }
}

Async<int> Serving::shed_memory(OnLoop& on) {
  const auto most = static_cast<std::int64_t>(settings_.cell.backend_memory_mib) << 20;
  const int closed = co_await on.cell.shed_memory(most, after(10s));
  if (closed > 0)
    obs::log(obs::Level::warn, "closed connections whose server processes had grown",
             {{"connections", closed}, {"limit_mib", settings_.cell.backend_memory_mib}});
  co_return closed;
}

/// Work that one process of the installation does at a time.
Async<> Serving::maintain(OnLoop& on) {
  for (;;) {
    co_await step("lease", round(on, holder_name()));
    co_await async::sleep_for(settings_.maintenance_interval);
  }
}

void wait_for_schema(const ProgramSettings& s, std::span<const schema::MigrationSource> sources,
                     const std::function<void(const std::string&)>& report,
                     const std::function<bool()>& stopped) {
  struct Set {
    std::string name, conninfo;
  };
  const Set sets[] = {{"directory", s.directory_conninfo("coditect_app", s.database.app_password)},
                      {"cell", s.cell_conninfo("coditect_app", s.database.app_password)}};
  for (const auto& set : sets) {
    bool told = false;
    while (!stopped()) {
      std::string why;
      try {
        const auto state = schema::readiness(set.conninfo, set.name, sources);
        if (state == schema::Readiness::ready) break;
        if (state == schema::Readiness::too_new)
          fail(Code::failed_precondition, "program_too_old",
               "the " + set.name + " database needs a newer program than this one");
        why = "the schema of the " + set.name + " database is behind: run 'coditect migrate up'";
      } catch (const Failure& f) {  // away for now: wait for it as for the schema
        if (f.error().code != Code::unavailable) throw;
        why = f.what();
      }
      if (!std::exchange(told, true)) report("waiting: " + why);
      std::this_thread::sleep_for(500ms);
    }
  }
}

}  // namespace coditect::app
