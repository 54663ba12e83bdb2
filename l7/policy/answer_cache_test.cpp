#include "l7/policy/answer_cache.h"

#include <gtest/gtest.h>

#include <string>

namespace penstock::policy {
namespace {

using std::chrono::seconds;

TEST(KeyedHash, is_what_the_reference_says) {
  const Hash128 key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  EXPECT_EQ(keyed_hash(key, ""), (Hash128{0xe6a825ba047f81a3, 0x930255c71472f66d}));
  EXPECT_EQ(keyed_hash(key, std::string(1, '\0')), (Hash128{0x44af996bd8c187da, 0x45fc229b11597634}));
}

TEST(AnswerCache, answers_end) {
  AnswerCache cache;
  const Hash128 key{1, 2};
  const Instant now{seconds{100}};
  const auto facts = [&](int number) { return keyed_hash(key, std::to_string(number)); };
  EXPECT_FALSE(cache.find(facts(1), now).has_value());
  cache.put(facts(1), 0, now + seconds{5});
  cache.put(facts(2), 401, now + seconds{5});
  EXPECT_EQ(cache.find(facts(1), now), 0);
  EXPECT_EQ(cache.find(facts(2), now), 401);
  EXPECT_FALSE(cache.find(facts(1), now + seconds{5}).has_value());
  for (int n = 0; n < 100'000; ++n) cache.put(facts(n), 403, now + seconds{9});
  EXPECT_EQ(cache.find(facts(99'999), now), 403) << "a full set gives up what ends first";
}

}  // namespace
}  // namespace penstock::policy
