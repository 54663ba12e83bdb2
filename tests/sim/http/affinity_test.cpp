// Sessions that stay at their endpoint by a cookie.
#include <gtest/gtest.h>

#include "tests/sim/http/http_world.h"

namespace penstock::sim {
namespace {

HttpRunOptions sticky() {
  HttpRunOptions options;
  options.endpoints = 3;
  options.more = [](control::SnapshotContent& content) {
    for (std::size_t i = 0; i < content.endpoints.size(); ++i) content.endpoints[i].affinity = 0xa0 + i;
    control::AffinityRecord& rule = content.cluster_policies[0].affinity;
    rule = {control::add_text(content, "at"), control::add_text(content, "/shop"), 60};
  };
  return options;
}
const std::string kSecond = "Cookie: x=1; at=00000000000000a1\r\n";

TEST(Affinity, a_client_is_told_its_endpoint_and_stays_there) {
  HttpWorld first{sticky(), {{{.answer_body = 1}}}};
  ASSERT_EQ(first.run(), "");
  const std::string cookie = first.last_response().field("set-cookie");
  EXPECT_EQ(cookie.substr(0, 18), "at=00000000000000a") << cookie;
  EXPECT_EQ(cookie.substr(19), "; Path=/shop; Max-Age=60; HttpOnly");

  HttpWorld stays{sticky(), {std::vector<RequestPlan>(7, {.headers = kSecond, .answer_body = 1})}};
  ASSERT_EQ(stays.run(), "");
  EXPECT_EQ(stays.served(1), 7u);
  EXPECT_EQ(stays.last_response().field("set-cookie"), "") << "it knows";
}

TEST(Affinity, what_names_no_endpoint_is_balanced_and_told_anew) {
  for (const char* value : {"00000000000000ff", "a1", "00000000000000A1", "", "0000000000000000"}) {
    HttpWorld run{
        sticky(),
        {std::vector<RequestPlan>(6, {.headers = "Cookie: at=" + std::string{value} + "\r\n", .answer_body = 1})}};
    ASSERT_EQ(run.run(), "");
    EXPECT_EQ(run.served(1), 2u) << value;
    EXPECT_NE(run.last_response().field("set-cookie"), "");
  }
}

TEST(Affinity, a_session_moves_when_its_endpoint_takes_no_requests) {
  HttpRunOptions drained = sticky();
  drained.more = [more = sticky().more](control::SnapshotContent& content) {
    more(content);
    content.endpoints[1].weight = 0;
    for (std::uint16_t& slot : content.maglev) slot = slot == 1 ? 0 : slot;
  };
  HttpWorld moved{drained, {std::vector<RequestPlan>(4, {.headers = kSecond, .answer_body = 1})}};
  ASSERT_EQ(moved.run(), "");
  EXPECT_EQ(moved.served(1), 0u);
  EXPECT_NE(moved.last_response().field("set-cookie").find("at=00000000000000a"), std::string::npos);

  HttpRunOptions failing = sticky();
  failing.policy.outlier = {1, 0, 600'000, 600'000, 50};
  failing.table = {
      {{.name = "all",
        .domains = {"*"},
        .routes = {{.action = route::Forward{
                        .clusters = {{"c"}}, .timeout_ms = 0, .retry = {.on = route::kRetry5xx, .retries = 1}}}}}}};
  std::vector<RequestPlan> plans(5, {.headers = kSecond, .answer_body = 1});
  plans[0].fault = ServerFault::answer_503;
  HttpWorld ejected{failing, {plans}};
  ASSERT_EQ(ejected.run(), "");
  EXPECT_EQ(ejected.served(1), 1u) << "the retry and all after it go elsewhere";
  EXPECT_NE(ejected.last_response().field("set-cookie"), "");
}

}  // namespace
}  // namespace penstock::sim
