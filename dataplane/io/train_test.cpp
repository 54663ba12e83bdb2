// What is a train, and that its headers are those of one packet with all of the payload.
#include "dataplane/io/train.h"

#include <gtest/gtest.h>

#include <functional>

#include "tests/support/packet_builder.h"

namespace penstock::io {
namespace {

using test::Bytes;
using test::ChecksumMode;
using test::PacketBuilder;

constexpr std::size_t kMtu = 1500;
constexpr std::uint32_t kFirstSeq = 0xfffffc00;  // wraps within the train

struct Segment {
  std::uint32_t at;  ///< octets behind the first
  std::size_t octets;
  std::string flags{"A"};
};

PacketBuilder builder(bool v4) {
  PacketBuilder b;
  if (v4)
    b.ipv4("10.1.0.2", "10.96.0.10");
  else
    b.ipv6("fd00::2", "fd00::10");
  return b.tcp(40000, 80, "A").ack(77).window(501).tcp_options(Bytes(12, std::byte{1}));
}

Bytes payload(std::uint32_t at, std::size_t octets) {
  Bytes out(octets);
  for (std::size_t i = 0; i < octets; ++i) out[i] = static_cast<std::byte>((at + i) * 31 % 251);
  return out;
}

Bytes packet(bool v4, const Segment& s, const std::function<void(PacketBuilder&)>& change = {}) {
  PacketBuilder b = builder(v4);
  b.tcp(40000, 80, s.flags).seq(kFirstSeq + s.at).payload(payload(s.at, s.octets));
  if (change) change(b);
  return b.build();
}

/// Frames over packets, each released again at the end.
class Frames {
 public:
  explicit Frames(std::vector<Bytes> packets) : packets_{std::move(packets)} {
    for (Bytes& p : packets_)
      frames_.emplace_back(RawFrame{p.data(), p.data(), static_cast<std::uint16_t>(p.size()), 0, 0, 0});
  }
  ~Frames() {
    for (Frame& f : frames_) static_cast<void>(std::move(f).release());
  }
  Frames(const Frames&) = delete;
  Frames& operator=(const Frames&) = delete;
  [[nodiscard]] std::span<const Frame> all() const { return frames_; }

 private:
  std::vector<Bytes> packets_;
  std::vector<Frame> frames_;
};

std::size_t length(std::vector<Bytes> packets) { return find_train(Frames{std::move(packets)}.all(), kMtu).frames; }

TEST(Train, has_the_headers_of_one_packet) {
  for (const bool v4 : {true, false}) {
    const Frames frames{{packet(v4, {0, 1000}), packet(v4, {1000, 1000}), packet(v4, {2000, 301, "AP"})}};
    const Train train = find_train(frames.all(), kMtu);
    ASSERT_EQ(train.frames, 3u);
    EXPECT_EQ(train.segment, 1000);
    EXPECT_EQ(train.payload, 2301u);
    std::array<std::byte, kTrainHeaderOctetsMax> headers{};
    write_train_headers(train, frames.all(), headers);
    const Bytes whole = packet(v4, {0, 2301, "AP"}, [](PacketBuilder& b) { b.checksum(ChecksumMode::partial); });
    EXPECT_EQ(Bytes(headers.begin(), headers.begin() + train.headers), Bytes(whole.begin(), whole.end() - 2301));
  }
}

TEST(Train, ends_behind_a_push_and_before_what_does_not_follow) {
  for (const bool v4 : {true, false}) {
    const Bytes first = packet(v4, {0, 1000});
    const auto two = [&](const Segment& s, const std::function<void(PacketBuilder&)>& change = {}) {
      return length({first, packet(v4, s, change)});
    };
    EXPECT_EQ(two({1000, 1000}), 2u);
    EXPECT_EQ(two({1000, 1}), 2u);
    EXPECT_EQ(length({first, packet(v4, {1000, 1000, "AP"}), packet(v4, {2000, 1000})}), 2u);
    EXPECT_EQ(two({1001, 1000}), 1u) << "a gap";
    EXPECT_EQ(two({0, 1000}), 1u) << "a repetition";
    EXPECT_EQ(two({1000, 0}), 1u) << "no payload";
    for (const char* flags : {"FA", "R", "SA", "AU", "P"}) EXPECT_EQ(two({1000, 1000, flags}), 1u) << flags;
    EXPECT_EQ(two({1000, 1000}, [](PacketBuilder& b) { b.ack(78); }), 1u);
    EXPECT_EQ(two({1000, 1000}, [](PacketBuilder& b) { b.window(502); }), 1u);
    EXPECT_EQ(two({1000, 1000}, [](PacketBuilder& b) { b.ttl(63); }), 1u);
    EXPECT_EQ(two({1000, 1000}, [](PacketBuilder& b) { b.tcp_options(Bytes(12, std::byte{0})); }), 1u);
    EXPECT_EQ(two({1000, 1000}, [](PacketBuilder& b) { b.tcp_options({}); }), 1u);
    EXPECT_EQ(two({1000, 1000}, [](PacketBuilder& b) { b.eth("02:00:00:00:00:01", "02:00:00:00:00:03"); }), 1u);
    EXPECT_EQ(two({1000, 1000}, [](PacketBuilder& b) { b.vlan(5); }), 1u);
    EXPECT_EQ(two({1000, 1000}, [](PacketBuilder& b) { b.padding(4); }), 1u);
    EXPECT_EQ(length({packet(v4, {0, 1000}, [](PacketBuilder& b) { b.vlan(5); }),
                      packet(v4, {1000, 1000}, [](PacketBuilder& b) { b.vlan(5); })}),
              1u);
  }
  EXPECT_EQ(length({packet(true, {0, 1000, "AP"}), packet(true, {1000, 1000})}), 1u) << "pushed";
  EXPECT_EQ(length({packet(true, {0, 100}), packet(true, {100, 100})}), 1u) << "small";
  EXPECT_EQ(length({packet(true, {0, 1000})}), 1u);
  const auto elsewhere = [](PacketBuilder& b) { b.ipv4("10.1.0.2", "10.96.0.11"); };
  EXPECT_EQ(length({packet(true, {0, 1000}), packet(true, {1000, 1000}, elsewhere)}), 1u);
  const auto with_options = [](PacketBuilder& b) { b.ip_options(4); };
  EXPECT_EQ(length({packet(true, {0, 1000}, with_options), packet(true, {1000, 1000}, with_options)}), 1u);
}

TEST(Train, takes_segments_of_any_size_and_is_cut_by_the_largest) {
  for (const bool v4 : {true, false}) {
    const Frames frames{
        {packet(v4, {0, 200}), packet(v4, {200, 1300}), packet(v4, {1500, 1428}), packet(v4, {2928, 7, "AP"})}};
    const Train train = find_train(frames.all(), kMtu);
    EXPECT_EQ(train.frames, 4u);
    EXPECT_EQ(train.segment, 1428);
    EXPECT_EQ(train.payload, 2935u);
  }
}

TEST(Train, of_frames_above_the_mtu_is_cut_by_it) {
  for (const bool v4 : {true, false}) {
    const auto most = static_cast<std::uint16_t>(kMtu - (v4 ? 20 : 40) - 32);
    for (const char* flags : {"A", "AP"}) {
      const Frames one{{packet(v4, {0, 1900, flags}), packet(v4, {1900, 1000})}};
      const Train train = find_train(one.all().first(1), kMtu);
      EXPECT_EQ(train.frames, 1u);
      EXPECT_EQ(train.payload, 1900u);
      EXPECT_EQ(train.segment, most);
      EXPECT_EQ(find_train(one.all(), kMtu).frames, flags[1] == 'P' ? 1u : 2u);
    }
    const Frames mixed{{packet(v4, {0, 200}), packet(v4, {200, 1900}), packet(v4, {2100, 1000, "AP"})}};
    EXPECT_EQ(find_train(mixed.all(), kMtu).frames, 3u);
    EXPECT_EQ(find_train(mixed.all(), kMtu).segment, most);
    const Frames bad{{packet(v4, {0, 1900}, [](PacketBuilder& b) { b.checksum(ChecksumMode::bad); })}};
    EXPECT_FALSE(find_train(bad.all(), kMtu).found());
    const Frames last{{packet(v4, {0, 1900, "FA"})}};
    EXPECT_FALSE(find_train(last.all(), kMtu).found());
  }
}

TEST(Train, a_tag_does_not_count_into_the_mtu) {
  const auto tag = [](PacketBuilder& b) { b.vlan(5); };
  EXPECT_FALSE(is_above(packet(true, {0, 1448}), kMtu));
  EXPECT_TRUE(is_above(packet(true, {0, 1449}), kMtu));
  EXPECT_FALSE(is_above(packet(true, {0, 1448}, tag), kMtu));
  EXPECT_TRUE(is_above(packet(true, {0, 1449}, tag), kMtu));
}

TEST(Train, a_partial_checksum_is_completed_and_nothing_else) {
  for (const bool v4 : {true, false})
    for (const std::size_t octets : {0u, 1u, 999u, 1900u})
      for (const bool tagged : {true, false}) {
        const auto with = [&](ChecksumMode mode) {
          return packet(v4, {0, octets}, [&](PacketBuilder& b) {
            if (tagged) b.vlan(5);
            b.checksum(mode);
          });
        };
        for (const ChecksumMode mode : {ChecksumMode::partial, ChecksumMode::full}) {
          Bytes frame = with(mode);
          complete_checksum(frame);
          EXPECT_EQ(frame, with(ChecksumMode::full));
        }
        Bytes bad = with(ChecksumMode::bad);
        complete_checksum(bad);
        EXPECT_EQ(bad, with(ChecksumMode::bad));
      }
}

TEST(Train, does_not_hide_damage) {
  for (const bool v4 : {true, false}) {
    const auto mode = [v4](std::uint32_t at, ChecksumMode m) {
      return packet(v4, {at, 1000}, [m](PacketBuilder& b) { b.checksum(m); });
    };
    EXPECT_EQ(length({mode(0, ChecksumMode::partial), mode(1000, ChecksumMode::full)}), 2u);
    EXPECT_EQ(length({mode(0, ChecksumMode::bad), mode(1000, ChecksumMode::full)}), 1u);
    EXPECT_EQ(length({mode(0, ChecksumMode::full), mode(1000, ChecksumMode::bad)}), 1u);
  }
  const auto bad_ip = [](PacketBuilder& b) { b.ip_checksum(ChecksumMode::bad); };
  EXPECT_EQ(length({packet(true, {0, 1000}), packet(true, {1000, 1000}, bad_ip)}), 1u);
  EXPECT_EQ(length({packet(true, {0, 1000}, bad_ip), packet(true, {1000, 1000})}), 1u);
}

TEST(Train, fits_an_ip_packet) {
  std::vector<Bytes> packets;
  for (std::uint32_t i = 0; i < 60; ++i) packets.push_back(packet(true, {i * 1448, 1448}));
  const std::size_t most = (65535 - 20 - 32) / 1448;
  EXPECT_EQ(length(packets), most);
}

}  // namespace
}  // namespace penstock::io
