// Listeners of HTTP with real clients and servers over the simulated wire.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/sim/http/http_world.h"

namespace penstock::sim {
namespace {

TEST(Http, a_get_is_answered) {
  HttpWorld run{{}, {{{.answer_body = 5}}}};
  EXPECT_EQ(run.run(), "");
  EXPECT_EQ(run.answered(), 1u);
  EXPECT_EQ(run.last_request().field("x-forwarded-for"), "10.1.0.2");
  EXPECT_EQ(run.last_request().field("x-request-id").size(), 32u);
}

RequestPlan random_plan(test::Seeded& random, bool large) {
  static constexpr const char* kMethods[] = {"GET", "GET", "GET", "HEAD", "POST", "PUT", "POST", "DELETE", "OPTIONS"};
  const auto size = [&] {
    const std::size_t reach[] = {1, 40, 2000, 20'000, large ? 600'000u : 60'000u};
    return random.below(reach[random.below(5)]);
  };
  RequestPlan plan;
  plan.method = kMethods[random.below(9)];
  if (random.below(4) == 0) plan.path = "/deep/er?x=" + std::to_string(random.below(100));
  if (plan.method == "POST" || plan.method == "PUT") {
    plan.body = size();
    plan.chunked = random.coin();
    plan.expect = plan.body != 0 && random.below(4) == 0;
  }
  plan.answer = static_cast<Answer>(random.below(4));
  plan.answer_body = size();
  plan.interim = random.below(8) == 0;
  plan.close_after = random.below(10) == 0;
  return plan;
}

std::vector<std::vector<RequestPlan>> random_clients(test::Seeded& random) {
  std::vector<std::vector<RequestPlan>> clients(1 + random.below(5));
  for (auto& plans : clients)
    for (std::size_t n = 1 + random.below(8); n-- > 0;) plans.push_back(random_plan(random, clients.size() < 3));
  return clients;
}

struct HttpSeeds : testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(All, HttpSeeds, testing::Range(0, 8));

/// PENSTOCK_HTTP_SEEDS makes a longer run of the same.
TEST_P(HttpSeeds, hold_every_invariant) {
  const char* const wanted = std::getenv("PENSTOCK_HTTP_SEEDS");
  const std::uint64_t seeds = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 20;
  for (std::uint64_t n = 0; n < seeds; ++n) {
    const std::uint64_t seed = 1 + static_cast<std::uint64_t>(GetParam()) + 8 * n;
    test::Seeded random{seed};
    HttpRunOptions options;
    options.seed = seed;
    options.loss_permille = random.coin() ? 0 : static_cast<std::uint32_t>(random.below(30));
    static constexpr std::uint32_t kPieces[] = {3, 100, 1500, 10'000};
    options.piece_max = kPieces[random.below(4)];
    options.pipeline = 1 + static_cast<std::uint32_t>(random.below(2) * random.below(6));
    options.endpoints = 1 + random.below(3);
    options.policy.lb_policy = static_cast<control::LbPolicy>(random.below(3));
    auto clients = random_clients(random);
    if (options.piece_max == 3)  // every octet its own segment: small bodies only
      for (auto& plans : clients)
        for (RequestPlan& plan : plans) {
          plan.body %= 300;
          plan.answer_body %= 300;
          if (plan.body == 0) plan.expect = false;
        }
    HttpWorld run{options, clients};
    ASSERT_EQ(run.run(), "") << "seed " << seed;
  }
}

}  // namespace
}  // namespace penstock::sim
