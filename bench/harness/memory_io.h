// memory_io.h - a PacketIo without a device: packets are stamped from a template into a ring of buffers.
//
// Model     receive() copies a hot template and patches what tells flows apart (addresses, ports, checksums), so that
//           a million flows cost the bench 24 octets each, read in order. transmit() hands frames to a tap during
//           set-up and forgets them while measuring.
// Cost      the copy and patch are inside every measurement; MemoryIo_alone reports them by themselves.
// Limits    kBuffers buffers in turn, as a device's ring would.
#pragma once
#include <array>
#include <functional>
#include <vector>

#include "dataplane/io/packet_io.h"
#include "tests/support/packet_builder.h"

namespace penstock::bench {

/// What makes one packet of a mix: which template, and what is written over it.
struct PacketStamp {
  std::array<std::uint8_t, 4> src_low{};  ///< last four octets of the addresses
  std::array<std::uint8_t, 4> dst_low{};
  std::uint16_t src_port{}, dst_port{};  ///< wire order
  std::uint16_t ip_sum{}, l4_sum{};      ///< checksum fields as they stand on the wire
  std::uint8_t shape{};                  ///< index of the template
};

/// A frame that stamps are applied to.
struct PacketTemplate {
  test::Bytes bytes;
  PortIndex port{};
  [[nodiscard]] bool v4() const { return bytes[12] == std::byte{0x08}; }
  [[nodiscard]] bool tcp() const { return std::to_integer<int>(bytes[v4() ? 23 : 20]) == 6; }
  /// The stamp that reproduces `frame`, which has this template's layout.
  [[nodiscard]] PacketStamp stamp_of(ByteView frame, std::uint8_t shape) const;
};

class MemoryIo final : public io::PacketIo {
 public:
  static constexpr std::size_t kBuffers = 2048;
  static constexpr std::size_t kStride = 2048 + 384;
  static constexpr std::uint16_t kHeadroom = 128;

  explicit MemoryIo(std::vector<PacketTemplate> templates);
  /// Packets to receive, over and over, from the first. `burst` at a time.
  void play(std::span<const PacketStamp> stamps, std::size_t burst = io::kBurstMax);
  /// So many frames arrive until the next call: a worker takes more than one burst in a round as long as they are full.
  void allow(std::size_t frames) { allowed_ = frames; }
  static constexpr std::size_t kAll = ~std::size_t{0};
  /// Sees every transmitted frame; empty while measuring.
  std::function<void(PortIndex, ByteView)> tap;

  [[nodiscard]] std::size_t receive(std::span<Frame> into) override;
  [[nodiscard]] std::size_t transmit(PortIndex port, std::span<Frame> frames) override;
  void drop(std::span<Frame> frames) override;
  [[nodiscard]] bool can_transmit(PortIndex) const override { return true; }
  void wait(Duration) override {}
  void wake() override {}
  [[nodiscard]] std::uint64_t transmitted() const { return transmitted_; }

 private:
  void stamp(std::byte* at, const PacketStamp& s) const;
  struct Layout {
    std::uint16_t octets, ip_src_low, ip_dst_low, ip_sum, ports, l4_sum;
    PortIndex port;
  };
  std::vector<PacketTemplate> templates_;
  std::vector<Layout> layouts_;
  std::vector<std::byte> memory_;
  std::span<const PacketStamp> stamps_;
  std::size_t burst_{io::kBurstMax};
  std::size_t next_{};
  std::size_t allowed_{kAll};
  std::size_t next_buffer_{};
  std::uint64_t transmitted_{};
};

}  // namespace penstock::bench
