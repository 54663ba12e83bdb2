// pcap_worker.h - runs a worker over a capture file.
#pragma once
#include <cstdint>
#include <string>

#include "dataplane/control/segment.h"
#include "dataplane/core/result.h"
#include "dataplane/worker/worker_view.h"

namespace penstock::sim {

struct PcapReport {
  std::uint64_t received{}, transmitted{}, dropped{}, skipped{};
};

/// Plays `input` from `port` through one worker that forwards by `view`, in the capture's own time; what it sends goes
/// to `output`. Counters go to `block`.
[[nodiscard]] Result<PcapReport> run_pcap(const std::string& input, const std::string& output, PortIndex port,
                                          std::unique_ptr<worker::WorkerView> view, control::WorkerBlock& block);

}  // namespace penstock::sim
