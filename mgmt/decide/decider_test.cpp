#include "mgmt/decide/decider.h"

#include <gtest/gtest.h>

#include <random>

namespace penstock::decide {
namespace {

using control::Decision;

RuleSet set_of(std::vector<Rule> rules, Decision fallback = Decision::deny) { return {std::move(rules), fallback}; }
Rule rule(const char* prefix, Decision decision, std::uint32_t lifetime_ms = 60'000) {
  return {*IpPrefix::parse(prefix), decision, lifetime_ms};
}
IpAddress ip(const char* text) { return *IpAddress::parse(text); }

TEST(Decider, first_matching_rule_decides) {
  const RuleSet rules = set_of({rule("10.1.2.0/24", Decision::deny, 5), rule("10.1.0.0/16", Decision::allow, 7)});
  EXPECT_EQ(rule_on(rules, ip("10.1.2.3")), (Ruling{Decision::deny, 5, *IpPrefix::parse("10.1.2.0/24")}));
  EXPECT_EQ(rule_on(rules, ip("10.1.9.3")).decision, Decision::allow);
}

TEST(Decider, answer_prefix_does_not_reach_into_an_earlier_rule) {
  const RuleSet rules = set_of({rule("10.1.2.0/24", Decision::deny), rule("10.1.0.0/16", Decision::allow)});
  EXPECT_EQ(rule_on(rules, ip("10.1.3.1")).holds_for, *IpPrefix::parse("10.1.3.0/24"));
  EXPECT_EQ(rule_on(rules, ip("10.1.128.1")).holds_for, *IpPrefix::parse("10.1.128.0/17"));
}

TEST(Decider, default_answers_for_everything_outside_the_rules) {
  const RuleSet rules = set_of({rule("10.0.0.0/8", Decision::allow)}, Decision::deny);
  const Ruling ruling = rule_on(rules, ip("192.168.0.1"));
  EXPECT_EQ(ruling.decision, Decision::deny);
  EXPECT_EQ(ruling.lifetime_ms, kDefaultLifetimeMs);
  EXPECT_EQ(ruling.holds_for, *IpPrefix::parse("128.0.0.0/1"));
}

TEST(Decider, rules_of_one_family_do_not_narrow_the_other) {
  const RuleSet rules = set_of({rule("0.0.0.0/0", Decision::deny)}, Decision::allow);
  EXPECT_EQ(rule_on(rules, ip("fd00::1")).decision, Decision::allow);
  EXPECT_EQ(rule_on(rules, ip("fd00::1")).holds_for.bits, 0);
  EXPECT_EQ(rule_on(rules, ip("1.2.3.4")).decision, Decision::deny);
}

TEST(Decider, unknown_listener_is_denied_for_that_flow_alone) {
  control::Question question{};
  question.id = 42;
  question.listener_id = 9;
  question.source = ip("10.0.0.1");
  const control::Answer got = answer({}, question);
  EXPECT_EQ(got.question_id, 42u);
  EXPECT_EQ(got.decision, Decision::deny);
  EXPECT_EQ(got.lifetime_ms, 0u);
  EXPECT_EQ(got.source_bits, 32);
}

TEST(Decider, answer_names_question_listener_and_prefix) {
  control::Question question{};
  question.id = 7;
  question.listener_id = 3;
  question.source = ip("fd00:1::5");
  const RuleBook book{{3, set_of({rule("fd00:1::/32", Decision::allow, 99)})}};
  const control::Answer got = answer(book, question);
  EXPECT_EQ(got.listener_id, 3u);
  EXPECT_EQ(got.decision, Decision::allow);
  EXPECT_EQ(got.lifetime_ms, 99u);
  EXPECT_EQ(got.source, ip("fd00:1::"));
  EXPECT_EQ(got.source_bits, 32);
}

// The plain twin: what each single address gets.
Decision reference(const RuleSet& set, const IpAddress& source) {
  for (const Rule& r : set.rules)
    if (r.source.address.family() == source.family() && r.source.contains(source)) return r.decision;
  return set.fallback;
}

TEST(Decider, every_address_within_an_answer_gets_the_same_decision) {
  std::mt19937 random{20240611};
  const auto address = [&] {
    const auto octet = [&] { return static_cast<std::uint8_t>(random() % 4); };
    return IpAddress::v4(10, octet(), octet(), octet());
  };
  for (int round = 0; round < 500; ++round) {
    RuleSet set;
    set.fallback = random() % 2 ? Decision::allow : Decision::deny;
    for (std::size_t n = random() % 6; n-- > 0;) {
      const auto bits = static_cast<std::uint8_t>(8 + random() % 25);
      set.rules.push_back({{masked(address(), bits), bits}, random() % 2 ? Decision::allow : Decision::deny, 1});
    }
    const IpAddress source = address();
    const Ruling ruling = rule_on(set, source);
    ASSERT_TRUE(ruling.holds_for.contains(source));
    ASSERT_EQ(ruling.decision, reference(set, source));
    for (int probe = 0; probe < 200; ++probe) {
      const IpAddress other = address();
      if (ruling.holds_for.contains(other)) {
        ASSERT_EQ(reference(set, other), ruling.decision);
      }
    }
  }
}

}  // namespace
}  // namespace penstock::decide
