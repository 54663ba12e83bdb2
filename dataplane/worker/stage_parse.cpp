// stage_parse: frames become PacketInfo, or are refused with a reason.
#include "dataplane/l4/verify.h"
#include "dataplane/worker/worker_state.h"

namespace penstock::worker {
namespace {

constexpr std::size_t kPrefetchAhead = 4;  // frames; fewer hides too little, more is evicted again (worker_bench)

void count_rx(control::WorkerCounters& counters, const RxTally& tally) {
  if (tally.frames == 0 || tally.port >= control::kPortMax) return;
  counters.ports[tally.port].rx_frames.add(tally.frames);
  counters.ports[tally.port].rx_octets.add(tally.octets);
}

}  // namespace

void Worker::State::stage_parse(Burst& b) {
  b.transports = b.other_count = 0;
  RxTally tally;
  const WorkerPort* port = nullptr;
  for (std::size_t i = 0; i < b.count; ++i) {
    if (i + kPrefetchAhead < b.count) __builtin_prefetch(b.frames[i + kPrefetchAhead].bytes().data());
    Frame& frame = b.frames[i];
    if (frame.port() != tally.port || i == 0) [[unlikely]] {
      if (!b.handed) count_rx(counters, tally);
      tally = {frame.port(), 0, 0};
      port = view->port(frame.port());
    }
    ++tally.frames;
    tally.octets += frame.octets();
    if (port == nullptr) [[unlikely]] {
      drop_frame(frame, DropReason::port_gone);
      continue;
    }
    wire::PacketInfo& info = b.infos[i];
    const DropReason refused = wire::parse_packet_into(frame.bytes(), info);
    if (refused != DropReason::none) [[unlikely]] {
      drop_frame(frame, refused);
      continue;
    }
    if (port->verify_checksums && !l4::checksums_valid(frame.bytes(), info)) [[unlikely]] {
      drop_frame(frame, DropReason::bad_checksum);
      continue;
    }
    if (info.kind != wire::PacketKind::transport) [[unlikely]] {
      b.others[b.other_count++] = static_cast<std::uint8_t>(i);
      continue;
    }
    b.at[b.transports++] = static_cast<std::uint8_t>(i);
    if (b.transports > 2) b.probes[b.transports - 3] = table.start(b.infos[b.at[b.transports - 3]]);
  }
  if (!b.handed) count_rx(counters, tally);
}

}  // namespace penstock::worker
