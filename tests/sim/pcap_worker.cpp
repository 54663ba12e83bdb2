#include "tests/sim/pcap_worker.h"

#include "dataplane/flow/test_arena.h"
#include "dataplane/io/pcap/pcap_io.h"
#include "dataplane/worker/worker.h"

namespace penstock::sim {

Result<PcapReport> run_pcap(const std::string& input, const std::string& output, PortIndex port,
                            std::unique_ptr<worker::WorkerView> view, control::WorkerBlock& block) {
  constexpr std::uint32_t kFlows = 65536;
  auto opened = io::PcapIo::open(input, output, port);
  if (!opened) return opened.error();
  io::PcapIo& io = **opened;
  const flow::TestArena arena{kFlows};
  worker::ViewExchange views;
  worker::ViewPublisher publisher{views, 1};
  publisher.publish(std::move(view));
  worker::Worker worker{{}, {.io = &io, .block = &block, .flow_arena = arena.bytes(), .views = &views}};
  while (!io.finished()) worker.step(io.time());
  worker.drain();
  PcapReport report{io.received(), io.transmitted(), 0, io.skipped()};
  for (const control::Counter& c : block.counters.drops) report.dropped += c.read();
  require(io.outstanding() == 0, "buffers are missing");
  return report;
}

}  // namespace penstock::sim
