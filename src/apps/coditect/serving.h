#pragma once
#include <memory>
#include <vector>

#include "apps/coditect/application.h"
#include "apps/coditect/program_settings.h"
#include "async/loop.h"
#include "auth/dispatch.h"
#include "crypto/keyring.h"
#include "domain/accounts/population.h"

namespace coditect::app {

/// The API: the wiring of all parts, from settings to an answering port.
class Serving {
 public:
  /// Throws when a setting is missing or malformed. Application and settings must outlive this.
  Serving(const Application& application, const ProgramSettings& settings);
  ~Serving();

  /// Listens and serves on threads of its own. Throws `port_in_use`.
  void start();
  /// Drains and ends.
  void stop();
  int port() const { return port_; }

 private:
  struct OnLoop;
  Async<http::Response> answer(OnLoop& on, http::Request& request);
  Async<http::Response> answer_management(OnLoop& on, http::Request& request);
  std::optional<http::Response> document(http::Request& request) const;
  Async<http::Response> ready(OnLoop& on, const http::Request& request);
  Async<> start_loop(OnLoop& on);
  Async<> stop_loop(OnLoop& on);
  Async<> maintain(OnLoop& on);
  Async<> watch_memory(OnLoop& on);
  Async<int> shed_memory(OnLoop& on);
  Async<bool> knows_all_tables();
  Async<int> round(OnLoop& on, std::string holder);
  Async<int> drop_expired(OnLoop& on, Deadline deadline);
  Async<> step(std::string_view name, Async<int> work);

  const Application& application_;
  const ProgramSettings& settings_;
  crypto::Keyring keys_;
  obs::Metrics metrics_;
  obs::SpanQueue spans_;
  async::BlockingPool hashing_;
  auth::KnownKeys known_keys_;
  tenancy::TenantKnowledge knowledge_;
  std::unique_ptr<http::ServerTls> tls_;  ///< null: plain HTTP
  auth::Routes routes_;
  std::string openapi_, docs_;
  async::Loops loops_;
  std::unique_ptr<tenancy::DirectoryFeed> feed_;
  std::vector<std::unique_ptr<OnLoop>> on_loops_;
  std::unique_ptr<tenancy::CellWatch> cell_watch_;
  accounts::Population population_{metrics_};
  std::chrono::steady_clock::time_point measure_sizes_at_{};
  std::unique_ptr<async::TaskGroup> background_;
  int port_ = 0;
  bool running_ = false;
};

/// Waits until both databases have the schema this program needs; `report` gets a line for people.
/// Throws `program_too_old` when a database needs a newer program.
void wait_for_schema(const ProgramSettings& settings,
                     std::span<const schema::MigrationSource> sources,
                     const std::function<void(const std::string&)>& report,
                     const std::function<bool()>& stopped);

/// sealing.keys, from the setting or its file.
crypto::Keyring load_keys(const ProgramSettings& settings);

}  // namespace coditect::app
