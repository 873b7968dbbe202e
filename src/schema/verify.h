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
std::vector<std::string> verify_cell(const std::string& conninfo, std::span<const Table> tables);
std::vector<std::string> verify_directory(const std::string& conninfo,
                                          std::span<const Table> tables);

}  // namespace coditect::schema
