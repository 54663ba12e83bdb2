// port_table.h - which ports there are, and which worker polls which queue.
//
// Model     worker w has the queues q of every port with q % workers == w. A change builds a new QueueSet for every
//           worker, posts it and waits until all have adopted it; only then is a removed port closed.
// Threads   control thread only.
// Errors    add() leaves the table as it was when it fails. remove() keeps the port when a worker does not let go
//           in time (it is stuck), because closing what it may be using would be worse.
#pragma once
#include <array>
#include <memory>
#include <vector>

#include "dataplane/io/dpdk/dpdk_io.h"
#include "dataplane/io/dpdk/dpdk_port.h"

namespace penstock::io {

class PortTable {
 public:
  /// One io per worker, in order; all outlive the table.
  PortTable(DpdkRuntime& runtime, std::vector<DpdkIo*> ios) : runtime_{runtime}, ios_{std::move(ios)} {}
  ~PortTable();

  /// With false, sets are adopted on behalf of the workers: their threads must not run.
  void set_workers_running(bool running) { workers_running_ = running; }
  [[nodiscard]] Status add(PortOptions options, Duration at_most = std::chrono::seconds{2});
  [[nodiscard]] Status remove(PortIndex index, Duration at_most = std::chrono::seconds{2});
  [[nodiscard]] const DpdkPort* find(PortIndex index) const;

 private:
  [[nodiscard]] Status distribute(Duration at_most);

  DpdkRuntime& runtime_;
  std::vector<DpdkIo*> ios_;
  std::array<std::unique_ptr<DpdkPort>, PENSTOCK_PORT_MAX> ports_;
  std::array<bool, PENSTOCK_PORT_MAX> hidden_{};  // being removed: in no queue set
  bool workers_running_{};
};

}  // namespace penstock::io
