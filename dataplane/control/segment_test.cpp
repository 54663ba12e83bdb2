#include "dataplane/control/segment.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <string>

namespace penstock::control {
namespace {

/// Zeroed pages, as the dataplane's memfd is.
class Pages {
 public:
  explicit Pages(std::size_t octets) : octets_{octets} {
    at_ = mmap(nullptr, octets, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(at_ != MAP_FAILED, "mmap");
  }
  ~Pages() { munmap(at_, octets_); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  ByteSpan span() { return {static_cast<std::byte*>(at_), octets_}; }

 private:
  std::size_t octets_;
  void* at_;
};

SegmentHeader header_of(ByteSpan memory) {
  SegmentHeader header;
  std::memcpy(&header, memory.data(), sizeof header);
  return header;
}

TEST(Segment, a_formatted_segment_opens_and_its_blocks_are_apart) {
  Pages pages{segment_octets(3)};
  format_segment(pages.span(), 3, 77);
  const auto view = SegmentView::open(pages.span());
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(view->worker_count(), 3u);
  EXPECT_EQ(view->boot_epoch(), 77u);
  for (std::size_t w = 0; w < 3; ++w) {
    view->block(w).counters.polls.add(w + 1);
    view->block(w).counters.slots[kStatSlotMax - 1].tx_octets.add(w + 10);
    view->block(w).answers[kAnswerRingSlots - 1].listener_id = static_cast<std::uint32_t>(w + 100);
  }
  for (std::size_t w = 0; w < 3; ++w) {
    EXPECT_EQ(view->counters(w).polls.read(), w + 1);
    EXPECT_EQ(view->counters(w).slots[kStatSlotMax - 1].tx_octets.read(), w + 10);
    EXPECT_EQ(view->block(w).answers[kAnswerRingSlots - 1].listener_id, w + 100);
  }
  const std::byte* last = reinterpret_cast<const std::byte*>(&view->block(2)) + sizeof(WorkerBlock);
  EXPECT_LE(last, pages.span().data() + pages.span().size());
}

TEST(Segment, memory_that_is_no_segment_of_this_build_is_refused_with_the_reason) {
  struct Row {
    const char* name;
    void (*damage)(SegmentHeader&);
    std::string what;
  };
  const Row rows[] = {
      {"magic", [](SegmentHeader& h) { h.magic ^= 1; }, "magic"},
      {"layout", [](SegmentHeader& h) { h.layout += 1; }, "layout " + std::to_string(kSegmentLayout + 1)},
      {"no workers", [](SegmentHeader& h) { h.worker_count = 0; }, "worker_count 0"},
      {"too many workers", [](SegmentHeader& h) { h.worker_count = kWorkerMax + 1; }, "worker_count 17"},
      {"one worker more than memory", [](SegmentHeader& h) { h.worker_count = 2; }, "needed"},
      {"offset", [](SegmentHeader& h) { h.worker_offset += 64; }, "worker_offset"},
      {"stride", [](SegmentHeader& h) { h.worker_stride += 64; }, "worker_stride"},
  };
  for (const Row& row : rows) {
    Pages pages{segment_octets(1)};
    format_segment(pages.span(), 1, 1);
    SegmentHeader header = header_of(pages.span());
    row.damage(header);
    std::memcpy(pages.span().data(), &header, sizeof header);
    const auto view = SegmentView::open(pages.span());
    ASSERT_FALSE(view.ok()) << row.name;
    EXPECT_NE(view.error().what.find(row.what), std::string::npos) << row.name << ": " << view.error().what;
  }
}

TEST(Segment, short_and_unaligned_memory_is_refused) {
  Pages pages{segment_octets(1)};
  format_segment(pages.span(), 1, 1);
  EXPECT_FALSE(SegmentView::open({}).ok());
  EXPECT_FALSE(SegmentView::open(pages.span().first(sizeof(SegmentHeader) - 1)).ok());
  EXPECT_FALSE(SegmentView::open(pages.span().first(segment_octets(1) - 1)).ok());
  EXPECT_FALSE(SegmentView::open(pages.span().subspan(8)).ok());
  EXPECT_TRUE(SegmentView::open(pages.span()).ok());
}

TEST(Segment, an_unopened_view_has_no_workers) {
  EXPECT_EQ(SegmentView{}.worker_count(), 0u);
  EXPECT_EQ(SegmentView{}.boot_epoch(), 0u);
  EXPECT_DEATH((void)SegmentView{}.counters(0), "no such worker");
}

}  // namespace
}  // namespace penstock::control
