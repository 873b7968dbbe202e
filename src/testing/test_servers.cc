// Starts a private PostgreSQL and Redis with migrated template databases for the tests, writes
// where they are to the file that is named, says "ready", and stops when its input ends.
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "apps/coditect/embedded.h"
#include "crypto/digest.h"
#include "schema/bootstrap.h"
#include "schema/migrate.h"

namespace {

using namespace coditect;

int run(const std::string& file) {
  const auto path = "/tmp/coditect-test-" + std::to_string(getpid());
  const auto user = app::unprivileged_user();
  std::ofstream out(file);
  auto state = app::StateDir::prepare(path, user);
  if (user) app::become(*user);
  app::EmbeddedServers servers(state);
  servers.start(true, app::EmbeddedServers::Redis::one);
  std::map<std::string, Secret> passwords;
  for (const char* role : schema::kLoginRoles)
    passwords.emplace(role, Secret(crypto::random_base62(24)));
  schema::bootstrap(servers.database_url(), passwords, {});
  for (const char* set : {"directory", "cell"})
    schema::migrate(schema::conninfo_for(servers.database_url(), std::string("coditect_") + set,
                                         "coditect_migrator", passwords.at("coditect_migrator")),
                    schema::migrations_of(set, schema::migration_files()),
                    [](const std::string&) {});
  out << "database " << servers.database_url() << "\nredis " << servers.redis_url() << "\n";
  for (const auto& [role, password] : passwords) out << role << " " << password.reveal() << "\n";
  out.close();
  std::puts("ready");
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  servers.stop();
  std::error_code ec;
  std::filesystem::remove_all(path + "/postgres", ec);
  std::filesystem::remove_all(path + "/redis", ec);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return argc == 2 ? run(argv[1]) : 2;
  } catch (const std::exception& e) {
    std::printf("failed: %s\n", e.what());
    return 1;
  }
}
