// dpdk_port.h - one network interface as queues that workers poll.
//
// Model     one AF_XDP device of DPDK per receive queue, all with the process's pool; our sockets go into the
//           xsks_map of the program that is already attached. Control thread only; workers see queues through
//           QueueSet (dpdk_io.h).
// Errors    add() undoes everything on failure and never touches another port. remove() works when the interface
//           is gone already, and gives back every buffer the queues held.
// Limits    kDeviceMax queues of all ports together (DPDK's RTE_MAX_ETHPORTS).
// Not here  who polls (port_table.h).
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataplane/core/fd.h"
#include "dataplane/core/frame.h"
#include "dataplane/core/result.h"
#include "dataplane/io/dpdk/large_receiver.h"
#include "dataplane/io/dpdk/runtime.h"

namespace penstock::io {

inline constexpr std::size_t kDeviceMax = 32;

struct PortOptions {
  PortIndex index{kNoPort};
  std::string name;
  unsigned ifindex{};
  Fd netns;  ///< none: our own
  unsigned queues{1};
  unsigned mtu{1500};
  bool large_frames{};      ///< frames of several buffers arrive (large_receiver.h)
  bool verify_checksums{};  ///< the worker verifies what arrives
};

/// What the kernel counted for the sockets of a port.
struct PortStats {
  std::uint64_t rx_dropped{};     ///< frame longer than a buffer, no room, or a large frame that cannot be cut
  std::uint64_t rx_ring_full{};   ///< worker too slow
  std::uint64_t rx_fill_empty{};  ///< no buffer was free
  std::uint64_t rx_invalid{};
  std::uint64_t tx_invalid{};
};

class DpdkPort {
 public:
  struct Queue {
    std::uint16_t device{};  ///< DPDK's port id
    int fd{-1};              ///< AF_XDP socket, for poll()
    LargeReceiver* large{};  ///< receives in the driver's place; none: the driver does
  };
  [[nodiscard]] static Result<std::unique_ptr<DpdkPort>> add(DpdkRuntime& runtime, PortOptions options);
  /// Closes the queues. No worker may use them any more.
  ~DpdkPort();
  DpdkPort(const DpdkPort&) = delete;
  DpdkPort& operator=(const DpdkPort&) = delete;

  [[nodiscard]] const PortOptions& options() const { return options_; }
  [[nodiscard]] std::span<const Queue> queues() const { return queues_; }
  /// Sends trains (train_socket.h); -1 when the kernel has no such socket for us.
  [[nodiscard]] int train_socket() const { return train_socket_.get(); }
  [[nodiscard]] PortStats stats() const;
  /// Frames that the receive ring of each queue holds.
  [[nodiscard]] std::size_t receive_ring() const { return ring_; }

 private:
  struct Device;
  DpdkPort(DpdkRuntime& runtime, PortOptions options);
  [[nodiscard]] Status open();
  [[nodiscard]] Status open_queue(unsigned queue);
  void close();

  DpdkRuntime& runtime_;
  std::size_t ring_{};  ///< frames that each queue's receive ring holds
  PortOptions options_;
  Fd map_;
  Fd train_socket_;
  std::vector<Queue> queues_;
  std::vector<std::unique_ptr<Device>> devices_;
};

}  // namespace penstock::io
