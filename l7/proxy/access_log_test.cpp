#include "l7/proxy/access_log.h"

#include <gtest/gtest.h>

#include <vector>

#include "dataplane/control/limits.h"
#include "dataplane/control/snapshot_layout.h"

namespace penstock::proxy {
namespace {

struct Bed {
  RingControl control;
  std::vector<control::AccessRecord> slots = std::vector<control::AccessRecord>(4);
  control::HttpCounters counters;
  AccessLog log{control, slots, counters};
  SpscRing<control::AccessRecord> reader{control, slots};
};

TEST(AccessLog, a_record_keeps_what_the_head_says_and_arrives_at_its_end) {
  Bed bed;
  std::uint32_t record = bed.log.begin(control::kPerMillion, ~std::uint64_t{0}, "GET", "shop.example", "/a");
  ASSERT_NE(record, AccessLog::kNoRecord);
  EXPECT_EQ(bed.log[record].route, control::kNoIndex);
  bed.log[record].status = 404;
  EXPECT_EQ(bed.log.open(), 1u);
  bed.log.end(record);
  EXPECT_EQ(record, AccessLog::kNoRecord);
  bed.log.end(record);  // nothing
  control::AccessRecord got;
  ASSERT_TRUE(bed.reader.pop(got));
  EXPECT_FALSE(bed.reader.pop(got));
  EXPECT_EQ(got.status, 404);
  EXPECT_EQ((std::string_view{got.text.data(), 17}), "GETshop.example/a");
  EXPECT_EQ(got.method_octets + got.host_octets + got.path_octets, 17);
  EXPECT_EQ(bed.log.open(), 0u);
  EXPECT_EQ(bed.counters.access_records.read(), 1u);
}

TEST(AccessLog, so_many_of_a_million_are_picked) {
  Bed bed;
  int picked = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    std::uint32_t record = bed.log.begin(250'000, i << 54 | i << 44, "GET", "h", "/");
    picked += record != AccessLog::kNoRecord;
    bed.log.end(record);
    control::AccessRecord got;
    (void)bed.reader.pop(got);
  }
  EXPECT_NEAR(picked, 250, 10);
  EXPECT_EQ(bed.log.begin(0, 0, "GET", "h", "/"), AccessLog::kNoRecord) << "0 picks none";
}

TEST(AccessLog, long_texts_share_the_room_there_is) {
  Bed bed;
  const std::string longest(1000, 'x');
  std::uint32_t record = bed.log.begin(control::kPerMillion, 0, longest, longest, longest);
  EXPECT_EQ(bed.log[record].method_octets, 255);
  EXPECT_EQ(bed.log[record].host_octets, control::kAccessTextOctets - 255);
  EXPECT_EQ(bed.log[record].path_octets, 0);
  bed.log.end(record);
}

TEST(AccessLog, what_finds_no_room_is_counted) {
  Bed bed;
  std::vector<std::uint32_t> open;
  for (std::uint32_t i = 0; i < AccessLog::kOpenMax; ++i)
    open.push_back(bed.log.begin(control::kPerMillion, 0, "GET", "h", "/"));
  EXPECT_EQ(bed.log.begin(control::kPerMillion, 0, "GET", "h", "/"), AccessLog::kNoRecord);
  EXPECT_EQ(bed.counters.access_dropped.read(), 1u);
  for (std::uint32_t& record : open) bed.log.end(record);
  EXPECT_EQ(bed.counters.access_records.read(), 4u) << "the ring's slots";
  EXPECT_EQ(bed.counters.access_dropped.read(), 1u + AccessLog::kOpenMax - 4);
  EXPECT_EQ(bed.log.open(), 0u);
}

}  // namespace
}  // namespace penstock::proxy
