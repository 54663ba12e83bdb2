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

/// Everything is asked about.
HttpRunOptions asking(control::PolicyAction by_default, control::Decision decision, std::uint32_t lifetime_ms) {
  auto options = with_policy([by_default](control::SnapshotContent& content, control::HttpPolicyRecord& policy) {
    content.authorization_rules = {{0, 0, control::PolicyAction::ask, {}}};
    content.question_headers = {control::add_text(content, "x-user")};
    content.question_targets = {{99, 300, by_default, control::kFactMethod, 0, 0, 1}};
    policy.rule_count = 1;
    policy.ask = 0;
  });
  options.decide = [=](const control::HttpQuestion& question) {
    EXPECT_EQ(question.target, 99u);
    EXPECT_EQ(question.path(), "") << "no fact that the target wants";
    control::Answer answer{};
    answer.question_id = question.id;
    answer.decision = question.headers() == "x-user: root\r\n" ? control::Decision::allow : decision;
    answer.lifetime_ms = lifetime_ms;
    answer.status = 401;
    return std::optional{answer};
  };
  return options;
}
const std::vector<RequestPlan> kAsked{
    {.answer_body = 9}, {.answer_body = 9}, {.method = "POST", .body = 90'000, .chunked = true, .answer_body = 9}};

TEST(HttpPolicy, a_request_waits_for_its_answer) {
  HttpWorld run{asking(control::PolicyAction::deny, control::Decision::allow, 0), {kAsked}};
  EXPECT_EQ(run.run(), "");
  const auto& http = run.world().counters(0).http;
  EXPECT_EQ(http.questions.read(), 3u);
  EXPECT_EQ(http.held.read(), 0u);
}

TEST(HttpPolicy, answers_are_reused_for_the_same_facts) {
  auto plans = kAsked;
  for (RequestPlan& plan : plans) plan.expected = 401;
  plans.push_back({.headers = "X-User: root\r\n", .answer_body = 9});
  HttpWorld run{asking(control::PolicyAction::allow, control::Decision::deny, 60'000), {plans}};
  EXPECT_EQ(run.run(), "");
  const auto& http = run.world().counters(0).http;
  EXPECT_EQ(http.questions.read(), 3u) << "GET, POST, and GET of another user";
  EXPECT_EQ(http.answers_reused.read(), 1u);
  EXPECT_EQ(counted(run, ResponseDetail::authorization_refused), 3u);
}

TEST(HttpPolicy, without_an_answer_the_default_decides_at_the_deadline) {
  for (const bool late : {false, true})
    for (const auto by_default : {control::PolicyAction::allow, control::PolicyAction::deny}) {
      auto options = asking(by_default, control::Decision::allow, 1000);
      if (late)
        options.answer_us = 350'000;
      else
        options.decide = nullptr;
      auto plans = kAsked;
      if (by_default == control::PolicyAction::deny)
        for (RequestPlan& plan : plans) plan.expected = 403;
      HttpWorld run{options, {plans, {{.answer_body = 1, .expected = plans[0].expected}}}};
      EXPECT_EQ(run.run(), "");
      EXPECT_EQ(run.world().counters(0).http.questions_late.read(), 4u);
      EXPECT_EQ(counted(run, ResponseDetail::authorization_timeout),
                by_default == control::PolicyAction::deny ? 4u : 0u);
    }
}

TEST(HttpPolicy, facts_that_do_not_fit_are_not_asked_about) {
  auto plan = kAsked[0];
  plan.headers = "X-User: " + std::string(control::kHttpQuestionTextOctets, 'u') + "\r\n";
  plan.expected = 403;
  HttpWorld run{asking(control::PolicyAction::deny, control::Decision::allow, 0), {{plan}}};
  EXPECT_EQ(run.run(), "");
  EXPECT_EQ(run.world().counters(0).http.questions_unasked.read(), 1u);
  EXPECT_EQ(counted(run, ResponseDetail::authorization_overflow), 1u);
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
