// Header prediction changes no packet: every seed is run with it and without it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "tests/sim/tcp/scenario_support.h"

namespace penstock::tcpsim {
namespace {

/// PENSTOCK_PREDICT_SEEDS overrides it for a longer run.
std::uint64_t seed_count() {
  const char* const text = std::getenv("PENSTOCK_PREDICT_SEEDS");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 60;
}

TEST(HeaderPrediction, runs_are_the_same_packets_with_it_and_without_it) {
  for (std::uint64_t seed = 1; seed <= seed_count(); ++seed) {
    for (const Variant variant : kVariants) {
      Scenario scenario = make_scenario(seed, variant, 0);
      Pcapng with, without;
      const Result a = run(scenario, &with);
      for (tcp::Limits& limits : scenario.limits) limits.header_prediction = false;
      const Result b = run(scenario, &without);
      const std::string where = "seed " + std::to_string(seed) + " variant " + name_of(variant);
      ASSERT_EQ(a.failure, "") << where;
      ASSERT_EQ(a.packets, b.packets) << where;
      ASSERT_EQ(a.events, b.events) << where;
      ASSERT_EQ(a.virtual_us, b.virtual_us) << where;
      ASSERT_TRUE(std::ranges::equal(with.bytes(), without.bytes())) << where;
    }
  }
}

}  // namespace
}  // namespace penstock::tcpsim
