#include "apps/coditect/monitoring.h"

#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <span>

#include "base/embedded_file.h"
#include "base/error.h"

namespace coditect::app {

std::span<const EmbeddedFile> monitoring_files();

namespace {

std::string text_of(std::string_view name) {
  for (const auto& file : monitoring_files())
    if (file.path == name) return std::string(file.text);
  fail(Code::internal, "monitoring_file_missing", std::string(name));
}

std::string with(std::string text, const std::string& name, const std::string& value) {
  const auto variable = "${" + name + "}";
  for (auto at = text.find(variable); at != std::string::npos; at = text.find(variable, at))
    text.replace(at, variable.size(), value);
  return text;
}

}  // namespace

std::string find_jaeger() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value != nullptr ? value : "");
  };
  const auto cache = variable("XDG_CACHE_HOME");
  for (const auto& path :
       {variable("CODITECT_JAEGER"), std::string("/usr/local/bin/jaeger"),
        std::string("/usr/local/lib/coditect/tools/jaeger"),
        (cache.empty() ? variable("HOME") + "/.cache" : cache) + "/coditect/tools/jaeger"})
    if (!path.empty() && access(path.c_str(), X_OK) == 0) return path;
  return "";
}

std::string Monitoring::port(const std::string& name) const {
  const auto ports = state_.read_values("ports");
  const auto at = ports.find(name);
  return at == ports.end() ? "0" : at->second;
}

std::string Monitoring::take_port(const std::string& name) {
  auto ports = state_.read_values("ports");
  ports[name] = std::to_string(choose_port(std::atoi(port(name).c_str())));
  state_.write_values("ports", ports);
  return ports[name];
}

std::string Monitoring::trace_endpoint() const {
  return "http://127.0.0.1:" + port("jaeger-otlp") + "/v1/traces";
}

bool Monitoring::start_jaeger() {
  const auto program = find_jaeger();
  if (program.empty()) return false;
  const auto dir = state_.file("jaeger");
  mkdir(dir.c_str(), 0700);
  state_.write_file("jaeger/jaeger.yaml", text_of("monitoring/jaeger/jaeger.yaml"));
  const auto address = [this](const char* name) { return "127.0.0.1:" + take_port(name); };
  children_.start(
      {"jaeger",
       {program, "--config", dir + "/jaeger.yaml"},
       state_.file("log/jaeger.log"),
       SIGTERM,
       {"JAEGER_UI_ADDRESS=" + address("jaeger"), "JAEGER_GRPC_ADDRESS=" + address("jaeger-grpc"),
        "JAEGER_OTLP_ADDRESS=" + address("jaeger-otlp"),
        "JAEGER_HEALTH_ADDRESS=" + address("jaeger-health"), "JAEGER_DATA=" + dir}});
  return true;
}

void Monitoring::start_prometheus(int api_port) {
  const auto program = find_program("prometheus");
  for (const char* dir : {"prometheus", "prometheus/rules", "prometheus/data"})
    mkdir(state_.file(dir).c_str(), 0700);
  state_.write_file("prometheus/prometheus.yml",
                    with(text_of("monitoring/prometheus/prometheus.yml"), "API_ADDRESS",
                         "127.0.0.1:" + std::to_string(api_port)));
  constexpr std::string_view kRules = "monitoring/prometheus/rules/";
  for (const auto& file : monitoring_files())
    if (file.path.starts_with(kRules))
      state_.write_file("prometheus/rules/" + std::string(file.path.substr(kRules.size())),
                        std::string(file.text));
  const auto dir = state_.file("prometheus");
  children_.start(
      {"prometheus",
       {program, "--config.file=" + dir + "/prometheus.yml", "--storage.tsdb.path=" + dir + "/data",
        "--storage.tsdb.retention.time=7d",
        "--web.listen-address=127.0.0.1:" + take_port("prometheus"), "--log.level=warn"},
       state_.file("log/prometheus.log"),
       SIGTERM});
}

}  // namespace coditect::app
