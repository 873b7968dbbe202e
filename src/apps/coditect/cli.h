#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "apps/coditect/commands.h"

namespace coditect::app {

/// The command line while it is being built and parsed. What a command's options are written to
/// lives as long as this does.
struct Cli {
  explicit Cli(const Application& application);
  Cli(const Cli&) = delete;
  Cli& operator=(const Cli&) = delete;

  const Application& application;
  CLI::App app;
  ProgramSettings settings;
  config::Table table;
  std::map<std::string, std::string> flags;  ///< settings given as flags
  std::string config_file;
  std::function<int()> command;  ///< the one that was named

  /// What the subcommand does.
  void on(CLI::App* sub, std::function<int()> work);
  /// The option --state.
  void with_state(CLI::App* sub, std::string& to);
  /// Every setting is a flag of the command.
  void add_flags(CLI::App* sub);
  /// Settings from flags, environment, file and defaults. Throws `setting_invalid`,
  /// `config_unreadable`.
  void load();

  template <class Options>
  Options& keep() {
    auto made = std::make_shared<Options>();
    kept_.push_back(made);
    return *made;
  }

 private:
  std::vector<std::shared_ptr<void>> kept_;
};

void add_run_commands(Cli& cli);  ///< up, down, status, serve, migrate, bootstrap
void add_attack_command(Cli& cli);
void add_tenant_commands(Cli& cli);
void add_cluster_commands(Cli& cli);
void add_plan_commands(Cli& cli);
void add_new_commands(Cli& cli);
void add_settings_commands(Cli& cli);
void add_admin_commands(Cli& cli);

}  // namespace coditect::app
