#pragma once
#include <compare>
#include <cstdint>
#include <string>
#include <vector>

/// Where the tenants of a Citus cell are:
/// https://docs.citusdata.com/en/stable/develop/api_metadata.html
namespace coditect::tenancy {

/// The hash by which Citus distributes a bigint: PostgreSQL's hashint8() (src/backend/access/hash/
/// hashfunc.c, src/common/hashfn.c), the same on every platform.
std::int32_t tenant_hash(std::int64_t tenant);

struct Node {
  std::string host;
  int port = 0;
  /// "host:port", as in metrics and logs.
  std::string name() const { return host + ":" + std::to_string(port); }
  auto operator<=>(const Node&) const = default;
};

/// A range of hashes, both ends included, and the node that holds it.
struct Shard {
  std::int32_t first = 0, last = 0;
  std::int64_t id = 0;
  std::size_t node = 0;  ///< in ShardMap::nodes()
  bool operator==(const Shard&) const = default;
};

/// Which worker holds which tenant. It may be out of date: a worker that does not hold a tenant
/// forwards what it is asked, so a wrong answer is slower but not wrong.
class ShardMap {
 public:
  /// The shards in any order. Throws `shard_map_malformed` when they leave a gap or overlap.
  ShardMap(std::vector<Node> nodes, std::vector<Shard> shards);

  const std::vector<Node>& nodes() const { return nodes_; }
  const std::vector<Shard>& shards() const { return shards_; }

  /// In nodes(): of the node that holds the tenant.
  std::size_t node_of(std::int64_t tenant) const { return shard_of(tenant).node; }
  const Shard& shard_of(std::int64_t tenant) const;

  bool operator==(const ShardMap&) const = default;

 private:
  std::vector<Node> nodes_;
  std::vector<Shard> shards_;  ///< ascending
};

}  // namespace coditect::tenancy
