#pragma once
#include <string>

#include "apps/coditect/server_process.h"
#include "apps/coditect/state_dir.h"

namespace coditect::app {

/// Prometheus with the platform's rules, and Jaeger where it is installed, as children on loopback.
class Monitoring {
 public:
  explicit Monitoring(const StateDir& state) : state_(state) {}

  /// Jaeger, before the API whose traces it gets; whether there is one.
  bool start_jaeger();
  /// Prometheus, which reads the API at this port. Throws `program_missing`.
  void start_prometheus(int api_port);
  void watch() { children_.watch(); }
  void stop() { children_.stop(); }

  /// Where the API sends its spans.
  std::string trace_endpoint() const;
  std::string prometheus_url() const { return "http://127.0.0.1:" + port("prometheus"); }
  std::string jaeger_url() const { return "http://127.0.0.1:" + port("jaeger"); }

 private:
  std::string port(const std::string& name) const;
  /// The one of the last run when it is free.
  std::string take_port(const std::string& name);

  const StateDir& state_;
  Children children_;
};

/// The program of Jaeger 2: $CODITECT_JAEGER, or where tools/build.sh puts it; empty: none.
std::string find_jaeger();

}  // namespace coditect::app
