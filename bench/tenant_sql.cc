/// Transactions of tenants a second through this program's own data layer, without HTTP: the API's
/// statements, its pools, its routing.
///
///   tenant_sql --conninfo CELL --route worker|coordinator|other --case read|list|insert
///              --tenants LOW:HIGH --project UUID [--clients 64] [--connections 8] [--seconds 5]
///
/// Each client works for one random tenant after another. One loop, one thread. Prints one JSON
/// object: transactions a second, their number with the warm-up of a second, failures, percentiles
/// of the latency in us.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "domain/projects/queries.h"
#include "tenancy/db.h"
#include "testing/mint.h"

namespace {

using namespace coditect;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

struct Options {
  std::string conninfo, route = "worker", kind = "read", project;
  std::int64_t low = 1, high = 1;
  int clients = 64, connections = 8;
  double seconds = 5;
};

[[noreturn]] void usage() {
  std::fputs(
      "usage: tenant_sql --conninfo CELL --route worker|coordinator|other --case read|list|insert "
      "--tenants LOW:HIGH --project UUID [--clients N] [--connections N] [--seconds N]\n",
      stderr);
  std::exit(2);
}

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--conninfo") o.conninfo = value;
    else if (name == "--route") o.route = value;
    else if (name == "--case") o.kind = value;
    else if (name == "--project") o.project = value;
    else if (name == "--tenants" && value.contains(':'))
      o.low = std::stoll(value), o.high = std::stoll(value.substr(value.find(':') + 1));
    else if (name == "--clients") o.clients = std::stoi(value);
    else if (name == "--connections") o.connections = std::stoi(value);
    else if (name == "--seconds") o.seconds = std::stod(value);
    else usage();
  }
  if (o.conninfo.empty() || argc % 2 == 0) usage();
  return o;
}

struct Run {
  const Options& o;
  tenancy::Cell& cell;
  projects::ProjectId project;
  Clock::time_point measured, end;
  std::vector<double> us;
  long all = 0, failed = 0;
  int running = 0;
};

Async<> once(Run& run, const TenantDb& db) {
  if (run.o.kind == "read") {
    if (!co_await db.maybe_one(projects::kGet, run.project)) ++run.failed;
  } else if (run.o.kind == "list") {
    if ((co_await db.all(projects::kList, projects::ProjectId(Uuid{}), 21)).size() != 21)
      ++run.failed;
  } else {
    auto tx = db.begin();
    tx.defer(projects::kInsert, projects::ProjectId::make(), std::string("Bench"), now());
    co_await tx.commit();
  }
}

Async<> client(Run& run, int number) {
  std::mt19937_64 random(static_cast<std::uint64_t>(number) + 1);
  std::uniform_int_distribution<std::int64_t> tenants(run.o.low, run.o.high);
  while (Clock::now() < run.end) {
    const auto start = Clock::now();
    try {
      co_await once(run, TenantDb(run.cell, testing::tenant(tenants(random)), after(10s)));
    } catch (const Failure& f) {  // counted, and the first is told
      if (run.failed++ == 0) std::fprintf(stderr, "%s\n", f.what());
    }
    ++run.all;
    if (start >= run.measured)
      run.us.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  }
  --run.running;
}

Async<> play(Run& run, async::TaskGroup& clients) {
  if (auto map = co_await run.cell.read_map(after(5s)))
    run.cell.use(std::make_shared<const tenancy::ShardMap>(std::move(*map)));
  run.measured = Clock::now() + 1s;
  run.end = run.measured + std::chrono::duration_cast<Clock::duration>(
                               std::chrono::duration<double>(run.o.seconds));
  for (run.running = 0; run.running < run.o.clients; ++run.running)
    clients.spawn("client", client(run, run.running));
  co_await clients.drained(after(std::chrono::milliseconds(
      static_cast<std::int64_t>(run.o.seconds * 1000) + 30000)));
  co_await run.cell.stop();
}

}  // namespace

int main(int argc, char** argv) {
  const auto o = parse(argc, argv);
  async::Loop loop(0);
  obs::Metrics metrics;
  pg::PoolSettings settings;
  settings.conninfo = o.conninfo;
  settings.size = o.connections;
  tenancy::Cell cell(loop, settings, tenancy::route_of(o.route), metrics);
  const auto project = parse_uuid(o.project);
  if (!project) usage();
  Run run{o, cell, projects::ProjectId(*project), {}, {}, {}};
  async::TaskGroup clients(loop.io());
  auto done = asio::co_spawn(loop.io(), play(run, clients), asio::use_future);
  while (done.wait_for(0s) != std::future_status::ready) loop.io().run_one();
  done.get();
  std::ranges::sort(run.us);
  const auto at = [&run](double share) {
    return run.us.empty() ? 0.0
                          : run.us[static_cast<std::size_t>(
                                share * static_cast<double>(run.us.size() - 1))];
  };
  std::printf(
      "{\"per_second\": %.1f, \"transactions\": %ld, \"failed\": %ld, \"p50_us\": %.0f, "
      "\"p99_us\": %.0f}\n",
      static_cast<double>(run.us.size()) / o.seconds, run.all, run.failed, at(0.5), at(0.99));
  return run.failed == 0 ? 0 : 1;
}
