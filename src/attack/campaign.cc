// A long file: every phase works on the same tenants, findings and secrets, and what one phase
// leaves behind is what the next one starts from; they are read in their order.
#include "attack/campaign.h"

#include <algorithm>
#include <array>
#include <regex>
#include <thread>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/id.h"
#include "crypto/digest.h"

namespace coditect::attack {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

/// Ends a campaign that was asked to stop at the first finding.
struct Stop {};

struct Call {
  const Operation* op = nullptr;
  std::string tenant;                      ///< slug in the path
  std::map<std::string, std::string> ids;  ///< other path parameters
  std::vector<std::pair<std::string, std::string>> query;
  std::optional<json::value> body;
  std::vector<http::Header> headers;
  std::string key;
};

/// Words of databases, drivers and programs that no answer may hold.
const std::regex& database_words() {
  static const std::regex words(
      "SQLSTATE|syntax error at or near|relation \"|violates (unique|foreign|check|not-null|row)|"
      "row-level security|duplicate key value|pg_[a-z]+\\.|PostgreSQL|psycopg|libpq|citus|"
      "current_setting|app\\.tenant_id|unrecognized configuration|deadlock detected|"
      "Traceback \\(most recent|\\bat 0x[0-9a-f]{8}|std::[a-z]+",
      std::regex::icase | std::regex::optimize);
  return words;
}

std::string replace_all(std::string text, const std::string& what, const std::string& with) {
  if (what.empty()) return text;
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size())
    text.replace(at, what.size(), with);
  return text;
}

/// The texts of a body that are long enough to be somebody's own; times are everybody's.
void texts_in(const json::value& v, std::set<std::string>& out) {
  static const std::regex time("^[0-9]{4}-[0-9]{2}-[0-9]{2}.*");
  if (const auto* text = v.if_string(); text != nullptr && text->size() >= 12) {
    std::string s(*text);
    if (!std::regex_match(s, time)) out.insert(std::move(s));
  }
  if (const auto* list = v.if_array())
    for (const auto& item : *list) texts_in(item, out);
  if (const auto* object = v.if_object())
    for (const auto& [name, item] : *object) texts_in(item, out);
}

/// The same of a line of a snapshot: a status and a body.
void texts_in(const std::string& line, std::set<std::string>& out) {
  boost::system::error_code ec;
  const auto v = json::parse(line.substr(std::min<std::size_t>(line.size(), 4)), ec);
  if (!ec) texts_in(v, out);
}

/// A filter by words, not by an id or one of a few values.
bool is_free_text(const Parameter& p) {
  return p.in == "query" && !p.name.starts_with("page_") && !p.schema.contains("enum") &&
         reference_of(p.name, p.schema).empty();
}

std::string shorten(std::string text) {
  if (text.size() > 300) text = text.substr(0, 300) + "...";
  return text;
}

class Campaign {
 public:
  Campaign(const Options& o, const std::function<void(const Progress&)>& progress)
      : o_(o), progress_(progress), wire_(Target::parse(o.url), o.timeout_seconds) {
    report_.url = o.url;
  }

  Report run();

 private:
  using Phase = void (Campaign::*)();
  friend std::vector<std::pair<std::string, std::string>> coditect::attack::phases();
  struct Named {
    const char* name;
    const char* what;
    Phase run;
  };
  static const std::vector<Named>& all_phases();

  // Speaking
  Answer raw(const std::string& method, const std::string& target,
             std::vector<http::Header> headers, const std::string& body);
  Answer send(const Call& call);
  std::string path_of(const Call& call) const;
  /// Sends as A and looks for what no answer may have: B's secrets, a database's words, a 5xx.
  Answer probe(const Call& call, const std::string& attack);
  void inspect(const Answer& answer, const std::string& sent, const std::string& where,
               const std::string& operation, const std::string& attack);
  void sound(const Answer& answer, const Call& call);
  void inspect_failure(const Answer& answer, const std::string& where, const std::string& operation,
                       const std::string& attack);
  /// Both must be answered alike, once what only the requests differ in is blanked.
  void alike(const Call& foreign, const Call& absent, const std::string& attack);
  std::string canonical(const Answer& answer, const Call& call) const;
  void find(Finding f);

  // The tenants
  void sign_up(World& world, const std::string& name);
  void fill(World& world);
  void read_ids(World& world);
  std::map<std::string, std::string> snapshot(World& world);
  void compare_snapshots(const std::string& attack);
  /// Values of A's own for a filter.
  std::vector<std::string> own_values(const Parameter& p) const;
  void own_filters(const Call& call);
  std::optional<Call> own_call(World& world, const Operation& op, bool with_body = true);
  std::optional<Call> own_read(World& world, const Operation& op);
  std::vector<const Operation*> tenant_operations() const;
  bool ends_the_tenant(const Operation& op) const {
    return op.method == "DELETE" && op.path.ends_with("{" + o_.tenant_parameter + "}");
  }
  std::optional<std::string> make_key(World& world, const json::object& body);

  // The attacks
  void own();
  void foreign_ids();
  void foreign_references();
  void foreign_queries();
  void foreign_word(const Call& call, const Parameter& p);
  void foreign_tenant();
  void foreign_cursors();
  void idempotency();
  void headers_and_paths();
  void malformed();
  void credentials();
  std::vector<std::pair<std::string, std::string>> forged_keys() const;
  void inactive();
  void timing();

  const Options& o_;
  const std::function<void(const Progress&)>& progress_;
  Wire wire_;
  std::vector<Operation> operations_;
  World a_, b_;
  Report report_;
  std::string phase_;
  std::set<std::string> seen_findings_;
  std::set<std::string> secrets_;  ///< B's, that are not A's as well
  std::set<std::string> makes_;    ///< operations that could make something
};

Answer Campaign::raw(const std::string& method, const std::string& target,
                     std::vector<http::Header> headers, const std::string& body) {
  ++report_.requests;
  if (!report_.phases.empty()) ++report_.phases.back().requests;
  if (report_.requests % 50 == 0)
    progress_({phase_, static_cast<int>(report_.phases.size()), report_.requests,
               static_cast<int>(report_.findings.size())});
  headers.push_back({"User-Agent", "coditect-attack"});
  auto answer = wire_.send(method, target, headers, body);
  if (!answer) return {};  // closed without an answer: status 0
  return std::move(*answer);
}

std::string Campaign::path_of(const Call& call) const {
  auto path = replace_all(call.op->path, "{" + o_.tenant_parameter + "}", call.tenant);
  for (const auto& [name, id] : call.ids) path = replace_all(path, "{" + name + "}", id);
  char separator = '?';
  for (const auto& [name, value] : call.query) {
    path += separator + http::percent_encode(name) + "=" + http::percent_encode(value);
    separator = '&';
  }
  return wire_.target().base + path;
}

Answer Campaign::send(const Call& call) {
  auto headers = call.headers;
  if (!call.key.empty()) headers.push_back({"Authorization", "Bearer " + call.key});
  std::string body;
  if (call.body) {
    body = json::serialize(*call.body);
    headers.push_back(
        {"Content-Type", call.op->body_type.empty() ? "application/json" : call.op->body_type});
  }
  return raw(call.op->method, path_of(call), std::move(headers), body);
}

void Campaign::find(Finding f) {
  if (!seen_findings_.insert(f.kind + f.operation + f.attack).second) return;
  report_.findings.push_back(std::move(f));
  if (!report_.phases.empty()) ++report_.phases.back().findings;
  if (o_.stop_at_first) throw Stop();
}

void Campaign::inspect(const Answer& answer, const std::string& sent, const std::string& where,
                       const std::string& operation, const std::string& attack) {
  std::string text = answer.body;
  for (const auto& h : answer.headers) text += "\n" + h.name + ": " + h.value;
  for (const auto& secret : secrets_)
    if (text.contains(secret) && !sent.contains(secret))
      find({"leak", operation, attack, where, "nothing of the other tenant", "'" + secret + "'"});
  inspect_failure(answer, where, operation, attack);
}

/// An answer to the tenant's own request.
void Campaign::sound(const Answer& answer, const Call& call) {
  inspect_failure(answer, call.op->method + " " + path_of(call), call.op->id, "its own");
}

void Campaign::inspect_failure(const Answer& answer, const std::string& where,
                               const std::string& operation, const std::string& attack) {
  if (answer.status >= 500 || answer.status == 0)
    find({"server_error", operation, attack, where, "an answer below 500",
          answer.status == 0 ? "the connection was closed"
                             : std::to_string(answer.status) + " " + shorten(answer.body)});
  std::smatch match;
  if (answer.status >= 400 && std::regex_search(answer.body, match, database_words()))
    find({"database_words", operation, attack, where, "an error in the service's own words",
          "'" + match.str() + "' in " + shorten(answer.body)});
}

Answer Campaign::probe(const Call& call, const std::string& attack) {
  auto answer = send(call);
  std::string sent = path_of(call) + (call.body ? json::serialize(*call.body) : "");
  for (const auto& h : call.headers) sent += h.value;
  inspect(answer, sent, call.op->method + " " + path_of(call), call.op->id, attack);
  if (answer.status == 200 && call.op->method == "GET") {
    auto ids = ids_in(answer.body);
    std::ranges::sort(ids);
    if (const auto twice = std::ranges::adjacent_find(ids); twice != ids.end())
      find({"difference", call.op->id, attack, "GET " + path_of(call), "each thing once",
            *twice + " twice"});
  }
  return answer;
}

std::string Campaign::canonical(const Answer& answer, const Call& call) const {
  std::vector<std::string> lines;
  for (const auto& h : answer.headers) {
    const auto name = to_lower_ascii(h.name);
    static const std::set<std::string, std::less<>> kOfTheRequest{
        "date",           "x-request-id",  "request-id",      "traceparent",
        "content-length", "server-timing", "x-response-time", "age"};
    if (!kOfTheRequest.contains(name)) lines.push_back(name + ": " + h.value);
  }
  std::ranges::sort(lines);
  std::string body = answer.body;
  boost::system::error_code ec;
  auto v = json::parse(body, ec);
  if (!ec && v.is_object()) {
    for (const char* name : {"request_id", "requestId", "instance", "timestamp", "trace_id"})
      v.get_object().erase(name);
    // Sealed anew each time.
    for (const char* name : {"next_page_token", "next_cursor", "next"})
      if (auto* token = v.get_object().if_contains(name); token != nullptr && token->is_string())
        *token = "{token}";
    body = json::serialize(v);
  }
  std::string out = std::to_string(answer.status);
  for (const auto& line : lines) out += "\n" + line;
  out += "\n" + body;
  for (const auto& [name, id] : call.ids) out = replace_all(out, id, "{" + name + "}");
  for (const auto& [name, value] : call.query) out = replace_all(out, value, "{" + name + "}");
  return replace_all(out, call.tenant, "{tenant}");
}

void Campaign::alike(const Call& foreign, const Call& absent, const std::string& attack) {
  const auto one = probe(foreign, attack);
  const auto two = probe(absent, attack + " (absent)");
  const auto got = canonical(one, foreign), expected = canonical(two, absent);
  if (one.status / 100 == 2 && two.status / 100 != 2)
    find({"allowed", foreign.op->id, attack, foreign.op->method + " " + path_of(foreign),
          shorten(expected), shorten(got)});
  else if (got != expected)
    find({"difference", foreign.op->id, attack, foreign.op->method + " " + path_of(foreign),
          shorten(expected), shorten(got)});
}

std::vector<const Operation*> Campaign::tenant_operations() const {
  std::vector<const Operation*> out;
  for (const auto& op : operations_)
    if (op.has_path_parameter(o_.tenant_parameter) &&
        std::ranges::none_of(op.security, [](const auto& s) { return s.contains("operator"); }))
      out.push_back(&op);
  return out;
}

/// The call as the tenant's owner would make it; nullopt when something it refers to is missing.
std::optional<Call> Campaign::own_call(World& world, const Operation& op, bool with_body) {
  Call call{&op, world.slug, {}, {}, {}, {}, world.key};
  for (const auto& name : op.path_parameters()) {
    if (name == o_.tenant_parameter) continue;
    auto id = world.id_for(op, name);
    if (!id) return std::nullopt;
    call.ids[name] = *id;
  }
  if (with_body && op.body) {
    call.body = world.examples().make("body", *op.body);
    if (!call.body) return std::nullopt;
  }
  if (op.takes("header", "X-Reason")) call.headers.push_back({"X-Reason", "attack"});
  return call;
}

/// A GET that is answered with 200; with a filter by something of its own when it needs one.
/// nullopt when there is no such call.
std::optional<Call> Campaign::own_read(World& world, const Operation& op) {
  if (op.method != "GET") return std::nullopt;
  auto call = own_call(world, op);
  if (!call) return std::nullopt;
  const auto answer = send(*call);
  sound(answer, *call);
  if (answer.status == 200) return call;
  for (const auto& p : op.parameters)
    if (const auto noun = reference_of(p.name, p.schema); p.in == "query" && !noun.empty())
      if (auto id = world.id_of(noun)) call->query.emplace_back(p.name, *id);
  return send(*call).status == 200 ? call : std::nullopt;
}

void Campaign::sign_up(World& world, const std::string& name) {
  const auto op = std::ranges::find_if(operations_, [](const Operation& o) {
    return o.method == "POST" && o.path.ends_with("/signup") && o.body;
  });
  if (op == operations_.end())
    fail(Code::invalid_argument, "attack_needs_tenants",
         "the service has no POST .../signup: give --tenant-a, --key-a, --tenant-b and --key-b");
  const auto id = to_hex(crypto::random_bytes(6));
  world.canary = "canary" + name + id;
  const json::object body{{"email", "owner-" + world.canary + "@attack.example"},
                          {"password", crypto::random_base62(24)},
                          {"organization", {{"name", world.canary}, {"slug", "atk-" + name + id}}}};
  Call call{&*op, "", {}, {}, json::value(body), {}, ""};
  const auto answer = send(call);
  boost::system::error_code ec;
  const auto v = json::parse(answer.body, ec);
  if (answer.status / 100 != 2 || ec)
    fail(Code::unavailable, "attack_signup_failed",
         "cannot sign up a tenant: " + std::to_string(answer.status) + " " + shorten(answer.body));
  world.slug = v.at("tenant").at("slug").as_string();
  world.key = v.at("api_key").at("secret").as_string();
}

void Campaign::read_ids(World& world) {
  for (const auto* op : tenant_operations()) {
    if (op->path.ends_with('}')) continue;
    auto call = own_read(world, *op);
    if (!call) continue;
    const auto answer = send(*call);
    sound(answer, *call);
    if (auto ids = ids_in(answer.body); !ids.empty()) world.ids[op->path] = std::move(ids);
    if (!op->takes("query", "page_size") || !op->takes("query", "page_token")) continue;
    call->query.emplace_back("page_size", "1");
    boost::system::error_code ec;
    const auto page = json::parse(send(*call).body, ec);
    if (!ec && page.is_object())
      if (const auto* token = page.get_object().if_contains("next_page_token");
          token != nullptr && token->is_string())
        world.cursors[op->path] = std::string(token->get_string());
  }
}

/// Makes two of everything that can be made. What needs something else comes in a later round.
void Campaign::fill(World& world) {
  for (int round = 0; round < 3; ++round) {
    for (const auto* op : tenant_operations()) {
      // A path that ends in a verb after an id acts on what is there already.
      const bool creates = op->method == "POST" && op->body && op->path_parameters().size() == 1;
      if (!creates) continue;
      const auto call = own_call(world, *op);
      if (!call) continue;
      // What has no list of its own is known from here only.
      const auto answer = send(*call);
      sound(answer, *call);
      if (answer.status / 100 == 2) makes_.insert(op->id);
      if (answer.status / 100 == 2)
        for (auto& id : ids_in(answer.body)) world.ids[op->path].push_back(std::move(id));
    }
    read_ids(world);
  }
}

std::map<std::string, std::string> Campaign::snapshot(World& world) {
  std::map<std::string, std::string> out;
  for (const auto* op : tenant_operations()) {
    auto call = own_read(world, *op);
    if (!call) continue;
    if (op->takes("query", "page_size")) call->query.emplace_back("page_size", "200");
    const auto answer = send(*call);
    out[op->id] = std::to_string(answer.status) + " " + answer.body;
  }
  // Words and labels may lie in tables of their own: lists by them are part of what it sees.
  world.snapshot = out;
  for (const auto* op : tenant_operations())
    for (const auto& p : op->parameters) {
      if (!is_free_text(p)) continue;
      auto call = own_read(world, *op);
      const auto value = world.value_for(p.name);
      if (!call || !value) continue;
      call->query.emplace_back(p.name, *value);
      const auto answer = send(*call);
      out[op->id + "?" + p.name] = std::to_string(answer.status) + " " + answer.body;
    }
  return out;
}

void Campaign::compare_snapshots(const std::string& attack) {
  const auto earlier = b_.snapshot;  // which taking a new one replaces
  auto now = snapshot(b_);
  for (const auto& [operation, before] : earlier)
    if (now[operation] != before)
      find({"tampered", operation, attack, "as the other tenant itself", shorten(before),
            shorten(now[operation])});
  b_.snapshot = std::move(now);
  // What A wrote must not be found among B's: words and labels may lie in tables of their own.
  std::string theirs;
  for (const auto& [operation, body] : b_.snapshot) theirs += body;
  a_.snapshot = snapshot(a_);
  for (const auto* op : tenant_operations()) {
    for (const auto& p : op->parameters) {
      if (!is_free_text(p)) continue;
      auto call = own_read(b_, *op);
      const auto value = a_.value_for(p.name);
      if (!call || !value || value->size() < 8 || theirs.contains(*value)) continue;
      call->query.emplace_back(p.name, *value);
      const auto answer = send(*call);
      if (answer.status == 200 && !ids_in(answer.body).empty())
        find({"tampered", op->id, attack, "GET " + path_of(*call) + " as the other tenant itself",
              "nothing found", shorten(answer.body)});
    }
  }
}

std::vector<std::string> Campaign::own_values(const Parameter& p) const {
  std::vector<std::string> out;
  if (const auto* list = p.schema.if_contains("enum"); list != nullptr && list->is_array()) {
    for (const auto& v : list->get_array())
      if (v.is_string()) out.emplace_back(v.get_string());
  } else if (const auto noun = reference_of(p.name, p.schema); !noun.empty()) {
    if (auto id = a_.id_of(noun))
      out.push_back(*id);
    else
      for (const auto& [path, ids] : a_.ids) out.push_back(ids.back());
  } else if (auto value = a_.value_for(p.name)) {
    out.push_back(*value);
  }
  return out;
}

/// A list by each of its filters and by each two of them.
void Campaign::own_filters(const Call& call) {
  std::vector<std::pair<std::string, std::string>> filters;
  for (const auto& p : call.op->parameters)
    if (p.in == "query" && !p.name.starts_with("page_"))
      for (auto& value : own_values(p)) filters.emplace_back(p.name, std::move(value));
  for (std::size_t i = 0; i < filters.size(); ++i)
    for (std::size_t k = i; k < filters.size(); ++k) {
      if (k > i && filters[k].first == filters[i].first) continue;
      auto filtered = call;
      filtered.query = {filters[i]};
      if (k > i) filtered.query.push_back(filters[k]);
      probe(filtered,
            "its own, by " + filters[i].first + (k > i ? " and " + filters[k].first : ""));
    }
}

/// What A does to its own things leaves B as it is, and shows nothing of B.
void Campaign::own() {
  bool deleted = false;
  for (const std::string_view method : {"GET", "POST", "PATCH", "PUT", "GET", "DELETE", "POST"}) {
    for (const auto* op : tenant_operations()) {
      if (op->method != method || ends_the_tenant(*op)) continue;
      // Once more what acts on a thing, now that it is deleted: it may come back.
      if (deleted && op->path_parameters().size() < 2) continue;
      auto call = own_call(a_, *op);
      if (!call) {
        if (deleted) continue;
        report_.not_tried.push_back(op->id + ": nothing to try it on could be made");
        continue;
      }
      // The credential in use stays: it is the oldest of its list, the last is taken.
      const auto answer = probe(*call, "its own");
      if (makes_.contains(op->id) && answer.status / 100 != 2)
        find({"difference", op->id, "its own", op->method + " " + path_of(*call),
              "what it could make before",
              std::to_string(answer.status) + " " + shorten(answer.body)});
      // The same again: what is there only once says so in the service's own words.
      if (makes_.contains(op->id)) probe(*call, "its own, the same again");
      if (op->method == std::string("PATCH") && !call->body) {
        call->body = json::object{{"name", a_.canary}};
        probe(*call, "its own, with a name");
      }
      if (op->method == "GET") own_filters(*call);
    }
    deleted = deleted || method == "DELETE";
  }
  fill(a_);
}

void Campaign::foreign_ids() {
  for (const auto* op : tenant_operations()) {
    const auto names = op->path_parameters();
    if (names.size() < 2) continue;
    auto own_one = own_call(a_, *op);
    const auto other = own_call(b_, *op, false);
    if (!own_one || !other) continue;
    if (op->method == "PATCH" && !own_one->body) own_one->body = json::object{{"name", a_.canary}};
    for (const auto& name : names) {
      if (name == o_.tenant_parameter) continue;
      // Where both have the same id it is A's own.
      if (own_one->ids.at(name) == other->ids.at(name)) continue;
      auto foreign = *own_one, absent = *own_one;
      foreign.ids[name] = other->ids.at(name);
      absent.ids[name] = absent_like(other->ids.at(name));
      alike(foreign, absent, "another tenant's id as {" + name + "}");
      if (op->takes("header", "If-Match")) {
        foreign.headers.push_back({"If-Match", "\"1\""});
        absent.headers.push_back({"If-Match", "\"1\""});
        alike(foreign, absent, "another tenant's id as {" + name + "}, with If-Match");
      }
    }
  }
}

/// Each reference in a body, in turn, to something of B's.
void Campaign::foreign_references() {
  for (const auto* op : tenant_operations()) {
    if (!op->body || ends_the_tenant(*op)) continue;
    std::set<std::string> nouns;
    auto collect = a_.examples();
    collect.refer = [&](const std::string& noun) {
      nouns.insert(noun);
      return a_.id_of(noun);
    };
    collect.make("body", *op->body);
    for (const auto& noun : nouns) {
      const auto theirs = b_.id_of(noun), ours = a_.id_of(noun);
      auto call = own_call(a_, *op, false);
      if (!theirs || !call || theirs == ours) continue;
      const auto body_with = [&](const std::string& id) {
        auto examples = a_.examples();
        examples.refer = [&](const std::string& n) { return n == noun ? id : a_.id_of(n); };
        a_.written = 1000;  // both bodies in the same words
        return examples.make("body", *op->body);
      };
      auto foreign = *call, absent = *call;
      const auto nobody = absent_like(*theirs);
      foreign.body = body_with(*theirs);
      absent.body = body_with(nobody);
      foreign.query.clear();
      alike(foreign, absent, "another tenant's " + noun + " in the body");
    }
  }
}

/// A word of B's as a filter, alone and beside each filter of A's own: like a word of nobody's.
void Campaign::foreign_word(const Call& call, const Parameter& p) {
  const auto theirs = b_.value_for(p.name);
  if (!is_free_text(p) || !theirs || theirs->size() < 4) return;
  for (const auto& [operation, body] : a_.snapshot)
    if (body.contains(*theirs)) return;
  const auto nobody = "w" + to_hex(crypto::random_bytes(8));
  std::vector<std::vector<std::pair<std::string, std::string>>> beside{{}};
  for (const auto& other : call.op->parameters) {
    if (other.in != "query" || other.name == p.name || other.name.starts_with("page_")) continue;
    const auto so_far = beside;
    for (auto& value : own_values(other))
      for (auto filters : so_far) {
        if (filters.size() >= 2) continue;
        filters.emplace_back(other.name, value);
        beside.push_back(std::move(filters));
      }
  }
  for (const bool with_own : {false, true})
    for (const auto& filters : beside) {
      // Several words in one filter are looked for in another way than one.
      const auto before = with_own ? a_.value_for(p.name).value_or("w") + " " : "";
      auto foreign = call, absent = call;
      foreign.query = absent.query = filters;
      foreign.query.emplace_back(p.name, before + *theirs);
      absent.query.emplace_back(p.name, before + nobody);
      alike(foreign, absent, "another tenant's word as ?" + p.name);
    }
}

void Campaign::foreign_queries() {
  for (const auto* op : tenant_operations()) {
    auto call = own_call(a_, *op);
    if (!call || op->method != "GET") continue;
    for (const auto& p : op->parameters) {
      if (p.in != "query") continue;
      const auto noun = reference_of(p.name, p.schema);
      if (noun.empty()) {
        foreign_word(*call, p);
        continue;
      }
      // A parameter that takes an id of any kind gets one of each.
      std::vector<std::string> theirs;
      if (auto id = b_.id_of(noun))
        theirs.push_back(*id);
      else
        for (const auto& [path, ids] : b_.ids) theirs.push_back(ids.back());
      for (const auto& id : theirs) {
        bool ours = false;
        for (const auto& [path, ids] : a_.ids)
          ours = ours || std::ranges::find(ids, id) != ids.end();
        if (ours) continue;
        auto foreign = *call, absent = *call;
        foreign.query = {{p.name, id}};
        absent.query = {{p.name, absent_like(id)}};
        alike(foreign, absent, "another tenant's id as ?" + p.name);
      }
    }
  }
}

/// A's credential on B's path, beside a tenant that does not exist.
void Campaign::foreign_tenant() {
  for (const auto* op : tenant_operations()) {
    auto theirs = own_call(b_, *op);
    if (!theirs) theirs = Call{op, b_.slug, {}, {}, {}, {}, ""};
    for (const auto& name : op->path_parameters())
      if (name != o_.tenant_parameter && !theirs->ids.contains(name))
        theirs->ids[name] = "x_" + to_base32(make_uuid7());
    if (op->method == "PATCH" && !theirs->body) theirs->body = json::object{{"name", a_.canary}};
    theirs->key = a_.key;
    auto absent = *theirs;
    absent.tenant = "atk-none" + to_hex(crypto::random_bytes(6));
    for (auto& [name, id] : absent.ids) id = absent_like(id);
    alike(*theirs, absent, "another tenant's path");
    if (op->takes("header", "Idempotency-Key")) {
      for (auto* call : {&*theirs, &absent})
        call->headers.push_back({"Idempotency-Key", "atk-" + to_hex(crypto::random_bytes(6))});
      alike(*theirs, absent, "another tenant's path, with an idempotency key");
    }
    if (op->method == "GET") {
      // HEAD must not tell what GET does not.
      for (auto* call : {&*theirs, &absent}) call->key = a_.key;
      const auto one = raw("HEAD", path_of(*theirs), {{"Authorization", "Bearer " + a_.key}}, "");
      const auto two = raw("HEAD", path_of(absent), {{"Authorization", "Bearer " + a_.key}}, "");
      if (one.status != two.status)
        find({"difference", op->id, "HEAD of another tenant's path", "HEAD " + path_of(*theirs),
              std::to_string(two.status), std::to_string(one.status)});
    }
  }
}

/// A list's place in B, given to A: like a token that was never issued.
void Campaign::foreign_cursors() {
  for (const auto* op : tenant_operations()) {
    if (op->method != "GET" || !b_.cursors.contains(op->path)) continue;
    const auto call = own_call(a_, *op);
    if (!call) continue;
    auto foreign = *call, forged = *call;
    const auto& cursor = b_.cursors.at(op->path);
    if (a_.cursors.contains(op->path) && a_.cursors.at(op->path) == cursor) continue;
    auto damaged = cursor;
    auto& middle = damaged[damaged.size() / 2];
    middle = middle == 'A' ? 'B' : 'A';
    foreign.query = {{"page_token", cursor}};
    forged.query = {{"page_token", damaged}};
    alike(foreign, forged, "another tenant's page token");
    // A place in one list is none in another.
    for (const auto& [path, own_cursor] : a_.cursors) {
      if (path == op->path) continue;
      auto elsewhere = *call;
      elsewhere.query = {{"page_token", own_cursor}};
      if (probe(elsewhere, "a page token of another list").status / 100 == 2)
        find({"allowed", op->id, "a page token of another list", "GET " + path_of(elsewhere),
              "a refusal", "200"});
    }
  }
}

/// B used an idempotency key; A uses the same. A's request is a first one.
void Campaign::idempotency() {
  for (const auto* op : tenant_operations()) {
    if (op->method != "POST" || !op->takes("header", "Idempotency-Key") || !op->body ||
        op->path_parameters().size() != 1)
      continue;
    auto theirs = own_call(b_, *op), ours = own_call(a_, *op);
    if (!theirs || !ours) continue;
    const http::Header once{"Idempotency-Key", "atk-" + to_hex(crypto::random_bytes(8))};
    theirs->headers.push_back(once);
    ours->headers.push_back(once);
    const auto first = send(*theirs);
    if (first.status / 100 != 2) continue;
    const auto answer = probe(*ours, "another tenant's idempotency key");
    const auto replayed = answer.header("Idempotent-Replayed");
    if (answer.status / 100 != 2 || !replayed.empty())
      find({"replayed", op->id, "another tenant's idempotency key", "POST " + path_of(*ours),
            "as if the key were new", std::to_string(answer.status) + " " + shorten(answer.body)});
    // Its own repetition is replayed, so that the comparison above means something.
    const auto again = send(*ours);
    if (again.header("Idempotent-Replayed").empty() && again.body != answer.body)
      report_.warnings.push_back(op->id +
                                 ": a repetition with the same Idempotency-Key is not replayed");
  }
  b_.snapshot = snapshot(b_);  // B itself has added something
}

/// Headers and spellings that some servers or proxies believe.
void Campaign::headers_and_paths() {
  for (const auto* op : tenant_operations()) {
    auto call = own_call(a_, *op);
    if (!call || op->method != "GET") continue;
    const auto plain = canonical(probe(*call, "plain"), *call);
    const std::vector<http::Header> tricks{{"X-Tenant-Id", b_.slug},
                                           {"X-Tenant", b_.slug},
                                           {"Tenant", b_.slug},
                                           {"X-Organization", b_.slug},
                                           {"X-Forwarded-Host", b_.slug + ".example"},
                                           {"X-Forwarded-Prefix", "/v1/tenants/" + b_.slug},
                                           {"X-HTTP-Method-Override", "DELETE"},
                                           {"Cookie", "tenant=" + b_.slug}};
    for (const auto& trick : tricks) {
      auto tricked = *call;
      tricked.headers.push_back(trick);
      const auto answer = probe(tricked, trick.name + ": the other tenant");
      if (canonical(answer, tricked) != plain)
        find({"difference", op->id, "the header " + trick.name, "GET " + path_of(tricked),
              shorten(plain), shorten(canonical(answer, tricked))});
    }
    for (const char* name : {"X-Original-URL", "X-Rewrite-URL"}) {
      auto tricked = *call;
      const auto path = path_of(*call);
      tricked.headers.push_back({name, replace_all(path, a_.slug, b_.slug)});
      probe(tricked, std::string("the header ") + name);
    }
    const auto path = path_of(*call);
    const auto other = replace_all(path, a_.slug, b_.slug);
    std::vector<std::string> paths{replace_all(path, a_.slug, a_.slug + "/../" + b_.slug),
                                   replace_all(path, a_.slug, a_.slug + "/%2e%2e/" + b_.slug),
                                   replace_all(path, a_.slug, a_.slug + "%2f..%2f" + b_.slug),
                                   replace_all(path, a_.slug, a_.slug + ";/../" + b_.slug),
                                   replace_all(path, a_.slug, a_.slug + "%00" + b_.slug),
                                   replace_all(path, a_.slug, a_.slug + "," + b_.slug),
                                   replace_all(path, a_.slug, a_.slug + "%20or%20" + b_.slug),
                                   "/" + other,
                                   other + "/",
                                   other + "?tenant=" + a_.slug,
                                   path + "?tenant=" + b_.slug,
                                   path + "?tenant=" + a_.slug + "&tenant=" + b_.slug,
                                   path + "#" + b_.slug,
                                   o_.url + other};
    std::string upper = b_.slug;
    std::ranges::transform(upper, upper.begin(), [](char c) {
      return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    });
    paths.push_back(replace_all(path, a_.slug, upper));
    for (const auto& tricky : paths) {
      const auto answer = raw("GET", tricky, {{"Authorization", "Bearer " + a_.key}}, "");
      inspect(answer, tricky, "GET " + tricky, op->id, "a spelling of the path");
    }
  }
}

/// Nothing a client sends makes the service fail, or speak in its database's words.
void Campaign::malformed() {
  const std::vector<std::string> ids{"x",
                                     "..",
                                     "%00",
                                     "null",
                                     "-1",
                                     "1e309",
                                     "%F0%9F%92%A9",
                                     "'%20OR%201=1--",
                                     "%22%3B",
                                     "00000000-0000-0000-0000-000000000000",
                                     std::string(3000, 'a')};
  for (const auto* op : tenant_operations()) {
    auto call = own_call(a_, *op);
    if (!call || ends_the_tenant(*op)) continue;
    for (const auto& name : op->path_parameters())
      for (const auto& id : ids) {
        if (name == o_.tenant_parameter) continue;
        auto wrong = *call;
        wrong.ids[name] = id;
        const auto answer = probe(wrong, "a malformed {" + name + "}");
        if (answer.status / 100 == 2)
          find({"allowed", op->id, "a malformed {" + name + "}", op->method + " " + path_of(wrong),
                "a refusal", std::to_string(answer.status)});
      }
    for (const auto& p : op->parameters) {
      if (p.in != "query") continue;
      for (const char* value :
           {"", "-1", "999999999999999999999", "'", "\\", "\xF0\x9F\x92\xA9", "0x10", "[]"}) {
        auto wrong = *call;
        wrong.query = {{p.name, value}};
        probe(wrong, "a strange ?" + p.name);
      }
      auto twice = *call;
      twice.query = {{p.name, "1"}, {p.name, "2"}};
      probe(twice, "?" + p.name + " twice");
    }
    if (!call->body || !call->body->is_object()) continue;
    const auto& good = call->body->get_object();
    for (const auto& [member, value] : good)
      for (const json::value& strange : std::initializer_list<json::value>{
               nullptr, 1e308, -1, "", json::string(std::string("\x00\x01", 2)),
               json::string(std::string(70000, 'x')), json::array{}, json::object{{"$ne", 1}}, true,
               "' OR 1=1--"}) {
        auto wrong = *call;
        auto body = good;
        body[member] = strange;
        wrong.body = body;
        probe(wrong, "a strange " + std::string(member));
      }
    const auto text = json::serialize(good);
    std::string deep(2000, '[');
    for (const auto& body :
         {std::string("{"), std::string("null"), std::string("[]"), std::string("\xff\xfe"), deep,
          text + "x", text.substr(0, text.size() - 1), "\xEF\xBB\xBF" + text,
          "{\"tenant_id\":1," + text.substr(1), "{\"tenant\":\"" + b_.slug + "\"," + text.substr(1),
          text.substr(0, text.size() - 1) + "," + text.substr(1),
          "{\"__proto__\":{}," + text.substr(1), std::string(3 << 20, ' ') + text}) {
      const auto path = path_of(*call);
      const auto answer =
          raw(op->method, path,
              {{"Authorization", "Bearer " + a_.key}, {"Content-Type", op->body_type}}, body);
      if (answer.status != 0)
        inspect(answer, body, op->method + " " + path, op->id, "a malformed body");
      if (answer.status / 100 == 2)
        find({"allowed", op->id, "a malformed body", op->method + " " + path, "a refusal",
              std::to_string(answer.status)});
    }
    for (const char* type :
         {"text/plain", "application/xml", "application/x-www-form-urlencoded", ""}) {
      const auto answer =
          raw(op->method, path_of(*call),
              {{"Authorization", "Bearer " + a_.key}, {"Content-Type", type}}, text);
      inspect(answer, text, op->method + " " + path_of(*call), op->id, "another content type");
    }
  }
}

std::optional<std::string> Campaign::make_key(World& world, const json::object& body) {
  for (const auto* op : tenant_operations()) {
    if (op->method != "POST" || !op->path.ends_with("/api-keys")) continue;
    Call call{op, world.slug, {}, {}, json::value(body), {}, world.key};
    const auto answer = send(call);
    boost::system::error_code ec;
    const auto v = json::parse(answer.body, ec);
    if (!ec && v.is_object() && v.get_object().contains("secret"))
      return std::string(v.at("secret").as_string());
  }
  return std::nullopt;
}

/// Keys in this platform's own format with the right checksum and a part that is not the key's.
std::vector<std::pair<std::string, std::string>> Campaign::forged_keys() const {
  const auto parts = [](const std::string& key) {
    std::vector<std::string> out;
    for (std::size_t at = 0; at <= key.size();) {
      const auto end = std::min(key.find('_', at), key.size());
      out.push_back(key.substr(at, end - at));
      at = end + 1;
    }
    return out;
  };
  const auto ours = parts(a_.key), theirs = parts(b_.key);
  constexpr std::size_t kChecksum = 6;
  if (ours.size() != 4 || theirs.size() != 4 || ours[3].size() <= kChecksum) return {};
  const auto secret = ours[3].substr(0, ours[3].size() - kChecksum);
  const auto compose = [](const std::string& head, const std::string& tenant, const std::string& id,
                          const std::string& s) {
    const auto text = head + "_" + tenant + "_" + id + "_" + s;
    return text + to_base62(crc32(text), kChecksum);
  };
  if (compose(ours[0], ours[1], ours[2], secret) != a_.key) return {};
  return {
      {"another secret", compose(ours[0], ours[1], ours[2], crypto::random_base62(secret.size()))},
      {"the other tenant's key with one's own secret",
       compose(ours[0], theirs[1], theirs[2], secret)},
      {"the other tenant's name with one's own key", compose(ours[0], theirs[1], ours[2], secret)},
      {"one's own name with the other tenant's key", compose(ours[0], ours[1], theirs[2], secret)}};
}

/// Credentials that are wrong, over or too weak.
void Campaign::credentials() {
  const auto key_operation = std::ranges::find_if(operations_, [](const Operation& op) {
    return op.method == "POST" && op.path.ends_with("/api-keys") && op.body;
  });
  std::vector<std::pair<std::string, std::string>> wrong{
      {"no credential", ""},
      {"a made-up key", "x"},
      {"a key cut short", a_.key.substr(0, a_.key.size() - 1)}};
  auto swapped = a_.key;
  std::ranges::reverse(swapped);
  wrong.emplace_back("a key backwards", swapped);
  // The tenant part of one, the rest of the other.
  for (std::size_t n = 0, at = 0; n < 3 && (at = a_.key.find('_', at)) != std::string::npos;
       ++n, ++at)
    if (const auto pieced = b_.key.substr(0, at) + a_.key.substr(std::min(at, a_.key.size()));
        b_.key.size() == a_.key.size() && pieced != a_.key && pieced != b_.key)
      wrong.emplace_back("a key pieced together of both tenants'", pieced);
  for (auto& [what, key] : forged_keys()) wrong.emplace_back(what, key);
  std::vector<std::string> weak;
  if (key_operation != operations_.end()) {
    if (auto key = make_key(
            a_, {{"name", a_.canary + " expiring"}, {"expires_at", to_rfc3339(now() + 2s)}})) {
      wrong.emplace_back("an expired key", *key);
      std::this_thread::sleep_for(3200ms);
    }
    if (auto key = make_key(a_, {{"name", a_.canary + " revoked"}})) {
      read_ids(a_);
      for (const auto* op : tenant_operations())
        if (op->method == "DELETE" && op->path.ends_with("/api-keys/{api_key}"))
          if (const auto call = own_call(a_, *op)) send(*call);
      std::this_thread::sleep_for(1200ms);
      wrong.emplace_back("a revoked key", *key);
    }
    if (auto key =
            make_key(a_, {{"name", a_.canary + " reader"}, {"scopes", json::array{"data_read"}}}))
      weak.push_back(*key);
  }
  // A key whose first request is a write, which some services check in another way.
  for (const auto* op : tenant_operations()) {
    auto call = own_call(a_, *op);
    if (!call || !makes_.contains(op->id) || key_operation == operations_.end()) continue;
    if (auto key = make_key(a_, {{"name", a_.canary + " fresh"}})) {
      call->key = *key;
      const auto answer = probe(*call, "a new key's first request");
      if (answer.status / 100 != 2 && answer.status != 403)
        find({"difference", op->id, "a new key's first request", "POST " + path_of(*call),
              "success, or 403 for a key without the permission",
              std::to_string(answer.status) + " " + shorten(answer.body)});
    }
  }
  for (const auto* op : tenant_operations()) {
    auto call = own_call(a_, *op);
    if (!call) continue;
    for (const auto& [what, key] : wrong) {
      auto with = *call;
      with.key = key;
      const auto answer = probe(with, what);
      if (answer.status != 401)
        find({answer.status / 100 == 2 ? "allowed" : "difference", op->id, what,
              op->method + " " + path_of(with), "401", std::to_string(answer.status)});
    }
    for (const auto& key : weak) {
      auto with = *call;
      with.key = key;
      if (op->method == "GET") continue;
      const auto answer = probe(with, "a key that may only read");
      if (answer.status != 403)
        find({answer.status / 100 == 2 ? "allowed" : "difference", op->id,
              "a key that may only read", op->method + " " + path_of(with), "403",
              std::to_string(answer.status)});
    }
  }
  // Operators' operations are not for tenants.
  for (const auto& op : operations_) {
    if (std::ranges::none_of(op.security, [](const auto& s) { return s.contains("operator"); }))
      continue;
    Call call{&op, b_.slug, {}, {}, {}, {{"X-Reason", "attack"}}, a_.key};
    const auto answer = probe(call, "an operator's operation");
    if (answer.status / 100 == 2)
      find({"allowed", op.id, "an operator's operation with a tenant's key",
            op.method + " " + path_of(call), "401", std::to_string(answer.status)});
  }
}

/// Tenants that are suspended or deleted: their keys stop, and others see no difference.
void Campaign::inactive() {
  if (!o_.slug_a.empty()) {
    report_.not_tried.push_back("suspended and deleted tenants: needs tenants of its own (signup)");
    return;
  }
  const auto stopped = [&](World& c, const std::string& what) {
    std::this_thread::sleep_for(1100ms);  // what is remembered of states may be a second old
    compare_snapshots(what + " beside it");
    for (const auto* op : tenant_operations()) {
      auto call = own_call(c, *op);
      if (!call || ends_the_tenant(*op) ||
          op->path.ends_with("{" + o_.tenant_parameter + "}/undelete"))
        continue;
      const auto own_answer = probe(*call, what + ", by itself");
      const bool read_of_itself =
          op->method == "GET" && op->path.ends_with("{" + o_.tenant_parameter + "}");
      if (own_answer.status != 403 && !read_of_itself)
        find({own_answer.status / 100 == 2 ? "allowed" : "difference", op->id, what + ", by itself",
              op->method + " " + path_of(*call), "403", std::to_string(own_answer.status)});
      call->key = a_.key;
      auto absent = *call;
      absent.tenant = "atk-none" + to_hex(crypto::random_bytes(6));
      for (auto& [name, id] : absent.ids) id = absent_like(id);
      alike(*call, absent, what + ", by another");
    }
  };
  World c;
  sign_up(c, "c");
  fill(c);
  const auto operator_call = [&](const char* verb) {
    const auto op = std::ranges::find_if(operations_, [&](const Operation& x) {
      return x.method == "POST" && x.path.ends_with(verb) &&
             std::ranges::any_of(x.security, [](const auto& s) { return s.contains("operator"); });
    });
    if (op == operations_.end()) return false;
    return send({&*op, c.slug, {}, {}, {}, {{"X-Reason", "attack"}}, o_.operator_key}).status /
               100 ==
           2;
  };
  if (o_.operator_key.empty()) {
    report_.not_tried.push_back("suspended tenants: needs --operator-key");
  } else if (operator_call("/suspend")) {
    stopped(c, "a suspended tenant");
    operator_call("/resume");
  }
  for (const auto* op : tenant_operations())
    if (ends_the_tenant(*op) && send({op, c.slug, {}, {}, {}, {}, c.key}).status / 100 == 2)
      stopped(c, "a deleted tenant");
}

/// Whether the time of an answer tells what its words do not.
void Campaign::timing() {
  for (const auto* op : tenant_operations()) {
    auto call = own_call(a_, *op);
    const auto other = own_call(b_, *op, false);
    if (!call || !other || op->method != "GET" || op->path_parameters().size() < 2) continue;
    const auto name = op->path_parameters().back();
    if (call->ids.at(name) == other->ids.at(name)) continue;
    std::array<std::vector<double>, 2> times;
    for (int i = 0; i < 60; ++i)
      for (const std::size_t which : {0u, 1u}) {
        auto one = *call;
        one.ids[name] = which == 0 ? other->ids.at(name) : absent_like(other->ids.at(name));
        times[which].push_back(send(one).ms);
      }
    for (auto& list : times) std::ranges::sort(list);
    const double foreign = times[0][30], absent = times[1][30];
    // Medians of interleaved pairs: half as long again and beyond the noise of a quarter
    // millisecond.
    if (std::max(foreign, absent) > 1.5 * std::min(foreign, absent) &&
        std::abs(foreign - absent) > 0.25)
      report_.warnings.push_back(fmt::format(
          "{}: another tenant's id takes {:.2f} ms, an absent one {:.2f} ms (medians of 60)",
          op->id, foreign, absent));
  }
}

const std::vector<Campaign::Named>& Campaign::all_phases() {
  static const std::vector<Named> all{
      {"own", "A works with its own things; B's stay as they are", &Campaign::own},
      {"ids", "B's ids in A's paths, beside absent ones", &Campaign::foreign_ids},
      {"references", "B's ids in A's bodies", &Campaign::foreign_references},
      {"queries", "B's ids in A's filters", &Campaign::foreign_queries},
      {"tenant", "A's key on B's paths, beside tenants that do not exist",
       &Campaign::foreign_tenant},
      {"cursors", "B's page tokens in A's lists", &Campaign::foreign_cursors},
      {"idempotency", "B's idempotency keys in A's requests", &Campaign::idempotency},
      {"headers", "headers and spellings that name B", &Campaign::headers_and_paths},
      {"malformed", "ids, parameters and bodies of the wrong shape", &Campaign::malformed},
      {"credentials", "wrong, expired, revoked and weak keys", &Campaign::credentials},
      {"inactive", "suspended and deleted tenants", &Campaign::inactive},
      {"timing", "whether times tell what words do not", &Campaign::timing}};
  return all;
}

Report Campaign::run() {
  phase_ = "prepare";
  const auto document = raw("GET", wire_.target().base + "/openapi.json", {}, "");
  if (document.status != 200)
    fail(Code::unavailable, "openapi_missing",
         o_.url + "/openapi.json answers " + std::to_string(document.status));
  operations_ = operations_of(document.body);
  report_.operations = operations_.size();
  if (tenant_operations().empty())
    fail(
        Code::invalid_argument, "no_tenant_operations",
        "no path has the parameter {" + o_.tenant_parameter + "}; name it with --tenant-parameter");
  if (o_.slug_a.empty()) {
    sign_up(a_, "a");
    sign_up(b_, "b");
  } else {
    a_ = {
        .slug = o_.slug_a, .key = o_.key_a, .canary = "canarya" + to_hex(crypto::random_bytes(6))};
    b_ = {
        .slug = o_.slug_b, .key = o_.key_b, .canary = "canaryb" + to_hex(crypto::random_bytes(6))};
  }
  try {
    for (auto* world : {&a_, &b_}) {
      read_ids(*world);
      fill(*world);
    }
  } catch (const Stop&) {  // as asked
    return std::move(report_);
  }
  if (a_.ids.empty() || b_.ids.empty())
    fail(Code::failed_precondition, "attack_cannot_fill",
         "the keys given cannot make or list anything: check --key-a and --key-b");
  const auto refresh = [&] {
    // Only what is not A's own as well can leak.
    secrets_ = b_.secrets();
    std::string own_texts;
    a_.snapshot = snapshot(a_);
    for (const auto& [operation, body] : a_.snapshot) own_texts += body;
    for (const auto& [operation, body] : b_.snapshot) texts_in(body, secrets_);
    std::erase_if(secrets_, [&](const auto& s) { return own_texts.contains(s); });
    for (const auto& own_one : a_.secrets()) secrets_.erase(own_one);
  };
  try {
    b_.snapshot = snapshot(b_);
    refresh();
    for (const auto& phase : all_phases()) {
      if (!o_.phases.empty() && !o_.phases.contains(phase.name)) continue;
      phase_ = phase.name;
      report_.phases.push_back({phase.name, 0, 0});
      read_ids(a_);
      (this->*phase.run)();
      compare_snapshots("after the phase " + phase_);
      refresh();
    }
  } catch (const Stop&) {  // as asked
  }
  phase_ = "done";
  if (o_.slug_a.empty())
    for (const auto* op : tenant_operations())
      if (ends_the_tenant(*op))
        for (const auto* world : {&a_, &b_}) send({op, world->slug, {}, {}, {}, {}, world->key});
  return std::move(report_);
}

}  // namespace

std::vector<std::pair<std::string, std::string>> phases() {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& p : Campaign::all_phases()) out.emplace_back(p.name, p.what);
  return out;
}

Report run(const Options& options, const std::function<void(const Progress&)>& progress) {
  return Campaign(options, progress).run();
}

}  // namespace coditect::attack
