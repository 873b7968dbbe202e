#include "apps/coditect/cli.h"

#include <fstream>
#include <sstream>

#include "apps/coditect/state_dir.h"
#include "base/error.h"
#include "obs/log.h"

extern char** environ;

namespace coditect::app {
namespace {

/// Variables of the command line itself; all other CODITECT_* are settings.
constexpr std::string_view kOwnVariables[] = {"CODITECT_CONFIG",       "CODITECT_OPERATOR_KEY",
                                              "CODITECT_STATE",        "CODITECT_JAEGER",
                                              "CODITECT_ATTACK_KEY_A", "CODITECT_ATTACK_KEY_B"};

/// What --version prints.
std::string version_line(const Application& application) {
  const std::string own = application.name + " " + application.version;
  return application.name == "coditect" ? own : own + " (Coditect " CODITECT_VERSION ")";
}

}  // namespace

Cli::Cli(const Application& a) : application(a), app(a.description, a.name) {
  settings.describe(table);
  app.set_version_flag("--version", version_line(a));
  app.require_subcommand(1);
}

void Cli::on(CLI::App* sub, std::function<int()> work) {
  sub->callback([this, work = std::move(work)] { command = work; });
}

void Cli::with_state(CLI::App* sub, std::string& to) {
  const auto& name = application.name;
  to = StateDir::default_path(name);
  sub->add_option("--state", to,
                  "state directory; default /var/lib/" + name + " for root, else $XDG_STATE_HOME/" +
                      name + " or ~/.local/state/" + name)
      ->envname("CODITECT_STATE")
      ->check([](const std::string& value) {
        return value.empty() ? std::string("must not be empty") : std::string();
      });
}

void Cli::load() {
  config::Table::Sources sources;
  sources.flags = flags;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const auto name = text.substr(0, text.find('='));
    if (!name.starts_with("CODITECT_") ||
        std::ranges::find(kOwnVariables, name) != std::end(kOwnVariables))
      continue;
    sources.environment.emplace(name, text.substr(name.size() + 1));
  }
  if (!config_file.empty()) {
    std::ifstream in(config_file);
    if (!in)
      fail(Code::invalid_argument, "config_unreadable",
           "--config " + config_file + " cannot be read");
    std::ostringstream all;
    all << in.rdbuf();
    sources.file_name = config_file;
    sources.file_text = all.str();
  }
  if (auto ok = table.load(sources); !ok) throw Failure(ok.error());
  if (!obs::set_log_level(settings.log_level))
    fail(Code::invalid_argument, "setting_invalid", "log.level is debug, info, warn, error or off");
}

void Cli::add_flags(CLI::App* sub) {
  for (const auto& s : table.all()) {
    const auto name = s.name;
    sub->add_option_function<std::string>(
           s.flag(), [this, name](const std::string& value) { flags[name] = value; }, s.help)
        ->group("Settings")
        ->type_name(s.type)
        ->take_last();
  }
  sub->add_option("--config", config_file, "TOML file of settings")->envname("CODITECT_CONFIG");
}

}  // namespace coditect::app
