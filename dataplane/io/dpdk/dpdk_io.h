// dpdk_io.h - one worker's queues of all ports, by DPDK.
//
// Model     the worker polls the queues of its current QueueSet; the control thread posts a new set and the worker
//           adopts it at the start of receive() or wait(), between bursts, so no lock is on the path. What the old
//           set had may be closed once adopted() is true.
// Threads   PacketIo calls: the worker. post(), adopted(), event_fd(): the control thread. wake(): anybody.
// Trains    segments of one stream that stand next to each other in a burst leave as one (train.h), and so does one
//           above the MTU. What the kernel does not take so is cut here; what is no segment leaves as it is.
// Shape     an mbuf and its Frame are the same buffer; nothing is copied.
// Not here  opening devices (dpdk_port.h), who has which queue (port_table.h).
#pragma once
#include <poll.h>

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "bpf/abi/steer.h"
#include "dataplane/core/fd.h"
#include "dataplane/io/packet_io.h"

struct rte_mempool;

namespace penstock::io {

class LargeReceiver;

inline constexpr std::uint16_t kNoDevice = 0xffff;

/// The queues of one worker; made by the control thread, then the worker's.
struct QueueSet {
  struct Receive {
    std::uint16_t device{};
    PortIndex port{};
    LargeReceiver* large{};  ///< in the driver's place
  };
  std::vector<Receive> receive;
  std::array<std::uint16_t, PENSTOCK_PORT_MAX> transmit;  ///< device by port, kNoDevice = not this worker's
  std::array<int, PENSTOCK_PORT_MAX> trains;              ///< socket for trains by port (train_socket.h), -1: none
  std::array<std::uint16_t, PENSTOCK_PORT_MAX> mtus{};    ///< by port
  std::vector<pollfd> polled;                             ///< [0] is the io's own eventfd
  rte_mempool* pool{};  ///< where allocate() takes buffers; none before there are ports
};

class DpdkIo final : public PacketIo {
 public:
  DpdkIo();
  ~DpdkIo() override;

  [[nodiscard]] std::size_t receive(std::span<Frame> into) override;
  [[nodiscard]] std::size_t transmit(PortIndex port, std::span<Frame> frames) override;
  void drop(std::span<Frame> frames) override;
  [[nodiscard]] std::size_t allocate(std::span<Frame> into) override;
  [[nodiscard]] Frame share(const RawFrame& buffer) override;
  [[nodiscard]] bool is_sole_owner(const RawFrame& buffer) const override;
  [[nodiscard]] bool can_transmit(PortIndex port) const override;
  void wait(Duration at_most) override;
  void rest(Duration duration) override;
  void wake() override;

  /// Hands a new set to the worker and wakes it. The previous post must have been adopted.
  void post(std::unique_ptr<QueueSet> set);
  /// True when the worker uses the set that was posted last.
  [[nodiscard]] bool adopted() const;
  /// Adopts on behalf of a worker that is not running.
  void adopt();
  /// Written by whoever wakes this worker (wake(), and the daemon when it has answered).
  [[nodiscard]] int event_fd() const { return event_.get(); }

 private:
  [[nodiscard]] std::size_t transmit_single(std::uint16_t device, std::span<Frame> frames);
  enum class Cut : std::uint8_t { sent, refused, full };
  /// Sends a segment above the MTU in pieces of ours. `refused`: it is none; `full`: no room; nothing has changed then.
  [[nodiscard]] Cut transmit_cut(std::uint16_t device, Frame& frame, std::size_t mtu);
  /// Sleeps on the first `count` of what is polled; true when something happened.
  bool poll(std::size_t count, Duration at_most);

  Fd event_;
  QueueSet* current_;                  // worker's
  std::size_t cursor_{};               // worker's: queue to poll next
  std::atomic<QueueSet*> posted_{};    // what the worker should use
  std::atomic<QueueSet*> in_use_{};    // what the worker uses
  std::unique_ptr<QueueSet> newest_;   // control thread's ownership of posted_
  std::unique_ptr<QueueSet> retired_;  // of the one before
};

}  // namespace penstock::io
