#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "cluster/status.h"
#include "pg/conninfo.h"
#include "schema/verify.h"

namespace coditect::cluster {
namespace {

using schema::Direct;

/// Name of the parent -> what must be the same of each of its shards.
constexpr const char* kShape =
    "SELECT c.relname, concat_ws(' ', 'rls', c.relrowsecurity, 'force', c.relforcerowsecurity, "
    "'owner', c.relowner::regrole, 'policies', (SELECT string_agg(p.polname || ':' || "
    "p.polcmd::text || "
    "':' || (SELECT string_agg(r::regrole::text, ',' ORDER BY r::regrole::text) FROM "
    "unnest(p.polroles) r) || ':' || coalesce(pg_get_expr(p.polqual, p.polrelid), '') || ':' || "
    "coalesce(pg_get_expr(p.polwithcheck, p.polrelid), ''), ';' ORDER BY p.polname) FROM pg_policy "
    "p WHERE p.polrelid = c.oid), 'indexes', (SELECT count(*) FROM pg_index i WHERE i.indrelid = "
    "c.oid AND i.indisvalid), 'keys', (SELECT count(*) FROM pg_constraint k WHERE k.conrelid = "
    "c.oid AND k.convalidated), 'grants', (SELECT string_agg(a::text, ',' ORDER BY a::text) FROM "
    "unnest(c.relacl) a)) FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND "
    "c.relkind = 'r'";

using Shapes = std::map<std::string, std::string>;

Shapes shapes_of(Direct& db) {
  Shapes out;
  for (const auto& row : db.query(kShape)) out[*row[0]] = row[1].value_or("");
  return out;
}

void check_shards(const NodeInfo& node, const std::vector<ShardGroup>& shards,
                  const Shapes& parents, const Shapes& here, const std::set<std::string>& leftovers,
                  std::vector<std::string>& problems) {
  std::set<std::string> placed;
  for (const auto& s : shards) {
    if (s.node.id != node.id) continue;
    for (const auto& t : s.tables) {
      placed.insert(t.shard_name);
      const auto at = here.find(t.shard_name);
      const auto parent = parents.find(t.name);
      if (at == here.end())
        problems.push_back(node.address() + ": the rows of " + t.name + " in shard " +
                           std::to_string(t.shard_id) + " are gone: there is no table " +
                           t.shard_name);
      else if (parent != parents.end() && at->second != parent->second)
        problems.push_back(node.address() + ": " + t.shard_name + " differs from " + t.name +
                           ": it has " + at->second + " instead of " + parent->second);
    }
  }
  for (const auto& [name, shape] : here) {
    const auto digits = name.find_last_not_of("0123456789");
    const bool shard = digits != name.npos && digits + 4 < name.size() && name[digits] == '_' &&
                       parents.contains(name.substr(0, digits));
    if (shard && !placed.contains(name) && !leftovers.contains(name))
      problems.push_back(node.address() + ": " + name + " belongs to no shard: an orphan");
  }
}

void check_silent(Direct& db, const NodeInfo& node, std::vector<std::string>& problems) {
  const auto report = [&](const std::string& text, const std::string& sql) {
    for (const auto& row : db.query(sql))
      problems.push_back(node.address() + ": " + row[0].value_or("?") + text);
  };
  report(
      " references a distributed table from a local one: rows that are deleted there leave orphans",
      "SELECT conrelid::regclass || '.' || conname FROM pg_constraint WHERE contype = 'f' AND "
      "confrelid IN (SELECT logicalrelid FROM pg_dist_partition) AND conrelid NOT IN (SELECT "
      "logicalrelid FROM pg_dist_partition) AND conrelid::regclass::text !~ '_[0-9]{4,}$'");
  report(" is deferrable: its violation reaches the client as XX000 at COMMIT",
         "SELECT conrelid::regclass || '.' || conname FROM pg_constraint WHERE condeferrable AND "
         "conrelid IN (SELECT logicalrelid FROM pg_dist_partition)");
  report(" is a table of tenants that is not distributed",
         "SELECT c.relname FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid AND p.polname = "
         "'tenant_only' WHERE c.relnamespace = 'public'::regnamespace AND c.relname !~ "
         "'_[0-9]{4,}$' AND c.oid NOT IN (SELECT logicalrelid FROM pg_dist_partition)");
  report(" is not co-located with tenant_state: joins would cross workers",
         "SELECT logicalrelid FROM pg_dist_partition WHERE partmethod = 'h' AND colocationid <> "
         "(SELECT colocationid FROM pg_dist_partition WHERE logicalrelid = "
         "'public.tenant_state'::regclass)");
  report(
      " lacks the settings of 'coditect cluster init': SET LOCAL does not reach the workers",
      "SELECT r FROM unnest(ARRAY['coditect_app', 'coditect_operator', 'coditect_maintenance', "
      "'coditect_migrator']) r WHERE NOT EXISTS (SELECT FROM pg_db_role_setting s WHERE s.setrole "
      "= r::regrole AND s.setdatabase = (SELECT oid FROM pg_database WHERE datname = "
      "current_database()) AND 'citus.propagate_set_commands=local' = ANY (s.setconfig))");
  report(": the guard against silent loss of rows is missing; run 'coditect cluster init'",
         "SELECT 'coditect_guard' WHERE NOT EXISTS (SELECT FROM pg_event_trigger WHERE evtname = "
         "'coditect_guard' AND evtenabled <> 'D')");
  report(
      " does not hold for every row: run 'coditect cluster init' again",
      "SELECT conrelid::regclass || '.' || conname FROM pg_constraint WHERE NOT convalidated AND "
      "conrelid IN (SELECT logicalrelid FROM pg_dist_partition)");
  report(" has no credentials for the other nodes (pg_dist_authinfo)",
         "SELECT r FROM unnest(ARRAY['coditect_owner', 'coditect_app', 'coditect_operator', "
         "'coditect_maintenance', 'coditect_migrator']) r WHERE NOT EXISTS (SELECT FROM "
         "pg_dist_authinfo WHERE nodeid = 0 AND rolename = r)");
}

}  // namespace

std::vector<std::string> verify(Cluster& cluster, std::span<const schema::Table> tables, bool rows,
                                const std::function<void(const std::string&)>& report) {
  std::vector<std::string> problems;
  const auto shards = cluster.shards(false);
  const auto parents = shapes_of(cluster.db());
  for (const auto& node : cluster.nodes()) {
    const auto conninfo = cluster.conninfo_of(node);
    try {
      auto db = cluster.on(node);
      check_silent(db, node, problems);
      std::set<std::string> leftovers;
      for (const auto& row :
           cluster.db().query("SELECT regexp_replace(object_name, '^.*\\.', '') FROM "
                              "pg_dist_cleanup WHERE node_group_id = $1::int",
                              {std::to_string(node.group)}))
        leftovers.insert(row[0].value_or(""));
      for (const auto& line : schema::verify_cell(conninfo, tables))
        if (std::ranges::none_of(leftovers, [&line](const auto& name) {
              return line.starts_with("table " + name + " ");
            }))
          problems.push_back(node.address() + ": " + line);
      if (!leftovers.empty())
        report(node.address() + ": " + std::to_string(leftovers.size()) +
               " leftovers of moves wait to be dropped");
      const auto here = shapes_of(db);
      for (const auto& [name, shape] : parents) {
        const auto at = here.find(name);
        if (at != here.end() && at->second != shape)
          problems.push_back(node.address() + ": table " + name +
                             " differs from the coordinator's: it has " + at->second +
                             " instead of " + shape);
      }
      check_shards(node, shards, parents, here, leftovers, problems);
      report("looked at " + node.address());
    } catch (const Failure& f) {  // the others are looked at all the same
      problems.push_back(node.address() + " does not answer: " + f.error().detail);
    }
  }
  if (!rows || !problems.empty()) return problems;
  std::map<std::string, std::int64_t> counts;
  for (const auto& node : cluster.workers()) {
    auto db = cluster.on(node);
    for (const auto& s : shards)
      if (s.node.id == node.id)
        for (const auto& t : s.tables)
          counts[t.name] +=
              std::stoll(*db.query("SELECT count(*) FROM " + t.shard_name +
                                       " WHERE hashint8(tenant_id) BETWEEN $1::int AND $2::int",
                                   {std::to_string(s.first), std::to_string(s.last)})[0][0]);
  }
  for (const auto& [name, count] : counts) {
    const auto all = std::stoll(*cluster.db().query("SELECT count(*) FROM " + name)[0][0]);
    report(fmt::format("{}: {} rows in their shards", name, count));
    if (all != count)
      problems.push_back(fmt::format(
          "{}: {} rows, of which {} are in the shard of their tenant (or rows changed meanwhile)",
          name, all, count));
  }
  return problems;
}

}  // namespace coditect::cluster
