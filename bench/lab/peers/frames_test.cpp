// frames_test: what the generator sends is what receivers accept.
#include "bench/lab/peers/frames.h"

#include <gtest/gtest.h>

#include <set>

namespace penstock::lab {
namespace {

constexpr Template kUdp{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}, 0x0a0a0102, 0x0a60000a, 9000, 64, false};
constexpr Template kSyn{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}, 0x0a0a0102, 0x0a60000a, 80, 1, true};

std::uint32_t read(const FrameOctets& frame, std::size_t at, std::size_t octets) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < octets; ++i) value = value << 8 | frame[at + i];
  return value;
}

TEST(Frames, an_ip_header_sums_to_all_ones) {
  for (const auto& what : {kUdp, kSyn}) {
    const FrameOctets frame = frame_of(what, 12345);
    EXPECT_EQ(ones_sum(std::span{frame}.subspan(14, 20)), 0xffff);
  }
}

TEST(Frames, a_syn_has_a_whole_tcp_checksum) {
  for (std::uint32_t n = 0; n < 1000; ++n) {
    const FrameOctets frame = frame_of(kSyn, n);
    const std::uint32_t pseudo =
        read(frame, 26, 2) + read(frame, 28, 2) + read(frame, 30, 2) + read(frame, 32, 2) + 6 + 26;
    EXPECT_EQ(ones_sum(std::span{frame}.subspan(34), pseudo), 0xffff);
    EXPECT_EQ(read(frame, 26, 2), 0x0a32U);  // 10.50.0.0/16
    EXPECT_EQ(frame[47], 0x02);
  }
}

TEST(Frames, the_syn_of_one_connection_is_whole_and_empty) {
  Template what = kSyn;
  for (std::uint16_t port = 20000; port < 20100; ++port) {
    const FrameOctets frame = syn_frame(what, port);
    const std::uint32_t pseudo =
        read(frame, 26, 2) + read(frame, 28, 2) + read(frame, 30, 2) + read(frame, 32, 2) + 6 + 20;
    EXPECT_EQ(ones_sum(std::span{frame}.subspan(34, 20), pseudo), 0xffff);
    EXPECT_EQ(read(frame, 16, 2), 40U);
    EXPECT_EQ(read(frame, 26, 4), what.from);
    EXPECT_EQ(read(frame, 34, 2), port);
  }
}

TEST(Frames, as_many_flows_as_asked) {
  std::set<std::uint32_t> ports;
  for (std::uint32_t n = 0; n < 1000; ++n) ports.insert(read(frame_of(kUdp, n), 34, 2));
  EXPECT_EQ(ports.size(), 64U);
  EXPECT_EQ(*ports.begin(), 10000U);
}

TEST(Frames, syns_hardly_repeat_a_source) {
  std::set<std::uint64_t> sources;
  for (std::uint32_t n = 0; n < 10000; ++n) {
    const FrameOctets frame = frame_of(kSyn, n);
    sources.insert(std::uint64_t{read(frame, 26, 4)} << 16 | read(frame, 34, 2));
  }
  EXPECT_GT(sources.size(), 9990U);
}

}  // namespace
}  // namespace penstock::lab
