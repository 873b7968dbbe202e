#pragma once
#include "async/blocking.h"
#include "crypto/keyring.h"
#include "crypto/password.h"
#include "obs/metrics.h"
#include "obs/trace.h"
#include "pg/pool.h"
#include "tenancy/cell.h"
#include "tenancy/directory.h"
#include "tenancy/limiter.h"

namespace coditect::auth {

struct Settings {
  int argon2_memory_kib = 19456;
  int argon2_passes = 2;
  std::chrono::milliseconds session_lifetime{30LL * 24 * 3600 * 1000};
  std::chrono::milliseconds session_idle{14LL * 24 * 3600 * 1000};
  bool cookie_secure = true;
  int login_per_address = 20;   ///< tries a minute from one address block
  int login_per_account = 20;   ///< tries a minute for one e-mail address
  int login_global = 600;       ///< tries a minute in all
  int signup_per_address = 10;  ///< signups a minute from one address block
  int signup_global = 300;      ///< signups a minute in all
  std::string
      origin;  ///< scheme and host of the console, for the Origin check; empty: the Host header

  crypto::Argon2Cost argon2() const {
    return {static_cast<std::uint32_t>(argon2_memory_kib),
            static_cast<std::uint32_t>(argon2_passes)};
  }
};

class KnownKeys;

/// What the API needs on one loop; built in the program's wiring.
struct Services {
  async::Loop& loop;
  pg::Pool& directory;           ///< coditect_app in the directory
  tenancy::Cell& cell;           ///< coditect_app in the cell
  pg::Pool& directory_operator;  ///< coditect_operator in the directory
  pg::Pool& cell_operator;       ///< coditect_operator in the cell
  tenancy::Directory& tenants;
  tenancy::Limiter& limiter;
  const crypto::Keyring& keys;
  async::BlockingPool& hashing;
  KnownKeys& known_keys;
  obs::SpanQueue& spans;
  obs::Metrics& metrics;
  const Settings& settings;
  int sample_per_mille;  ///< of new traces
};

}  // namespace coditect::auth
