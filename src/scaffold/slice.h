#pragma once
#include <string>
#include <vector>

#include "scaffold/fields.h"

namespace coditect::scaffold {

/// Where the slice goes: the platform's own tree, or an application built on the package.
struct Surroundings {
  bool application = false;
  std::string name_space = "coditect";     ///< of the slices
  std::string include_prefix = "domain/";  ///< before "invoices/model.h"
  std::string source_prefix = "src/domain/";
  std::string migrations = "citus/migrations/cell/";
  int next_migration = 1;
};

struct File {
  std::string path;  ///< from the project's top
  std::string text;
};

/// A whole slice: model, queries, handlers, migration and two-tenant tests. The texts are not yet
/// formatted. Throws `invalid_slice` when the statement check would refuse one of its statements.
std::vector<File> render_slice(const SliceName& name, const std::vector<Field>& fields,
                               const Surroundings& surroundings);

}  // namespace coditect::scaffold
