#pragma once
#include <functional>

#include "cluster/cluster.h"
#include "schema/tables.h"

namespace coditect::cluster {

/// What is true of the cluster now, as a JSON document: `nodes` (address, role, up, versions,
/// connections, lag of standbys, prepared and long transactions, shards, bytes), `skew` (largest
/// through mean bytes of the workers), `tenants_by_size`, `operation` and `warnings`. A node that
/// does not answer is told of, not waited for.
boost::json::object status(Cluster& cluster, int top_tenants, bool shards);
/// The busiest tenants of the next seconds: (tenant_id, queries, cpu_seconds). Counting costs a
/// worker a sixth of its throughput as long as it lasts. `stopped` ends it early.
boost::json::array busiest_tenants(Cluster& cluster, double seconds, int most,
                                   const std::function<bool()>& stopped);
/// The same for people.
std::string status_text(const boost::json::object& status);

/// What is wrong, in words: the catalog of each node against the registry, each shard's table
/// against its parent's (row-level security, policies, indexes, keys), placements without a table
/// and tables without a placement, foreign keys and settings that Citus lets pass silently.
/// `rows` also counts each shard's rows. Empty: all is right.
std::vector<std::string> verify(Cluster& cluster, std::span<const schema::Table> tables, bool rows,
                                const std::function<void(const std::string&)>& report);

}  // namespace coditect::cluster
