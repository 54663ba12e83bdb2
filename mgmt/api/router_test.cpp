#include "mgmt/api/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace penstock::api {
namespace {

using ::testing::HasSubstr;

class FakeBackend : public Backend {
 public:
  telemetry::Report report() override { return told; }
  telemetry::FlowList flows(const telemetry::FlowFilter& filter) override {
    asked = filter;
    return {};
  }
  telemetry::ConnectionList connections(const telemetry::FlowFilter& filter) override {
    asked = filter;
    return {};
  }
  std::string config_text() override { return "apiVersion: penstock/v1\n"; }
  void check(const std::string& yaml, std::function<void(Problems)> done) override { done(problems_of(yaml)); }
  static Problems problems_of(const std::string& yaml) {
    return yaml == "good" ? Problems{} : Problems{{"body:1:1", "is bad", "make it good"}};
  }
  void apply(const std::string& yaml, bool dry_run, const std::string& from,
             std::function<void(ApplyResult)> done) override {
    who = from;
    ApplyResult result;
    result.problems = problems_of(yaml);
    result.refused = yaml == "refused";
    result.applied = result.problems.empty() && !dry_run;
    result.changes = "+ listener web\n";
    done(result);
  }
  bool ready() override { return is_ready; }

  telemetry::Report told;
  telemetry::FlowFilter asked;
  std::string who;
  bool is_ready{true};
};

Response admin(Backend& backend, std::string method, const std::string& target, std::string body = {}) {
  Request request;
  request.method = std::move(method);
  EXPECT_TRUE(parse_target(target, request));
  request.body = std::move(body);
  request.peer_uid = 12;
  Response got{0, "", ""};
  handle_admin(backend, request, [&](Response response) { got = std::move(response); });
  return got;
}

TEST(Router, every_reading_resource_answers) {
  FakeBackend backend;
  for (const char* path : {"/v1/status", "/v1/services", "/v1/counters", "/v1/flows", "/v1/connections", "/v1/config",
                           "/v1/version", "/metrics", "/healthz", "/readyz"})
    EXPECT_EQ(admin(backend, "GET", path).status, 200u) << path;
}

TEST(Router, unknown_paths_and_methods_are_told_apart) {
  FakeBackend backend;
  EXPECT_EQ(admin(backend, "GET", "/v2/status").status, 404u);
  EXPECT_EQ(admin(backend, "POST", "/v1/status").status, 405u);
  EXPECT_EQ(admin(backend, "GET", "/v1/apply").status, 405u);
}

TEST(Router, metrics_listener_serves_nothing_of_v1) {
  FakeBackend backend;
  Request request{"GET", "/v1/status", {}, "", std::nullopt};
  unsigned status = 0;
  handle_metrics(backend, request, [&](const Response& response) { status = response.status; });
  EXPECT_EQ(status, 404u);
}

TEST(Router, check_lists_problems_with_place_and_remedy) {
  FakeBackend backend;
  EXPECT_EQ(admin(backend, "POST", "/v1/check", "good").status, 200u);
  const Response response = admin(backend, "POST", "/v1/check", "bad");
  EXPECT_EQ(response.status, 422u);
  const auto body = nlohmann::json::parse(response.body);
  EXPECT_EQ(body["problems"][0]["place"], "body:1:1");
  EXPECT_EQ(body["problems"][0]["remedy"], "make it good");
}

TEST(Router, apply_reports_changes_and_who_asked) {
  FakeBackend backend;
  auto body = nlohmann::json::parse(admin(backend, "POST", "/v1/apply", "good").body);
  EXPECT_EQ(body["applied"], true);
  EXPECT_EQ(backend.who, "uid 12");
  body = nlohmann::json::parse(admin(backend, "POST", "/v1/apply?dry_run=1", "good").body);
  EXPECT_EQ(body["applied"], false);
  EXPECT_EQ(body["changes"], "+ listener web\n");
  EXPECT_EQ(admin(backend, "POST", "/v1/apply", "bad").status, 422u);
  EXPECT_EQ(admin(backend, "POST", "/v1/apply", "refused").status, 409u);
}

TEST(Router, not_ready_says_why) {
  FakeBackend backend;
  backend.is_ready = false;
  backend.told.reasons = {"no port steers"};
  const Response response = admin(backend, "GET", "/readyz");
  EXPECT_EQ(response.status, 503u);
  EXPECT_THAT(response.body, HasSubstr("no port steers"));
}

TEST(Router, flow_filters_take_names_addresses_and_prefixes) {
  FakeBackend backend;
  telemetry::ListenerReport listener;
  listener.id = 5;
  listener.name = "web";
  backend.told.listeners.push_back(listener);
  EXPECT_EQ(admin(backend, "GET", "/v1/flows?service=web&limit=7&client=10.0.0.0%2F8").status, 200u);
  EXPECT_EQ(backend.asked.listener_id, 5u);
  EXPECT_EQ(backend.asked.limit, 7u);
  EXPECT_EQ(backend.asked.client, IpPrefix::parse("10.0.0.0/8"));
  EXPECT_EQ(admin(backend, "GET", "/v1/flows?service=10.96.0.10:80").status, 200u);
  EXPECT_EQ(backend.asked.service_port, 80);
  EXPECT_EQ(admin(backend, "GET", "/v1/connections?service=web&limit=8").status, 200u);
  EXPECT_EQ(backend.asked.limit, 8u);
  EXPECT_EQ(admin(backend, "GET", "/v1/connections?colour=red").status, 400u);
  for (const char* wrong : {"limit=x", "limit=1000000", "client=a", "endpoint=b", "service=unknown", "colour=red"})
    EXPECT_EQ(admin(backend, "GET", std::string{"/v1/flows?"} + wrong).status, 400u) << wrong;
}

}  // namespace
}  // namespace penstock::api
