// The malicious and malformed messages of tests/corpus/http1_smuggling: each is refused for the stated reason or
// forwarded as the stated octets, whatever the cuts and the SIMD level; and what is forwarded means one message to us
// again. What it means to others is asked of h11 (oracle_test.py).
#include <gtest/gtest.h>

#include <cstdlib>

#include "l7/http1/case_test_support.h"

namespace penstock::http1 {
namespace {

const std::string kFolder = "tests/corpus/http1_smuggling/";

bool update() { return std::getenv("PENSTOCK_UPDATE_CORPUS") != nullptr; }

template <typename Relay>
void run_cases(const std::string& path, Relay relay) {
  const std::vector<test::Case> cases = test::read_cases(path);
  std::vector<test::Relayed> results;
  for (const test::Case& one : cases) {
    std::string problem;
    const test::Relayed got = relay(one, problem);
    EXPECT_EQ(problem, "") << one.name << " depends on cuts or SIMD level";
    if (update())
      EXPECT_EQ(got.end, one.expected.end) << one.name << "\n" << got.text();
    else
      EXPECT_EQ(got.text(), one.expected.text()) << one.name;
    results.push_back(got);
  }
  if (update() && !::testing::Test::HasFailure()) test::rewrite_cases(path, results);
}

TEST(Smuggling, requests_are_refused_or_forwarded_as_written_in_the_table) {
  run_cases(kFolder + "requests.txt", [](const test::Case& one, std::string& problem) {
    return test::relay_requests_all_ways(one.input, {}, problem);
  });
}

TEST(Smuggling, responses_are_refused_or_forwarded_as_written_in_the_table) {
  run_cases(kFolder + "responses.txt", [](const test::Case& one, std::string& problem) {
    return test::relay_responses_all_ways(one.input, {.method = one.method}, one.closed, problem);
  });
}

TEST(Smuggling, the_table_has_at_least_150_refused_heads) {
  std::size_t refused = 0;
  for (const test::Case& one : test::read_cases(kFolder + "requests.txt"))
    refused += one.expected.messages.empty() && one.expected.end.starts_with("reject ") ? 1 : 0;
  EXPECT_GE(refused, 150u);
}

TEST(Smuggling, what_was_forwarded_is_one_message_and_stays_as_it_is) {
  for (const test::Case& one : test::read_cases(kFolder + "requests.txt")) {
    const std::size_t whole = one.expected.messages.size() - (one.expected.end == "end" ? 0 : 1);
    if (one.expected.messages.empty()) continue;
    for (std::size_t i = 0; i < whole; ++i) {
      const test::Relayed again = test::relay_requests(one.expected.messages[i], {}, best_classifier());
      ASSERT_EQ(again.messages.size(), 1u) << one.name;
      EXPECT_EQ(again.messages[0], one.expected.messages[i]) << one.name;
      EXPECT_EQ(again.end, "end") << one.name;
    }
  }
}

}  // namespace
}  // namespace penstock::http1
