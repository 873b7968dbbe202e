/// An HTTP/1.1 load generator that costs little, so that on a machine of few cores the
/// server under test is what is measured. Requests are written out before the clock starts; one
/// thread, one epoll.
///
///   load --address 127.0.0.1:8080 --requests FILE [--connections 64] [--seconds 5] [--warm-up 1]
///        [--count N] [--rate N] [--expect 200]
///
/// Without --rate each connection sends its next request when it has the answer (closed loop). With
/// it requests become due at that rate, whatever the server does, and latency counts from then on.
///
/// FILE: one request a line, tab-separated: METHOD PATH AUTHORIZATION BODY ("-": none). "{n}" in the
/// body becomes a number that no other request of the run has. Connections take the requests in a
/// pseudo-random order that is the same in each run; with --count in the file's order. Prints one JSON object: counts by status,
/// requests per second, latency percentiles in microseconds. Exit code 1 when an answer had another
/// status than expected or a connection failed.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "load: %s\n", why.c_str());
  std::exit(2);
}

struct Options {
  std::string address, requests;
  int connections = 64, expect = 0;
  double seconds = 5, warm_up = 1, rate = 0;
  long count = 0;  ///< stop after so many instead of after a time
};

/// Latencies in buckets of a hundredth of their size, from 1 us to 100 s.
class Histogram {
 public:
  void add(double us) {
    ++buckets_[static_cast<std::size_t>(std::min(std::log(std::max(us, 1.0)) * 100, 1999.0))];
    ++total_;
    most_ = std::max(most_, us);
  }
  double percentile(double p) const {
    auto left = static_cast<long>(std::ceil(static_cast<double>(total_) * p / 100));
    for (std::size_t i = 0; i < buckets_.size(); ++i)
      if ((left -= buckets_[i]) <= 0) return std::exp((static_cast<double>(i) + 0.5) / 100);
    return most_;
  }
  double most() const { return most_; }

 private:
  std::array<long, 2000> buckets_{};
  long total_ = 0;
  double most_ = 0;
};

/// Its bytes, in pieces between which the number stands.
using Request = std::vector<std::string>;

std::vector<Request> read_requests(const Options& o) {
  std::vector<Request> out;
  std::ifstream in(o.requests);
  if (!in) die("--requests " + o.requests + " cannot be read");
  for (std::string line; std::getline(in, line);) {
    std::array<std::string, 4> part;
    std::size_t at = 0;
    for (auto& p : part) {
      const auto tab = std::min(line.find('\t', at), line.size());
      p = line.substr(at, tab - at);
      at = std::min(tab + 1, line.size());
    }
    std::string head = part[0] + " " + part[1] + " HTTP/1.1\r\nHost: " + o.address + "\r\n";
    if (part[2] != "-") head += "Authorization: " + part[2] + "\r\n";
    if (part[3] == "-" || part[3].empty()) {
      out.push_back({head + "\r\n"});
      continue;
    }
    Request request;
    std::size_t from = 0;
    for (std::size_t mark = 0; (mark = part[3].find("{n}", from)) != std::string::npos;
         from = mark + 3)
      request.push_back(part[3].substr(from, mark - from));
    request.push_back(part[3].substr(from));
    // The number always has ten digits, so the length is known.
    const auto size = part[3].size() + (request.size() - 1) * 7;
    request[0] = head + "Content-Type: application/json\r\nContent-Length: " +
                 std::to_string(size) + "\r\n\r\n" + request[0];
    out.push_back(std::move(request));
  }
  if (out.empty()) die("--requests holds none");
  return out;
}

class Load {
 public:
  Load(const Options& o, std::vector<Request> requests)
      : o_(o), requests_(std::move(requests)), epoll_(epoll_create1(0)) {}

  int run() {
    connections_.resize(static_cast<std::size_t>(o_.connections));
    for (auto& c : connections_) open(c);
    const auto begin = Clock::now();
    counting_from_ = begin + to_duration(o_.warm_up);
    const auto end = counting_from_ + to_duration(o_.seconds);
    next_due_ = begin;
    for (auto& c : connections_) go_on(c);
    std::array<epoll_event, 256> events;
    while (running_ > 0) {
      send_due();
      if (running_ == 0) break;
      timespec wait{1, 0};
      if (o_.rate > 0) {
        const auto left = std::max(next_due_ - Clock::now(), Clock::duration(0));
        wait = {0, std::min<long>(std::chrono::nanoseconds(left).count(), 999999999)};
      }
      const int n =
          epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()), &wait, nullptr);
      const auto at = Clock::now();
      if (o_.count == 0 && at >= end) stopping_ = true;
      if (at > end + std::chrono::seconds(60) && o_.count == 0) die("the server does not answer");
      for (int i = 0; i < n; ++i)
        receive(*static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr), at);
    }
    report();
    return failed_ ? 1 : 0;
  }

 private:
  struct Connection {
    int fd = -1;
    std::string in;
    Clock::time_point sent;
    bool waiting = false;
  };

  static Clock::duration to_duration(double seconds) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  }

  void open(Connection& c) {
    const auto colon = o_.address.rfind(':');
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(o_.address.substr(colon + 1))));
    if (inet_pton(AF_INET, o_.address.substr(0, colon).c_str(), &to.sin_addr) != 1)
      die("--address is IPv4:port");
    c.fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c.fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
      die("cannot connect to " + o_.address + ": " + std::strerror(errno));
    const int on = 1;
    setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.ptr = &c;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, c.fd, &e);
    ++running_;
  }

  /// The connection is free for its next request.
  void go_on(Connection& c) {
    if (o_.rate == 0)
      send_next(c, Clock::now());
    else
      idle_.push_back(&c);
  }

  void send_due() {
    if (o_.rate == 0) return;
    if (stopping_) {
      running_ -= static_cast<int>(idle_.size());
      idle_.clear();
      return;
    }
    for (const auto at = Clock::now(); next_due_ <= at && !idle_.empty();) {
      Connection* c = idle_.back();
      idle_.pop_back();
      send_next(*c, next_due_);
      next_due_ += to_duration(1 / o_.rate);
    }
  }

  void send_next(Connection& c, Clock::time_point due) {
    if (stopping_ || (o_.count > 0 && sent_ >= o_.count)) {
      --running_;
      return;
    }
    ++sent_;
    const auto& r = o_.count == 0 ? requests_[random_() % requests_.size()]
                                  : requests_[static_cast<std::size_t>(sent_) % requests_.size()];
    out_ = r[0];
    char digits[11];
    std::snprintf(digits, sizeof digits, "%010ld", sent_);
    for (std::size_t i = 1; i < r.size(); ++i) {
      out_ += digits;
      out_ += r[i];
    }
    c.sent = due;
    c.waiting = true;
    if (send(c.fd, out_.data(), out_.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(out_.size()))
      lost(c);
  }

  void lost(Connection& c) {
    ++statuses_[0];
    failed_ = true;
    close(c.fd);
    c.waiting = false;
    --running_;
    if (stopping_) return;
    c.in.clear();
    open(c);
    go_on(c);
  }

  void receive(Connection& c, Clock::time_point at) {
    char buffer[65536];
    const auto n = recv(c.fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      if (c.waiting) lost(c);
      return;
    }
    c.in.append(buffer, static_cast<std::size_t>(n));
    const auto head = c.in.find("\r\n\r\n");
    if (head == std::string::npos) return;
    std::size_t body = 0;
    const std::string_view view(c.in.data(), head);
    for (const std::string_view name : {"Content-Length: ", "content-length: "})
      if (const auto length = view.find(name); length != view.npos)
        body = std::strtoul(c.in.c_str() + length + name.size(), nullptr, 10);
    const bool chunked = view.find("ransfer-Encoding: chunked") != view.npos ||
                         view.find("ransfer-encoding: chunked") != view.npos;
    if (c.in.size() < head + 4 + body || (chunked && !c.in.ends_with("\r\n0\r\n\r\n"))) return;
    const int status = std::atoi(c.in.c_str() + 9);
    if (at >= counting_from_ || o_.count > 0) {
      ++statuses_[status];
      ++counted_;
      latency_.add(std::chrono::duration<double, std::micro>(at - c.sent).count());
      last_ = at;
    }
    if (o_.expect != 0 && status != o_.expect) {
      if (!std::exchange(failed_, true))
        std::fprintf(stderr, "load: unexpected answer:\n%s\n", c.in.c_str());
    }
    c.waiting = false;
    const bool closing = view.find("Connection: close") != view.npos ||
                         view.find("connection: close") != view.npos;
    c.in.clear();
    if (closing) {
      close(c.fd);
      --running_;
      open(c);
    }
    go_on(c);
  }

  void report() const {
    const double took = std::chrono::duration<double>(last_ - counting_from_).count() +
                        (o_.count > 0 ? o_.warm_up : 0);
    std::printf("{\"requests\":%ld,\"seconds\":%.3f,\"per_second\":%.1f", counted_, took,
                static_cast<double>(counted_) / took);
    for (const double p : {50.0, 90.0, 99.0, 99.9})
      std::printf(",\"p%g_us\":%.0f", p, latency_.percentile(p));
    std::printf(",\"max_us\":%.0f,\"statuses\":{", latency_.most());
    bool first = true;
    for (const auto& [status, count] : statuses_) {
      std::printf("%s\"%d\":%ld", first ? "" : ",", status, count);
      first = false;
    }
    std::printf("}}\n");
  }

  Options o_;
  std::vector<Request> requests_;
  int epoll_;
  std::vector<Connection> connections_;
  std::mt19937 random_{1};
  std::string out_;
  long sent_ = 0, counted_ = 0;
  int running_ = 0;
  bool stopping_ = false, failed_ = false;
  Clock::time_point counting_from_, last_, next_due_;
  std::vector<Connection*> idle_;
  std::map<int, long> statuses_;
  Histogram latency_;
};

}  // namespace

int main(int argc, char** argv) {
  Options o;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--address") o.address = value;
    else if (name == "--requests") o.requests = value;
    else if (name == "--connections") o.connections = std::stoi(value);
    else if (name == "--seconds") o.seconds = std::stod(value);
    else if (name == "--warm-up") o.warm_up = std::stod(value);
    else if (name == "--count") o.count = std::stol(value);
    else if (name == "--rate") o.rate = std::stod(value);
    else if (name == "--expect") o.expect = std::stoi(value);
    else die("unknown option " + name);
  }
  if (o.address.empty() || o.requests.empty() || argc % 2 == 0)
    die("usage: load --address IPv4:PORT --requests FILE [--connections N] [--seconds N] "
        "[--warm-up N] [--count N] [--rate N] [--expect STATUS]");
  return Load(o, read_requests(o)).run();
}
