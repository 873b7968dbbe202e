#pragma once
#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "async/loop.h"
#include "base/fixed_cache.h"
#include "base/lru_cache.h"
#include "base/mutant.h"
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
/// A record from change_payload()'s text, as the channel and Redis give it; nullopt when malformed.
std::optional<TenantRecord> from_entry(std::string_view text);

/// Whether the process hears of changes; one for all loops.
class DirectoryFeed;

/// What of a tenant does not change while it stays in its cell.
struct TenantIdentity {
  std::int64_t id;
  std::uint64_t slug;  ///< TenantKnowledge::hash_of(slug)
};

/// What all loops of the process know of tenants. An identity tells
/// where to look, not what is allowed: whoever uses one reads the tenant's state from its cell in
/// the same transaction. A change that the feed tells of is kept here until the cell has it too.
class TenantKnowledge {
 public:
  TenantKnowledge();

  std::optional<TenantIdentity> find(const TenantPublicId& id) {
    if (mutant("directory.one_identity")) return identities_.find(Uuid{});
    return identities_.find(id.uuid());
  }
  void put(const TenantPublicId& id, const TenantIdentity& identity) {
    if (mutant("directory.one_identity")) identities_.put(Uuid{}, identity);
    identities_.put(id.uuid(), identity);
  }
  /// 64 bits by which slugs are compared; another function in each process.
  std::uint64_t hash_of(std::string_view slug) const;

  struct Change {
    std::int64_t epoch;
    TenantState state;
    std::chrono::steady_clock::time_point at;
  };
  /// The latest change that was told of in the last minutes.
  std::optional<Change> change_of(std::int64_t tenant);
  void on_change(const TenantRecord& record);
  /// Changes may have been missed: forgets everything.
  void on_gap();
  std::chrono::steady_clock::time_point last_gap() const {
    return std::chrono::steady_clock::time_point(
        std::chrono::steady_clock::duration(last_gap_.load(std::memory_order_relaxed)));
  }

 private:
  struct Hash {
    std::size_t operator()(const Uuid& id) const { return std::hash<Uuid>()(id); }
  };
  static constexpr std::size_t kIdentities = 1'250'000;  ///< 50 MiB when full
  FixedCache<Uuid, TenantIdentity, Hash> identities_{kIdentities};
  std::string salt_;
  std::mutex mutex_;
  LruCache<std::int64_t, Change> changes_;
  std::atomic<bool> any_change_{false};
  std::atomic<std::int64_t> last_gap_{0};
};

/// Finds tenants: memory, then Redis, then the directory database. Changes come by NOTIFY in
/// milliseconds; while that channel is not known to be alive neither memory nor Redis is believed.
/// One per loop.
class Directory {
 public:
  Directory(pg::Pool& pool, redis::Client& redis, const DirectoryFeed& feed,
            TenantKnowledge& knowledge, obs::Metrics& metrics);

  Async<std::optional<TenantRecord>> by_public_id(TenantPublicId id, Deadline deadline,
                                                  const obs::Tracer& tracer = {});
  /// Where to look for the tenant; from memory as long as the feed is alive.
  Async<std::optional<TenantIdentity>> identity(TenantPublicId id, Deadline deadline,
                                                const obs::Tracer& tracer = {});
  TenantKnowledge& knowledge() { return knowledge_; }

  /// Puts a changed record where other processes look first.
  Async<> announce(TenantRecord record);

  /// A change came in; older entries are not believed any more.
  void on_change(const std::string& payload);
  /// Changes may have been missed.
  void on_gap();

 private:
  Async<std::optional<TenantRecord>> from_redis(const std::string& key, const obs::Tracer& tracer);
  Async<> to_redis(std::string key, const TenantRecord& record);
  bool redis_is_trusted() const;

  pg::Pool& pool_;
  redis::Client& redis_;
  const DirectoryFeed& feed_;
  TenantKnowledge& knowledge_;
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
