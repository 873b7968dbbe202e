#include "testing/run_test_servers.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "apps/coditect/embedded.h"
#include "crypto/digest.h"
#include "schema/bootstrap.h"
#include "schema/migrate.h"

namespace coditect::testing {
namespace {

/// The tests' own process, made while this one still is who started it, so that it can read what
/// they can; it waits for the servers.
class Command {
 public:
  explicit Command(char** words) {
    if (pipe(go_) != 0) fail(Code::unavailable, "cannot_fork", "pipe");
    pid_ = fork();
    if (pid_ < 0) fail(Code::unavailable, "cannot_fork", "fork");
    if (pid_ > 0) {
      close(go_[0]);
      return;
    }
    close(go_[1]);
    std::string file;
    char buffer[512];
    for (ssize_t n = 0; (n = read(go_[0], buffer, sizeof buffer)) > 0;)
      file.append(buffer, static_cast<std::size_t>(n));
    if (file.empty()) std::_Exit(1);  // no servers, no tests
    setenv("COTEST_SERVERS", file.c_str(), 1);
    execvp(words[0], words);
    std::perror(words[0]);
    std::_Exit(127);
  }
  ~Command() {
    if (go_[1] >= 0) close(go_[1]);
  }

  int run(const std::string& file) {
    if (write(go_[1], file.data(), file.size()) < 0) return 1;
    close(std::exchange(go_[1], -1));
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  int go_[2] = {-1, -1};
  pid_t pid_ = 0;
};

int run(const std::string& given, Command* command, const app::Application& application) {
  const auto path = "/tmp/coditect-test-" + std::to_string(getpid());
  const auto user = app::unprivileged_user();
  const auto file = given.empty() ? path + ".servers" : given;
  std::ofstream out(file);
  auto state = app::StateDir::prepare(path, user);
  if (user) app::become(*user);
  app::EmbeddedServers servers(state);
  servers.start({});
  std::map<std::string, Secret> passwords;
  for (const char* role : schema::kLoginRoles)
    passwords.emplace(role, Secret(crypto::random_base62(24)));
  const schema::DatabaseNames names;
  schema::prepare_server(servers.database_url(), passwords, {names.directory, names.cell});
  for (const char* set : {"directory", "cell"})
    schema::migrate(schema::conninfo_for(servers.database_url(), std::string("coditect_") + set,
                                         "coditect_migrator", passwords.at("coditect_migrator")),
                    schema::migrations_of(set, application.migrations), [](const std::string&) {});
  out << "database " << servers.database_url() << "\nredis " << servers.redis_url() << "\n";
  for (const auto& [role, password] : passwords) out << role << " " << password.reveal() << "\n";
  out.close();
  int status = 0;
  if (command != nullptr) {
    status = command->run(file);
  } else {
    std::puts("ready");
    std::fflush(stdout);
    while (std::getchar() != EOF) {
    }
  }
  servers.stop();
  std::error_code ec;
  std::filesystem::remove_all(path + "/postgres", ec);
  std::filesystem::remove_all(path + "/redis", ec);
  if (given.empty()) std::filesystem::remove(file, ec);
  return status;
}

}  // namespace

int run_test_servers(int argc, char** argv, const app::Application& application) {
  try {
    if (argc >= 3 && std::string_view(argv[1]) == "--") {
      Command command(argv + 2);
      return run("", &command, application);
    }
    if (argc == 2) return run(argv[1], nullptr, application);
    std::fprintf(stderr, "usage: %s FILE | -- COMMAND ARG...\n", argv[0]);
    return 2;
  } catch (const std::exception& e) {
    std::printf("failed: %s\n", e.what());
    return 1;
  }
}

}  // namespace coditect::testing
