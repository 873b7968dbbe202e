#include "apps/coditect/cli.h"

namespace coditect::app {

void add_attack_command(Cli& cli) {
  auto& attack_options = cli.keep<attack::Options>();
  auto& attack_json = cli.keep<std::string>();
  auto& attack_phases = cli.keep<std::vector<std::string>>();
  auto* attack_command = cli.app.add_subcommand(
      "attack", "Play one tenant against another over HTTP; exit code 1 when something differs");
  attack_command->add_option("--url", attack_options.url, "the service, e.g. http://127.0.0.1:8080")
      ->required();
  auto* attack_a = attack_command->add_option("--tenant-a", attack_options.slug_a,
                                              "the attacker; default: signs two tenants up");
  auto* attack_key_a = attack_command->add_option("--key-a", attack_options.key_a, "its API key")
                           ->envname("CODITECT_ATTACK_KEY_A");
  auto* attack_b = attack_command->add_option("--tenant-b", attack_options.slug_b, "the other");
  auto* attack_key_b = attack_command->add_option("--key-b", attack_options.key_b, "its API key")
                           ->envname("CODITECT_ATTACK_KEY_B");
  attack_a->needs(attack_key_a)->needs(attack_b)->needs(attack_key_b);
  attack_b->needs(attack_a);
  attack_command
      ->add_option("--operator-key", attack_options.operator_key,
                   "an operator's key, to try suspended tenants too")
      ->envname("CODITECT_OPERATOR_KEY");
  attack_command->add_option("--tenant-parameter", attack_options.tenant_parameter,
                             "the path parameter that names the tenant");
  std::vector<std::string> attack_phase_names;
  std::string attack_phase_help = "only these:";
  for (const auto& [name, what] : attack::phases()) {
    attack_phase_names.push_back(name);
    attack_phase_help += "\n  " + name + ": " + what;
  }
  attack_command->add_option("--phase", attack_phases, attack_phase_help)
      ->check(CLI::IsMember(attack_phase_names));
  attack_command->add_flag("--stop-at-first", attack_options.stop_at_first,
                           "end at the first finding");
  attack_command->add_option("--timeout", attack_options.timeout_seconds, "seconds for an answer")
      ->check(CLI::Range(1, 3600));
  attack_command->add_option("--json", attack_json,
                             "write the report as JSON to this file; - : to "
                             "standard output");
  cli.on(attack_command, [&] {
    attack_options.phases = {attack_phases.begin(), attack_phases.end()};
    return attack_service(attack_options, attack_json);
  });
}

void add_tenant_commands(Cli& cli) {
  auto& import_options = cli.keep<ImportOptions>();
  auto* tenants = cli.app.add_subcommand("tenant", "Organizations in bulk");
  tenants->require_subcommand(1);
  auto* import_command = tenants->add_subcommand(
      "import", "Onboard organizations from a file; the same command goes on after a stop");
  import_command
      ->add_option("file", import_options.file,
                   "CSV with the header slug,name,owner_email[,owner_password_hash], or one JSON "
                   "object of these a line")
      ->required();
  import_command->add_option("--format", import_options.format,
                             "csv or jsonl; default: csv when the name ends so, else jsonl");
  import_command->add_option("--api-keys", import_options.api_keys_file,
                             "make an API key for each and write slug,key lines to this file");
  import_command->add_option("--rejects", import_options.rejects_file,
                             "where to write refused lines; default: FILE.rejects.jsonl");
  import_command->add_option("--step", import_options.step, "lines of one transaction")
      ->check(CLI::Range(1, 100000));
  import_command->add_flag("--dry-run", import_options.dry_run,
                           "check every line, write to no database");
  cli.with_state(import_command, import_options.state);
  cli.add_flags(import_command);
  cli.on(import_command, [&] { return cli.load(), import_tenants(cli.settings, import_options); });
}

void add_new_commands(Cli& cli) {
  auto& slice_options = cli.keep<NewSliceOptions>();
  auto* fresh = cli.app.add_subcommand("new", "Write code to start from");
  fresh->require_subcommand(1);
  auto* slice_command = fresh->add_subcommand(
      "slice", "A business noun: table, model, statements, routes, migration and two-tenant tests");
  slice_command->add_option("name", slice_options.name, "plural, as in invoices")->required();
  slice_command
      ->add_option("--fields", slice_options.fields,
                   "\"number:text amount:money due_on:date? status:enum(open,paid)\"; types: text, "
                   "text(MAX), int, money (whole cents), bool, date, time, enum(A,B); ? makes one "
                   "optional")
      ->required();
  slice_command->add_option("--singular", slice_options.singular,
                            "as in invoice; default: guessed from the plural");
  slice_command->add_option("--dir", slice_options.directory, "where the project is")
      ->check(CLI::ExistingDirectory);
  slice_command->add_flag("--dry-run", slice_options.dry_run, "only say what would be written");
  cli.on(slice_command, [&] { return new_slice(slice_options); });
}

void add_settings_commands(Cli& cli) {
  auto& markdown = cli.keep<bool>();
  auto* settings_command =
      cli.app.add_subcommand("settings", "Every setting, its value and where the value came from");
  settings_command->add_flag("--markdown", markdown, "as the reference page");
  cli.add_flags(settings_command);
  cli.on(settings_command, [&] { return cli.load(), show_settings(cli.table, markdown); });
  auto* keys = cli.app.add_subcommand("keys", "Sealing keys");
  keys->require_subcommand(1);
  cli.on(keys->add_subcommand("new", "Print a new key for sealing.keys"), [] { return new_key(); });
}

void add_admin_commands(Cli& cli) {
  auto& admin_options = cli.keep<AdminOptions>();
  admin_options.url.clear();
  auto& operator_name = cli.keep<std::string>();
  operator_name = "operator";
  auto* admin_command = cli.app.add_subcommand(
      "admin", "Work of operators on organizations; each act is logged with its reason");
  admin_command->require_subcommand(1);
  const auto admin_sub = [&](const char* name, const char* help, bool tenant) {
    auto* sub = admin_command->add_subcommand(name, help);
    sub->add_option("--url", admin_options.url, "address of the API");
    sub->add_option("--key", admin_options.key,
                    "an operator's key; default: of the state directory")
        ->envname("CODITECT_OPERATOR_KEY");
    cli.with_state(sub, admin_options.state);
    if (tenant)
      sub->add_option("tenant", admin_options.tenant, "the organization's slug")->required();
    sub->add_option("--reason", admin_options.reason, "why; kept in the operator log");
    cli.on(sub,
           [&, n = std::string(name)] { return admin_options.command = n, admin(admin_options); });
    return sub;
  };
  auto* list = admin_sub("list", "Organizations", false);
  list->add_option("--member", admin_options.member_email, "of the user with this e-mail address");
  list->add_option("--tenant-state", admin_options.tenant_state, "active, suspended or deleted");
  admin_sub("show", "One organization", true);
  admin_sub("usage", "Rows an organization has", true);
  admin_sub("suspend", "Suspend an organization", true);
  admin_sub("resume", "End a suspension", true);
  admin_sub("undelete", "Bring a deleted organization back", true);
  admin_sub("log", "What operators did", false);
  auto* operator_command = admin_command->add_subcommand(
      "new-operator", "Make an operator and print their key once (needs the database settings)");
  operator_command->add_option("--name", operator_name, "whose key it is");
  cli.add_flags(operator_command);
  cli.on(operator_command, [&] { return cli.load(), new_operator(cli.settings, operator_name); });
}

}  // namespace coditect::app
