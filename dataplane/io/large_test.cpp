// A large segment is cut into what its sender's kernel would have sent, and nothing else is.
#include "dataplane/io/large.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "dataplane/wire/checksum.h"
#include "dataplane/wire/packet_info.h"
#include "tests/support/packet_builder.h"

namespace penstock::io {
namespace {

using test::Bytes;
using test::ChecksumMode;
using test::PacketBuilder;

constexpr std::size_t kMtu = 1500;
constexpr std::uint32_t kFirstSeq = 0xffffff00;  // wraps within the segment

struct Kind {
  bool v4{};
  bool tagged{};
};
constexpr std::array kKinds{Kind{true, false}, Kind{true, true}, Kind{false, false}, Kind{false, true}};

Bytes payload(std::size_t at, std::size_t octets) {
  Bytes out(octets);
  for (std::size_t i = 0; i < octets; ++i) out[i] = static_cast<std::byte>((at + i) * 31 % 251);
  return out;
}

using Change = std::function<void(PacketBuilder&)>;
Bytes packet(Kind kind, std::size_t at, std::size_t octets, const std::string& flags, const Change& change = {}) {
  PacketBuilder b;
  if (kind.tagged) b.vlan(5);
  if (kind.v4)
    b.ipv4("10.1.0.2", "10.96.0.10");
  else
    b.ipv6("fd00::2", "fd00::10");
  b.tcp(40000, 80, flags).seq(kFirstSeq + static_cast<std::uint32_t>(at)).ack(77).window(501);
  b.tcp_options(Bytes(12, std::byte{1})).checksum(ChecksumMode::partial).payload(payload(at, octets));
  if (change) change(b);
  return b.build();
}

std::vector<ByteView> in_chunks(const Bytes& whole, std::size_t octets) {
  std::vector<ByteView> out;
  for (std::size_t at = 0; at < whole.size(); at += octets)
    out.push_back(ByteView{whole}.subspan(at, std::min(octets, whole.size() - at)));
  return out;
}

std::vector<Bytes> cut(const Bytes& whole, std::size_t chunk = 1700, std::size_t mtu = kMtu, bool whole_sums = false) {
  const std::vector<ByteView> chunks = in_chunks(whole, chunk);
  LargeSegment large;
  std::vector<Bytes> out;
  if (!large.read(chunks, mtu, whole_sums)) return out;
  for (std::size_t i = 0; i < large.pieces(); ++i) {
    Bytes piece(mtu + 18);
    piece.resize(large.write_next(piece));
    out.push_back(std::move(piece));
  }
  return out;
}

/// Identification and IPv4 checksum are not in a builder's hand: compared without.
Bytes without_id(Bytes frame, Kind kind) {
  const std::size_t l3 = kind.tagged ? 18 : 14;
  if (kind.v4)
    for (const std::size_t at : {l3 + 4, l3 + 5, l3 + 10, l3 + 11}) frame[at] = std::byte{0};
  return frame;
}

TEST(Large, pieces_are_what_the_senders_kernel_would_have_sent) {
  for (const Kind kind : kKinds) {
    const std::size_t segment = kMtu - (kind.v4 ? 20 : 40) - 32;
    const std::size_t octets = 3 * segment + 7;
    for (const std::size_t chunk : {200u, 1024u, 1461u, 4096u}) {
      const std::vector<Bytes> pieces = cut(packet(kind, 0, octets, "AP"), chunk);
      ASSERT_EQ(pieces.size(), 4u) << chunk;
      for (std::size_t i = 0; i < 4; ++i) {
        const Bytes wanted = packet(kind, i * segment, i < 3 ? segment : 7, i < 3 ? "A" : "AP");
        EXPECT_EQ(without_id(pieces[i], kind), without_id(wanted, kind)) << i;
        EXPECT_EQ(wire::parse_packet(pieces[i]).reason(), DropReason::none);
      }
    }
  }
}

TEST(Large, identifications_go_on_and_headers_are_summed) {
  const std::vector<Bytes> pieces = cut(packet({true, false}, 0, 5000, "A"));
  ASSERT_EQ(pieces.size(), 4u);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const auto id = [&](std::size_t at) { return load_be<std::uint16_t>(ByteView{pieces[at]}, 18).host(); };
    EXPECT_EQ(id(i), static_cast<std::uint16_t>(id(0) + i));
    EXPECT_TRUE(wire::sum_is_valid(wire::sum_of(ByteView{pieces[i]}.subspan(14, 20))));
  }
}

TEST(Large, the_end_stands_on_the_last_piece) {
  const std::vector<Bytes> pieces = cut(packet({true, false}, 0, 3000, "FAP"));
  ASSERT_EQ(pieces.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto info = wire::parse_packet(pieces[i]);
    EXPECT_EQ(info->tcp_flags, i == 2 ? wire::kTcpFin | wire::kTcpAck | wire::kTcpPsh : wire::kTcpAck);
  }
}

TEST(Large, whole_checksums_are_verified_and_damage_is_not_hidden) {
  for (const Kind kind : kKinds) {
    const auto with = [&](ChecksumMode mode) {
      return cut(packet(kind, 0, 4001, "A", [mode](PacketBuilder& b) { b.checksum(mode); }), 1333).size();
    };
    EXPECT_EQ(with(ChecksumMode::full), 3u);
    EXPECT_EQ(with(ChecksumMode::bad), 0u);
  }
  EXPECT_TRUE(
      cut(packet({true, false}, 0, 4000, "A", [](PacketBuilder& b) { b.ip_checksum(ChecksumMode::bad); })).empty());
}

TEST(Large, who_verifies_gets_whole_checksums) {
  for (const Kind kind : kKinds) {
    for (const ChecksumMode mode : {ChecksumMode::partial, ChecksumMode::full}) {
      const auto change = [mode](PacketBuilder& b) { b.checksum(mode); };
      const std::vector<Bytes> pieces = cut(packet(kind, 0, 4001, "AP", change), 1333, kMtu, true);
      ASSERT_EQ(pieces.size(), 3u);
      const std::size_t segment = kMtu - (kind.v4 ? 20 : 40) - 32;
      for (std::size_t i = 0; i < 3; ++i) {
        const Bytes wanted = packet(kind, i * segment, std::min(segment, 4001 - i * segment), i < 2 ? "A" : "AP",
                                    [](PacketBuilder& b) { b.checksum(ChecksumMode::full); });
        EXPECT_EQ(without_id(pieces[i], kind), without_id(wanted, kind)) << i;
      }
    }
  }
}

TEST(Large, what_is_no_large_tcp_segment_is_refused) {
  const Kind v4{true, false};
  for (const char* flags : {"S", "RA", "AU"}) EXPECT_TRUE(cut(packet(v4, 0, 4000, flags)).empty()) << flags;
  Bytes longer = packet(v4, 0, 4000, "A");
  longer.push_back(std::byte{0});
  EXPECT_TRUE(cut(longer).empty()) << "octets that the lengths do not promise";
  Bytes shorter = packet(v4, 0, 4000, "A");
  shorter.pop_back();
  EXPECT_TRUE(cut(shorter).empty());
  EXPECT_TRUE(cut(packet(v4, 0, 4000, "A"), 40).empty()) << "headers in two chunks";
  EXPECT_TRUE(cut(packet(v4, 0, 4000, "A"), 1700, 50).empty()) << "no room for payload";
  PacketBuilder udp;
  udp.ipv4("10.1.0.2", "10.96.0.10").udp(1, 2).payload(payload(0, 4000));
  EXPECT_TRUE(cut(udp.build()).empty());
  EXPECT_TRUE(cut(Bytes(4000)).empty());
}

}  // namespace
}  // namespace penstock::io
