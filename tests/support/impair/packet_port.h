// packet_port.h - one interface of the stage: raw Ethernet frames in and out (AF_PACKET).
//
// Model     received frames are read in place from a ring that the kernel fills (TPACKET_V2: each frame is visible at
//           once); frames are sent in batches past the queueing discipline.
// Errors    opening: a sentence with the system's reason. A full device ring is waited for, up to kPatience; then the
//           frame is dropped and counted, as the ring's own overflow is.
// Limits    kRingFrames received frames wait; kFrameOctetsMax octets. Frames must be whole packets of the wire:
//           segmentation and checksum offloads of the interfaces that send here must be off. What is not is counted
//           (`offloaded`) and dropped, so that a badly built lab shows.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dataplane/core/clock.h"
#include "dataplane/core/fd.h"
#include "dataplane/core/result.h"

namespace penstock::impair {

struct PortCounters {
  std::uint64_t received{}, sent{}, ingress_full{}, egress_full{}, offloaded{};
};

class PacketPort {
 public:
  static Result<PacketPort, std::string> open(const std::string& interface);
  PacketPort(PacketPort&& other) noexcept;
  PacketPort& operator=(PacketPort&&) = delete;
  ~PacketPort();

  /// The oldest frame that was received; empty when there is none. Valid until release().
  [[nodiscard]] std::span<const std::byte> front();
  void release();
  /// Sends all of them, in order, at most kBatch.
  void send(std::span<const std::span<const std::byte>> frames);
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// With the kernel's own count of overflows.
  [[nodiscard]] PortCounters counters();

  static constexpr std::size_t kBatch = 64;

 private:
  explicit PacketPort(Fd fd) : fd_{std::move(fd)} {}

  Fd fd_;
  std::byte* ring_{};
  std::size_t slot_{};
  PortCounters counters_;
};

}  // namespace penstock::impair
