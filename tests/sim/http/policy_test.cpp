// Policies of requests with real clients and servers over the simulated wire.
#include <gtest/gtest.h>

#include "dataplane/control/limits.h"
#include "tests/sim/http/http_world.h"

namespace penstock::sim {
namespace {

using control::ResponseDetail;
using control::TermKind;

/// Options with one policy for the only route; `fill` completes it.
template <typename Fill>
HttpRunOptions with_policy(Fill fill) {
  HttpRunOptions options;
  options.more = [fill](control::SnapshotContent& content) {
    control::HttpPolicyRecord policy;
    fill(content, policy);
    content.http_policies = {policy};
    content.route_policies = {0};
  };
  return options;
}
void add_term(control::SnapshotContent& content, TermKind kind, std::string_view value, std::string_view name = {}) {
  content.policy_terms.push_back(
      {kind, 0, 0, 0, control::add_text(content, name), control::add_text(content, value), {}});
}
std::uint64_t counted(HttpWorld& run, ResponseDetail detail) {
  return run.world().counters(0).http.by_detail[static_cast<std::size_t>(detail)].read();
}

TEST(HttpPolicy, who_is_denied_never_reaches_an_endpoint) {
  const auto options = with_policy([](control::SnapshotContent& content, control::HttpPolicyRecord& policy) {
    add_term(content, TermKind::path_prefix, "/1/secret");
    content.authorization_rules = {{0, 1, control::PolicyAction::deny, {}}};
    policy.rule_count = 1;
  });
  HttpWorld run{options,
                {{{.answer_body = 5},
                  {.path = "/secret", .expected = 403},
                  {.answer_body = 5},
                  {.method = "POST", .body = 40'000, .answer_body = 5}}}};
  EXPECT_EQ(run.run(), "");
  EXPECT_EQ(counted(run, ResponseDetail::authorization_denied), 1u);
  EXPECT_EQ(run.served(0) + run.served(1), 3u);
  EXPECT_EQ(run.last_response().status(), 200) << "the connection lives on";
}

TEST(HttpPolicy, a_denied_upload_ends_its_connection) {
  const auto options = with_policy([](control::SnapshotContent&, control::HttpPolicyRecord& policy) {
    policy.otherwise = control::PolicyAction::deny;
  });
  HttpWorld run{options, {{{.method = "POST", .body = 300'000, .expected = 403}, {.expected = 403}}}};
  EXPECT_EQ(run.run(), "");
  EXPECT_EQ(counted(run, ResponseDetail::authorization_denied), 2u);
}

TEST(HttpPolicy, too_many_requests_are_told_when_to_come_again) {
  auto options = with_policy([](control::SnapshotContent& content, control::HttpPolicyRecord& policy) {
    content.rate_limits = {{1, 2'500'000'000, 2, 0}};
    policy.rate_limit = 0;
  });
  const std::vector<RequestPlan> plans{{}, {}, {.expected = 429}, {.expected = 429}};
  HttpWorld of_route{options, {plans}};
  EXPECT_EQ(of_route.run(), "");
  EXPECT_EQ(of_route.last_response().field("retry-after"), "3");
  EXPECT_EQ(counted(of_route, ResponseDetail::route_rate_limited), 2u);

  options.more = [](control::SnapshotContent& content) {
    content.rate_limits = {{1, 2'500'000'000, 2, 0}};
    content.http_policies = {{.client_rate_limit = 0}};
    content.http_listeners[0].policy = 0;
  };
  HttpWorld of_clients{options, {plans}};
  EXPECT_EQ(of_clients.run(), "");
  EXPECT_EQ(counted(of_clients, ResponseDetail::client_rate_limited), 2u);
}

TEST(HttpPolicy, faults_delay_and_answer) {
  auto fill = [](control::SnapshotContent& content, control::HttpPolicyRecord& policy) {
    add_term(content, TermKind::header_exact, "on", "x-fault");
    policy.fault_term_count = 1;
    policy.delay_millionths = control::kPerMillion;
    policy.delay_ms = 400;
  };
  const RequestPlan plain{.answer_body = 100};
  RequestPlan late = plain;
  late.headers = "X-Fault: on\r\n";
  RequestPlan upload = late;
  upload.method = "POST", upload.body = 200'000, upload.chunked = true;
  HttpWorld delayed{with_policy(fill), {{plain, late, upload, plain}}};
  EXPECT_EQ(delayed.run(), "");
  EXPECT_EQ(delayed.world().counters(0).http.delayed.read(), 2u);
  EXPECT_EQ(delayed.world().counters(0).http.held.read(), 0u);
  EXPECT_GT(delayed.now_us(), 800'000u);

  late.expected = 418;
  HttpWorld aborted{with_policy([&](control::SnapshotContent& content, control::HttpPolicyRecord& policy) {
                      fill(content, policy);
                      policy.abort_millionths = control::kPerMillion;
                      policy.abort_status = 418;
                    }),
                    {{plain, late, late, plain}}};
  EXPECT_EQ(aborted.run(), "");
  EXPECT_EQ(counted(aborted, ResponseDetail::fault_abort), 2u);
}

TEST(HttpPolicy, a_client_that_leaves_while_it_waits_leaves_nothing) {
  auto options = with_policy([](control::SnapshotContent&, control::HttpPolicyRecord& policy) {
    policy.delay_millionths = control::kPerMillion;
    policy.delay_ms = 300;
  });
  options.listener.idle_timeout_ms = 100;
  options.listener.stream_idle_ms = 50;
  HttpWorld run{options, {{{.answer_body = 10}, {.answer_body = 10}}}};
  EXPECT_EQ(run.run(), "") << "the wait is not idleness";
}

TEST(HttpPolicy, a_mirror_gets_what_fits_and_changes_nothing) {
  const auto options = with_policy([](control::SnapshotContent&, control::HttpPolicyRecord& policy) {
    policy.mirror_cluster = 0;
    policy.mirror_millionths = control::kPerMillion;
  });
  HttpWorld run{options,
                {{{.answer_body = 2000},
                  {.method = "POST", .body = 5000, .answer_body = 7},
                  {.method = "POST", .body = 5000, .chunked = true, .expect = true, .answer_body = 7},
                  {.method = "POST", .body = 50'000, .answer_body = 7}}}};
  EXPECT_EQ(run.run(), "");
  EXPECT_EQ(run.copies(), 3u);
  EXPECT_EQ(run.world().counters(0).http.mirrored.read(), 3u);
  EXPECT_EQ(run.world().counters(0).http.mirror_skipped.read(), 1u);
  EXPECT_EQ(run.world().counters(0).http.mirror_failed.read(), 0u);
}

}  // namespace
}  // namespace penstock::sim
