#include <cstdio>
#include <iostream>

#include "apps/coditect/application.h"
#include "apps/coditect/cli.h"

namespace coditect::app {

int exit_code(Code code) {
  switch (code) {
    case Code::invalid_argument: return 2;
    case Code::not_found: return 4;
    case Code::conflict:
    case Code::failed_precondition:
    case Code::unprocessable: return 5;
    case Code::unavailable:
    case Code::rate_limited: return 6;
    case Code::deadline_exceeded: return 7;
    case Code::unauthenticated:
    case Code::permission_denied: return 8;
    case Code::internal: return 1;
  }
  return 1;
}

namespace {

/// An unknown flag gets the nearest known one.
std::string with_suggestion(const CLI::App& app, const std::string& message, int argc,
                            char** argv) {
  std::vector<std::string> known;
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
  for (const auto* option : at->get_options())
    for (const auto& name : option->get_lnames()) known.push_back("--" + name);
  for (int i = 1; i < argc; ++i) {
    const std::string word = std::string(argv[i]).substr(0, std::string(argv[i]).find('='));
    if (!word.starts_with("--") || std::ranges::find(known, word) != known.end()) continue;
    if (const auto near = config::nearest_word(word, known); !near.empty())
      return message + "; did you mean " + near + "?";
  }
  return message;
}

int run(int argc, char** argv, const Application& application) {
  Cli cli(application);
  add_run_commands(cli);
  add_attack_command(cli);
  add_tenant_commands(cli);
  add_cluster_commands(cli);
  add_plan_commands(cli);
  add_new_commands(cli);
  add_settings_commands(cli);
  add_admin_commands(cli);
  try {
    cli.app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {  // CLI11's way to say help, version or wrong usage
    if (e.get_exit_code() == 0) return cli.app.exit(e);
    std::cerr << application.name << ": " << with_suggestion(cli.app, e.what(), argc, argv)
              << "\nRun with --help for more information.\n";
    return 2;
  }
  return cli.command();
}

}  // namespace

int run_program(int argc, char** argv, Application application) {
  for (auto& source : application.migrations)
    if (source.program_version.empty()) source.program_version = application.version;
  try {
    return run(argc, argv, application);
  } catch (const Failure& f) {
    const auto& e = f.error();
    std::fprintf(stderr, "%s: %s (%s)\n", application.name.c_str(),
                 e.detail.empty() ? "failed" : e.detail.c_str(), std::string(e.reason).c_str());
    return exit_code(e.code);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: unexpected: %s\n", application.name.c_str(), e.what());
    return 1;
  }
}

}  // namespace coditect::app
