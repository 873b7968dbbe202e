#pragma once
#include <span>
#include <string>
#include <vector>

#include "schema/tables.h"

namespace coditect::schema {

/// Compares a database's catalog with the registry: every table declared and there; tenant tables
/// with row-level security, strict policies with their check, keys that start with tenant_id and no
/// grants to PUBLIC; roles that own nothing, bypass nothing and can become nobody. One line for
/// each difference; empty when all is well.
/// Tables of tenants that the cell has and the registry lacks: those of a newer program, or of an
/// application built on this one. Whoever does not know them must not purge. Blocks.
std::vector<std::string> unknown_tenant_tables(const std::string& conninfo,
                                               std::span<const Table> tables);
std::vector<std::string> verify_cell(const std::string& conninfo, std::span<const Table> tables);
std::vector<std::string> verify_directory(const std::string& conninfo,
                                          std::span<const Table> tables);

}  // namespace coditect::schema
