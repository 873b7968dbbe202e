#include "tenancy/directory.h"

#include <charconv>

#include <fmt/format.h>

namespace coditect::tenancy {
namespace {

using namespace std::chrono_literals;

constexpr auto kRedis = 30s;
constexpr std::size_t kChanges = 65536;

constexpr GlobalStatement<TenantRecord, TenantPublicId> kByPublicId{
    "directory.by_public_id",
    "SELECT id, public_id, slug, cell, state, epoch FROM tenants WHERE public_id = $1 AND state <> "
    "'purged'"};

// Never replaces an entry by an older one, so a slow reader cannot bring a stale state back.
const std::string kPutIfNewer =
    "local old = redis.call('GET', KEYS[1])\n"
    "if old and tonumber(string.match(old, '^%d+')) > tonumber(ARGV[2]) then return 0 end\n"
    "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])\n"
    "return 1";

std::string id_key(const TenantPublicId& id) { return "directory:id:{" + id.str() + "}"; }

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> out;
  for (;;) {
    const auto bar = text.find('|');
    out.push_back(text.substr(0, bar));
    if (bar == text.npos) return out;
    text.remove_prefix(bar + 1);
  }
}

template <class Int>
bool parse(std::string_view text, Int& out) {
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), out);
  return bad == std::errc() && end == text.data() + text.size();
}

std::string to_entry(const TenantRecord& r) {
  return fmt::format("{}|{}|{}|{}|{}|{}", r.epoch, r.id, r.public_id.str(), r.slug, r.cell,
                     boost::describe::enum_to_string(r.state, ""));
}

}  // namespace

std::optional<TenantRecord> from_entry(std::string_view text) {
  const auto parts = split(text);
  TenantRecord r;
  if (parts.size() != 6 || !parse(parts[0], r.epoch) || !parse(parts[1], r.id) ||
      !boost::describe::enum_from_string(std::string(parts[5]).c_str(), r.state))
    return std::nullopt;
  const auto id = TenantPublicId::parse(parts[2]);
  if (!id) return std::nullopt;
  r.public_id = *id;
  r.slug = parts[3];
  r.cell = parts[4];
  return r;
}

std::string change_payload(const TenantRecord& record) { return to_entry(record); }

TenantKnowledge::TenantKnowledge()
    : salt_(to_string(make_uuid7())), changes_(65536, std::chrono::minutes(5)) {}

std::uint64_t TenantKnowledge::hash_of(std::string_view slug) const {
  return std::hash<std::string>()(salt_ + std::string(slug));
}

std::optional<TenantKnowledge::Change> TenantKnowledge::change_of(std::int64_t tenant) {
  if (!any_change_.load(std::memory_order_acquire)) return std::nullopt;
  const std::lock_guard lock(mutex_);
  const auto* change = changes_.find(tenant);
  return change != nullptr ? std::optional(*change) : std::nullopt;
}

void TenantKnowledge::on_change(const TenantRecord& record) {
  identities_.erase(record.public_id.uuid());
  const std::lock_guard lock(mutex_);
  const auto* known = changes_.find(record.id);
  if (known == nullptr || known->epoch < record.epoch)
    changes_.put(record.id, {record.epoch, record.state, std::chrono::steady_clock::now()});
  any_change_.store(true, std::memory_order_release);
}

void TenantKnowledge::on_gap() {
  identities_.clear();
  last_gap_ = std::chrono::steady_clock::now().time_since_epoch().count();
}

Directory::Directory(pg::Pool& pool, redis::Client& redis, const DirectoryFeed& feed,
                     TenantKnowledge& knowledge, obs::Metrics& metrics)
    : pool_(pool),
      redis_(redis),
      feed_(feed),
      knowledge_(knowledge),
      least_epoch_(kChanges, kRedis * 2),
      memory_hits_(metrics.counter("coditect_directory_lookups_total", "Tenant lookups",
                                   {{"from", "memory"}})),
      redis_hits_(metrics.counter("coditect_directory_lookups_total", "Tenant lookups",
                                  {{"from", "redis"}})),
      misses_(metrics.counter("coditect_directory_lookups_total", "Tenant lookups",
                              {{"from", "database"}})) {}

bool Directory::redis_is_trusted() const {
  return feed_.current() && redis_.connected() &&
         std::chrono::steady_clock::now() >= distrust_redis_until_;
}

Async<std::optional<TenantRecord>> Directory::by_public_id(TenantPublicId id, Deadline deadline,
                                                           const obs::Tracer& tracer) {
  const auto key = id_key(id);
  if (redis_is_trusted()) {
    // Redis is not trusted to be right: another tenant's record is no record of this one.
    if (auto hit = co_await from_redis(key, tracer); hit && hit->public_id == id) {
      redis_hits_.Increment();
      co_return hit;
    }
  }
  misses_.Increment();
  auto record = co_await GlobalDb(pool_, deadline, tracer).maybe_one(kByPublicId, id);
  // Absence is not kept: a signup must be seen at once.
  if (record && redis_is_trusted()) co_await to_redis(key, *record);
  co_return record;
}

Async<std::optional<TenantIdentity>> Directory::identity(TenantPublicId id, Deadline deadline,
                                                         const obs::Tracer& tracer) {
  if (feed_.current()) {
    if (const auto known = knowledge_.find(id)) {
      memory_hits_.Increment();
      co_return known;
    }
  }
  const auto gap = knowledge_.last_gap();
  const auto record = co_await by_public_id(id, deadline, tracer);
  if (!record) co_return std::nullopt;
  const TenantIdentity identity{record->id, knowledge_.hash_of(record->slug)};
  if (knowledge_.last_gap() == gap) knowledge_.put(id, identity);
  co_return identity;
}

Async<std::optional<TenantRecord>> Directory::from_redis(const std::string& key,
                                                         const obs::Tracer& tracer) {
  try {
    const obs::DatabaseSpan span(tracer, "redis", "GET");
    const auto reply = co_await redis_.command(key, {"GET", key});
    if (reply.kind != redis::Reply::Kind::text) co_return std::nullopt;
    auto record = from_entry(reply.text);
    const auto* least = least_epoch_.find(key);
    if (record && least != nullptr && record->epoch < *least) co_return std::nullopt;
    co_return record;
  } catch (const Failure&) {  // Redis is a cache: without it the database answers
    co_return std::nullopt;
  }
}

Async<> Directory::to_redis(std::string key, const TenantRecord& record) {
  try {
    co_await redis_.command(
        key, {"EVAL", kPutIfNewer, "1", key, to_entry(record), std::to_string(record.epoch),
              std::to_string(std::chrono::milliseconds(kRedis).count())});
  } catch (const Failure&) {  // likewise
  }
}

Async<> Directory::announce(TenantRecord record) {
  on_change(change_payload(record));
  co_await to_redis(id_key(record.public_id), record);
}

void Directory::on_change(const std::string& payload) {
  const auto record = from_entry(payload);
  if (!record) return on_gap();  // a message of another version: believe nothing
  knowledge_.on_change(*record);
  const auto key = id_key(record->public_id);
  const auto* known = least_epoch_.find(key);
  least_epoch_.put(key, known != nullptr ? std::max(*known, record->epoch) : record->epoch);
}

void Directory::on_gap() {
  knowledge_.on_gap();
  distrust_redis_until_ = std::chrono::steady_clock::now() + kRedis;
}

DirectoryFeed::DirectoryFeed(async::Loop& loop, std::string conninfo)
    : listener_(
          loop, std::move(conninfo), std::string(kTenantChannel),
          [this](const std::string& payload) {
            for (const auto& t : targets_)
              asio::post(t.loop->io(), [d = t.directory, payload] { d->on_change(payload); });
          },
          [this] {
            for (const auto& t : targets_)
              asio::post(t.loop->io(), [d = t.directory] { d->on_gap(); });
          }),
      tasks_(loop.io()) {}

void DirectoryFeed::add(async::Loop& loop, Directory& directory) {
  targets_.push_back({&loop, &directory});
}

void DirectoryFeed::start() {
  tasks_.spawn("directory feed", listener_.run());
  tasks_.spawn("directory feed watch", watch());
}

Async<> DirectoryFeed::watch() {
  for (;;) {
    if (listener_.current())
      current_until_ = (std::chrono::steady_clock::now() + 300ms).time_since_epoch().count();
    co_await async::sleep_for(100ms);
  }
}

}  // namespace coditect::tenancy
