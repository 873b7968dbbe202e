#pragma once
#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "async/loop.h"
#include "base/lru_cache.h"
#include "pg/listener.h"
#include "redis/client.h"
#include "tenancy/db.h"

namespace coditect::tenancy {

enum class TenantState { provisioning, active, suspended, deleted, purging, purged };
BOOST_DESCRIBE_ENUM(TenantState, provisioning, active, suspended, deleted, purging, purged)

/// What a request needs to know of a tenant before it can reach its rows.
struct TenantRecord {
  std::int64_t id = 0;
  TenantPublicId public_id;
  std::string slug;
  std::string cell;
  TenantState state = TenantState::provisioning;
  std::int64_t epoch = 0;  ///< grows with each change of state
};
BOOST_DESCRIBE_STRUCT(TenantRecord, (), (id, public_id, slug, cell, state, epoch))

/// The channel on which the directory database tells of changes of state.
inline constexpr std::string_view kTenantChannel = "coditect_tenants";
std::string change_payload(const TenantRecord& record);

/// Whether the process hears of changes; one for all loops.
class DirectoryFeed;

/// Finds tenants: memory (half a second), then Redis, then the directory database. A change of
/// state reaches every process within a second: by NOTIFY in milliseconds, and when that channel
/// is not known to be alive only memory's half second is trusted. One per loop.
class Directory {
 public:
  Directory(pg::Pool& pool, redis::Client& redis, const DirectoryFeed& feed, obs::Metrics& metrics);

  Async<std::optional<TenantRecord>> by_slug(std::string slug, Deadline deadline);
  Async<std::optional<TenantRecord>> by_public_id(TenantPublicId id, Deadline deadline);

  /// Puts a changed record where other processes look first.
  Async<> announce(TenantRecord record);

  /// A change came in; older entries are not believed any more.
  void on_change(const std::string& payload);
  /// Changes may have been missed.
  void on_gap();

 private:
  template <class Load>
  Async<std::optional<TenantRecord>> find(std::string key, Load load);
  Async<std::optional<TenantRecord>> from_redis(const std::string& key);
  Async<> to_redis(std::string key, const TenantRecord& record);
  bool redis_is_trusted() const;

  pg::Pool& pool_;
  redis::Client& redis_;
  const DirectoryFeed& feed_;
  LruCache<std::string, TenantRecord> cache_;
  LruCache<std::string, std::int64_t> least_epoch_;  ///< by key, after a change
  std::chrono::steady_clock::time_point distrust_redis_until_{};
  obs::Counter& memory_hits_;
  obs::Counter& redis_hits_;
  obs::Counter& misses_;
};

class DirectoryFeed {
 public:
  DirectoryFeed(async::Loop& loop, std::string conninfo);

  /// Directories that are told, each on its own loop. Before start().
  void add(async::Loop& loop, Directory& directory);
  void start();
  Async<> stop() { return tasks_.stop(); }
  bool current() const {
    return std::chrono::steady_clock::now().time_since_epoch().count() < current_until_.load();
  }

 private:
  Async<> watch();
  struct Target {
    async::Loop* loop;
    Directory* directory;
  };
  std::vector<Target> targets_;
  pg::Listener listener_;
  async::TaskGroup tasks_;
  std::atomic<std::int64_t> current_until_{0};
};

}  // namespace coditect::tenancy
