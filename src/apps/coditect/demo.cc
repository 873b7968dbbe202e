#include "apps/coditect/demo.h"

#include "base/bytes.h"
#include "base/error.h"
#include "crypto/digest.h"
#include "http/client.h"

namespace coditect::app {
namespace {

using namespace std::chrono_literals;

boost::json::value post(const std::string& url, const std::string& key, const std::string& once,
                        const boost::json::value& body) {
  std::vector<http::Header> headers{{"Content-Type", "application/json"},
                                    {"Idempotency-Key", once}};
  if (!key.empty()) headers.push_back({"Authorization", "Bearer " + key});
  const auto answer =
      http::fetch_now("POST", url, std::move(headers), boost::json::serialize(body), 20s);
  if (answer.status / 100 != 2) fail(Code::internal, "demo_failed", url + ": " + answer.body);
  return boost::json::parse(answer.body);
}

struct DemoOrganization {
  std::string slug, email, password, key;
};

/// Through the API like everyone, with idempotency keys of this installation: repeated after a
/// crash it goes on where it was.
DemoOrganization make_demo(const Application& application, const std::string& base,
                           const std::string& secret, const std::string& slug,
                           const std::string& name) {
  DemoOrganization d{slug,
                     "owner@" + slug + ".example",
                     to_base64url(crypto::hmac_sha256(secret, "password " + slug)).substr(0, 20),
                     {}};
  const auto once = "demo-" + to_hex(crypto::hmac_sha256(secret, slug)).substr(0, 16);
  const auto signed_up = post(base + "/v1/signup", "", once,
                              {{"email", d.email},
                               {"password", d.password},
                               {"organization", {{"name", name}, {"slug", slug}}}});
  d.key = signed_up.at("api_key").at("secret").as_string();
  int n = 0;
  if (application.fill_demo)
    application.fill_demo(
        [&](const std::string& path, const boost::json::value& body) {
          return post(base + "/v1/tenants/" + slug + path, d.key, once + "-" + std::to_string(n++),
                      body);
        },
        name);
  return d;
}

}  // namespace

void greet_first_time(const Application& application, const std::string& base,
                      const std::string& secret,
                      const std::function<void(const std::string&)>& say) {
  const auto acme = make_demo(application, base, secret, "acme", "Acme");
  const auto globex = make_demo(application, base, secret, "globex", "Globex");
  say("");
  say("Two organizations to try it with. Their keys are shown this once and stored hashed:");
  for (const auto& d : {acme, globex})
    say("  " + d.slug + "  key " + d.key + "\n    sign in as " + d.email + " with " + d.password);
  say("");
  say("Try:");
  const auto call = [&](const char* options, const char* slug, const std::string& key) {
    return "  curl -s " + std::string(options) + base + "/v1/tenants/" + slug + "/" +
           application.demo_list + " -H 'Authorization: Bearer " + key + "'";
  };
  say(call("", "acme", acme.key));
  say(call("", "globex", globex.key));
  say(call("-i ", "globex", acme.key) + "   # not yours: 404");
  say("");
}

}  // namespace coditect::app
