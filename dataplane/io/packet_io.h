// packet_io.h - the only seam between a worker and devices.
//
// Model     one PacketIo per worker, covering that worker's queues of all ports. One indirect call per burst,
//           never per packet. Every frame handed out by receive(), allocate() or share() comes back by transmit() or
//           drop().
// Units     at most kBurstMax frames per call; transmit() takes any number, so that what belongs together stays so.
// Errors    a port that vanished is not an error here: receive() skips it, transmit() takes nothing.
// Not here  reasons and counters (worker), port set-up (io/dpdk).
#pragma once
#include <cstddef>
#include <span>

#include "dataplane/core/clock.h"
#include "dataplane/core/frame.h"

namespace penstock::io {

inline constexpr std::size_t kBurstMax = 32;
/// Free octets in front of a frame that allocate() made.
inline constexpr std::uint16_t kMadeHeadroom = 128;

class PacketIo {
 public:
  virtual ~PacketIo() = default;
  /// Fills `into` from the front with frames of one or more ports and returns how many; 0 when nothing waits.
  /// The slots written to must be empty. Ports are served in turn so that none starves.
  [[nodiscard]] virtual std::size_t receive(std::span<Frame> into) = 0;
  /// Sends frames by `port`. Returns how many were taken, from the front; the rest stay the caller's. A port that cuts
  /// takes TCP segments larger than its MTU allows, whose pieces are then as large as it does allow, and partial
  /// checksums (kPartialSumOctetsMin).
  [[nodiscard]] virtual std::size_t transmit(PortIndex port, std::span<Frame> frames) = 0;
  /// Gives buffers back.
  virtual void drop(std::span<Frame> frames) = 0;
  /// Fills `into` from the front with empty frames (0 octets, kMadeHeadroom in front, port kNoPort) and returns how
  /// many; 0 when no buffer is free, or when this device only plays back. The slots must be empty.
  [[nodiscard]] virtual std::size_t allocate(std::span<Frame> into) {
    static_cast<void>(into);
    return 0;
  }
  /// A second owner of `buffer`'s device buffer: it is free again only after both were transmitted or dropped.
  /// Not live when this device cannot share.
  [[nodiscard]] virtual Frame share(const RawFrame& buffer) {
    static_cast<void>(buffer);
    return Frame{};
  }
  /// True when nobody but the caller owns the device buffer, so that it may be written.
  [[nodiscard]] virtual bool is_sole_owner(const RawFrame& buffer) const {
    static_cast<void>(buffer);
    return true;
  }
  /// True when this worker owns a transmit queue of `port`; if not, another worker's io must send.
  [[nodiscard]] virtual bool can_transmit(PortIndex port) const = 0;
  /// Sleeps until a frame may be waiting, wake() is called, or `at_most` has passed.
  virtual void wait(Duration at_most) = 0;
  /// Sleeps for `duration` whatever arrives meanwhile, so that frames gather; wake() ends it.
  virtual void rest(Duration duration) { wait(duration); }
  /// Ends a wait() or rest() early. The one call that other threads may make.
  virtual void wake() = 0;
};

}  // namespace penstock::io
