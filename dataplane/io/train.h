// train.h - segments of one TCP stream that follow each other, as the one large segment that a kernel would have sent.
//
// Model     a stack with segmentation offload hands the device up to 64 KiB with one set of headers; the device, or the
//           receiver's kernel on a veth, treats it as one. Frames here are single segments, so a device that can send
//           large ones asks how many frames from the front of a burst belong together, and for their common headers.
//           Sizes may differ (a head, what its frame had behind another head, full ones): a device that cuts the train
//           cuts it anew, by the largest, which fits the path. TCP's numbers are of octets, so nothing else changes.
//           Frames may be larger than the MTU themselves, for the device to cut: then it cuts by the MTU.
// Shape     equal Ethernet, IP and TCP headers but for lengths, identification, checksums, sequence numbers that
//           continue, and PSH, which ends a train. No VLAN tag, no IP options or extension headers. Every checksum must
//           be right (or partial, as a local kernel leaves it).
// Errors    none: what is no train is not found().
// Not here  sending (io/dpdk).
#pragma once
#include <array>
#include <cstdint>
#include <span>

#include "dataplane/core/frame.h"

namespace penstock::io {

/// A train whose first two frames are shorter is not looked for: sending a few small segments together saves less than
/// looking costs.
inline constexpr std::size_t kTrainFrameOctets = kPartialSumOctetsMin;
/// Ethernet, IPv6 and the longest TCP header.
inline constexpr std::size_t kTrainHeaderOctetsMax = 14 + 40 + 60;

/// As many full segments as an IP packet holds.
inline constexpr std::size_t kTrainFramesMax = 48;

struct Train {
  std::size_t frames{1};      ///< from the front of the burst
  std::uint16_t l4_offset{};  ///< of the TCP header
  std::uint16_t headers{};    ///< octets in front of each payload
  std::uint16_t segment{};    ///< payload octets of what the device is to cut
  std::uint32_t payload{};    ///< of all; 0: no train
  bool v4{};
  [[nodiscard]] bool found() const { return payload != 0; }
};

/// More than an IP packet may have on an interface with `mtu`.
[[nodiscard]] bool is_above(ByteView frame, std::size_t mtu);
/// Makes a partial checksum of a TCP segment whole; anything else stays.
void complete_checksum(ByteSpan frame);
/// A single frame is a train when it is above the interface's `mtu`.
[[nodiscard]] Train find_train(std::span<const Frame> frames, std::size_t mtu);
/// The headers of the whole: lengths of all payloads, PSH of the last, a partial TCP checksum. `headers` octets.
void write_train_headers(const Train& train, std::span<const Frame> frames,
                         std::array<std::byte, kTrainHeaderOctetsMax>& into);

}  // namespace penstock::io
