// policy_bench: what a policy costs a request: a token taken, an answer found again, rules read to the last.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "dataplane/control/snapshot_writer.h"
#include "l7/policy/answer_cache.h"
#include "l7/policy/authorize.h"
#include "l7/policy/rate_limiter.h"

namespace penstock::policy {
namespace {

constexpr Instant kStart{std::chrono::hours{5}};
constexpr std::uint32_t kBurst = 100;

/// A token of the limit itself, every microsecond.
void take_token(benchmark::State& state) {
  RateLimiter limiter{1};
  const std::array limits{control::RateLimitRecord{1, 1000, kBurst, 0}};
  limiter.configure(limits, 1);
  Instant now = kStart;
  for (auto _ : state) benchmark::DoNotOptimize(limiter.take(0, now += Duration{1000}));
}
BENCHMARK(take_token);

/// A token of one of so many clients, each in turn.
void take_token_of_client(benchmark::State& state) {
  RateLimiter limiter{1};
  const std::array limits{control::RateLimitRecord{1, 1000, kBurst, 0}};
  limiter.configure(limits, 1);
  std::vector<IpAddress> clients;
  for (std::int64_t i = 0; i < state.range(0); ++i)
    clients.push_back(IpAddress::v4(10, 1, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i)));
  Instant now = kStart;
  std::size_t next = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(limiter.take(0, clients[next], now += Duration{1000}));
    next = next + 1 == clients.size() ? 0 : next + 1;
  }
}
BENCHMARK(take_token_of_client)->Arg(16)->Arg(30'000);

/// The facts of a request hashed, and its answer found.
void answer_found(benchmark::State& state) {
  const Hash128 key{1, 2};
  AnswerCache cache;
  std::vector<std::string> facts;
  for (int i = 0; i < 1000; ++i) {
    facts.push_back("GET shop.example.com /api/v1/items/" + std::to_string(i) +
                    " 10.42.7.19 authorization: Bearer abcdef");
    cache.put(keyed_hash(key, facts.back()), 0, kStart + std::chrono::hours{1});
  }
  std::size_t next = 0, found = 0;
  for (auto _ : state) {
    found += cache.find(keyed_hash(key, facts[next]), kStart).has_value();
    next = next + 1 == facts.size() ? 0 : next + 1;
  }
  if (found == 0) state.SkipWithError("no answer was found");
}
BENCHMARK(answer_found);

/// So many rules, of which the last one holds.
void rules(benchmark::State& state) {
  control::SnapshotContent content;
  const auto count = static_cast<std::uint32_t>(state.range(0));
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::string prefix = i + 1 == count ? "/api/" : "/internal" + std::to_string(i) + "/";
    content.policy_terms.push_back(
        {control::TermKind::path_prefix, 0, 0, 0, {}, control::add_text(content, prefix), {}});
    content.authorization_rules.push_back({i, 1, control::PolicyAction::deny, {}});
  }
  const control::PolicyTables tables{.policies = {},
                                     .rules = content.authorization_rules,
                                     .terms = content.policy_terms,
                                     .rate_limits = {},
                                     .texts = {content.texts.data(), content.texts.size()}};
  control::HttpPolicyRecord policy;
  policy.rule_count = count;
  const route::RequestView request{.host = "shop.example.com",
                                   .path = "/api/v1/items",
                                   .query = {},
                                   .method = "GET",
                                   .scheme = "http",
                                   .headers = {}};
  const Facts facts{request, IpAddress::v4(10, 42, 7, 19)};
  for (auto _ : state)
    if (authorize(tables, policy, facts) != control::PolicyAction::deny)
      return state.SkipWithError("the last rule did not hold");
}
BENCHMARK(rules)->Arg(1)->Arg(16)->Arg(256);

}  // namespace
}  // namespace penstock::policy
