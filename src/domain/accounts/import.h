#pragma once
#include <functional>
#include <string>

#include "crypto/keyring.h"

namespace coditect::accounts {

/// Onboards tenants from a file: for each line an organization, its owner (a new user, or the one
/// with this e-mail address) and, when asked for, an API key.
struct ImportSource {
  std::string file;           ///< a regular file: it is read again from the middle after a crash
  std::string format;         ///< "csv" (with a header line) or "jsonl"
  std::string api_keys_file;  ///< where to write slug,api_key lines; empty: make no keys
  std::string rejects_file;   ///< where to write what was refused, as JSON lines
  int lines_per_step = 10000;
};

/// Where an import stands; also what its journal keeps.
struct ImportProgress {
  std::string id;
  std::int64_t next_byte = 0, next_line = 1;
  std::int64_t imported = 0, rejected = 0;
  std::int64_t total_bytes = 0;
  std::int64_t first_byte = 0, first_line = 1;  ///< of this run
  bool resumed = false;
  bool already = false;  ///< this file had been imported to its end before; nothing was done
  bool finished = false;
};

struct ImportDatabases {
  std::string directory, cell;  ///< connection strings of coditect_import
};

/// Runs or goes on with the import of this file. Each step of some thousand lines is an idempotent
/// sequence (directory as provisioning, cell, directory as active); the journal moves with its last
/// transaction, so that after a crash at any point the same call goes on where it was. `report` is
/// called after each step; when `stopped` says so, it ends after the step. A file that was imported
/// to its end is not imported again: its counts are returned, so that a crash after the last
/// transaction looks no different to the next run. Lines that break a rule,
/// and slugs that are taken, are written to the rejects file. Throws Failure when the file cannot
/// be read, is being imported by somebody else, a database fails, or the file for keys holds those
/// of another import or lacks some of this one.
ImportProgress import_tenants(const ImportSource& source, const ImportDatabases& databases,
                              const crypto::Keyring& keys,
                              const std::function<void(const ImportProgress&)>& report,
                              const std::function<bool()>& stopped);

/// Checks every line and writes the rejects file; touches no database.
ImportProgress check_import(const ImportSource& source,
                            const std::function<void(const ImportProgress&)>& report,
                            const std::function<bool()>& stopped);

}  // namespace coditect::accounts
