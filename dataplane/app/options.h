// options.h - what penstock-dataplane is started with.
//
// Model     parse() turns arguments into Options; check() lists everything about them that cannot work here.
// Errors    all problems at once, each with a remedy.
// Not here  what the dataplane forwards: it learns that over the control socket.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/io/dpdk/runtime.h"

namespace penstock::app {

struct Options {
  std::string control_socket{"/run/penstock/dataplane.sock"};
  unsigned workers{1};
  std::vector<int> cpus;  ///< one per worker; empty = where the scheduler puts them
  std::size_t memory_mib{256};
  io::Hugepages hugepages{io::Hugepages::automatic};
  std::size_t buffers{16384};                   ///< per worker
  std::size_t receive_ring{io::kQueueBuffers};  ///< frames that a queue holds
  std::size_t flows{262144};                    ///< per worker
  std::size_t proxy_connections{16384};         ///< per worker

  [[nodiscard]] io::RuntimeOptions runtime() const {
    return {
        .hugepages = hugepages, .memory_mib = memory_mib, .buffers = buffers * workers, .receive_ring = receive_ring};
  }
};

struct ParsedOptions {
  std::optional<Options> options;
  int exit_code{};  ///< when there are none: --help, --version or a usage error was printed
};
[[nodiscard]] ParsedOptions parse_options(int argc, char** argv);

/// Everything that is wrong with `options` on this machine; empty when nothing.
[[nodiscard]] Problems check_options(const Options& options);

}  // namespace penstock::app
