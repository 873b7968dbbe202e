#include "testing/servers.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "base/check.h"
#include "schema/bootstrap.h"
#include "schema/direct.h"

namespace coditect::testing {
namespace {

/// Drops the databases at exit, so that a long run does not fill the disk.
struct Owned : Databases {
  Owned() {
    schema::Direct db(Servers::get().database_url);
    directory = "t" + std::to_string(getpid()) + "_directory";
    cell = "t" + std::to_string(getpid()) + "_cell";
    db.execute("CREATE DATABASE " + directory + " TEMPLATE coditect_directory");
    db.execute("CREATE DATABASE " + cell + " TEMPLATE coditect_cell");
  }
  ~Owned() {
    try {
      schema::Direct db(Servers::get().database_url);
      db.execute("DROP DATABASE IF EXISTS " + directory + " WITH (FORCE)");
      db.execute("DROP DATABASE IF EXISTS " + cell + " WITH (FORCE)");
    } catch (const std::exception& e) {  // a destructor at exit: say it, do not throw
      std::fprintf(stderr, "cannot drop the test databases: %s\n", e.what());
    }
  }
};

std::string as(const std::string& database, const std::string& role) {
  const auto& s = Servers::get();
  return schema::conninfo_for(s.database_url, database, role, s.passwords.at(role));
}

}  // namespace

const Servers& Servers::get() {
  static const Servers servers = [] {
    const char* name = std::getenv("COTEST_SERVERS");
    if (name == nullptr) {
      std::fprintf(stderr,
                   "COTEST_SERVERS is not set: run scripts/test.sh, or start "
                   "build/asan/src/test_servers FILE\n");
      std::exit(2);
    }
    Servers out;
    std::ifstream in(name);
    for (std::string line; std::getline(in, line);) {
      const auto space = line.find(' ');
      const auto key = line.substr(0, space), value = line.substr(space + 1);
      if (key == "database")
        out.database_url = value;
      else if (key == "redis")
        out.redis_url = value;
      else
        out.passwords.emplace(key, Secret(value));
    }
    return out;
  }();
  return servers;
}

const Databases& Databases::get() {
  static const Owned databases;
  return databases;
}

std::string Databases::directory_as(const std::string& role) const { return as(directory, role); }
std::string Databases::cell_as(const std::string& role) const { return as(cell, role); }

std::string Databases::cell_as_administrator() const {
  const auto& url = Servers::get().database_url;
  const auto at = url.find("password=");
  return schema::conninfo_for(url, cell, "coditect_admin", Secret(url.substr(at + 9)));
}

}  // namespace coditect::testing
