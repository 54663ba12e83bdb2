#include "dataplane/worker/worker.h"

#include "dataplane/worker/worker_state.h"

namespace penstock::worker {

Worker::State::State(const WorkerConfig& c, const WorkerWiring& wiring)
    : config{c},
      io{*wiring.io},
      block{*wiring.block},
      counters{wiring.block->counters},
      views{*wiring.views},
      mesh{wiring.handoff},
      doorbell{wiring.question_doorbell},
      view{&empty_view},
      table{wiring.flow_arena,
            {.worker = c.index, .worker_count = c.worker_count, .boot_epoch = c.boot_epoch, .seed = c.seed}},
      wheel{table, CoarseMs{}},
      parked{c.parked_max, c.seed[1]},
      decisions{c.decision_cache_slots, c.seed[0]},
      source_ports{c.seed[0] ^ c.index},
      relay{{.pairs_max = c.proxy_connections_max,
             .lent_max = c.lent_max,
             .arrival_frames = c.receive_ring / 2,
             .splices_max = c.splices_max,
             .rests_before_splice = c.rests_before_splice},
            relay::derive_secrets(c.seed),
            table,
            *this,
            wiring.block->counters.proxy,
            wiring.connection_arena,
            Instant{}},
      access_log{wiring.block->access_control, wiring.block->access, wiring.block->counters.http},
      http{{.connections_max = c.proxy_connections_max, .upstreams_max = c.proxy_connections_max},
           http_legs,
           wiring.block->counters,
           c.seed[0] ^ (c.seed[1] * (c.index + 1u))},  // of each worker its own: numbers of requests are unique
      forwards{wiring.forwards, c.index, table.capacity(), static_cast<std::uint32_t>(c.seed[1] >> 32)},
      forward_doorbell{wiring.forward_doorbell},
      questions{wiring.block->question_control, wiring.block->questions},
      http_questions{wiring.block->http_question_control, wiring.block->http_questions},
      answers{wiring.block->answer_control, wiring.block->answers} {
  require(c.worker_count >= 1 && c.worker_count <= control::kWorkerMax && c.index < c.worker_count,
          "worker index or count out of range");
  require(c.worker_count == 1 || (mesh != nullptr && mesh->worker_count() == c.worker_count), "no hand-off rings");
  for (std::size_t w = 0; w < c.worker_count && c.worker_count > 1; ++w) {
    if (w == c.index) continue;
    handoff_to[w] = mesh->ring(c.index, w);
    handoff_from[w] = mesh->ring(w, c.index);
  }
  relay.set_application(&http_legs);
  http.log_to(&access_log);
  http.date_by(&wall_offset_ns);
  http.ask_by(&http_questions, config.index);
  counters.flows_capacity.set(table.capacity());
}

void Worker::State::process(Burst& b) {
  stage_parse(b);
  if (b.transports != 0) {
    stage_flow(b);
    stage_l4(b);
    sweep_wanted = true;
  }
  for (std::size_t o = 0; o < b.other_count; ++o) side_traffic(b.frames[b.others[o]], b.infos[b.others[o]], b.handed);
}

/// While bursts come full there is more: what follows joins what the proxied connections send in this round, so that a
/// message leaves as one and is acknowledged as one. Frames of other workers are taken as often, or their rings fill.
bool Worker::State::receive_bursts() {
  arrived = 0;
  std::size_t from_others = 0, others = 0;
  for (std::size_t n = 0; n < kBurstsPerRound; ++n) {
    burst.count = io.receive(burst.frames);
    if (burst.count != 0) {
      arrived += burst.count;
      counters.bursts.add();
      counters.frames.add(burst.count);
      process(burst);
    }
    if (config.worker_count > 1) from_others += others = receive_handoffs();
    if (burst.count < kBurstMax && others < kBurstMax) break;
  }
  if (arrived == 0) counters.empty_polls.add();
  return arrived + from_others != 0;
}

bool Worker::State::round(Instant at) {
  now = at;
  now_ms = CoarseMs::of(at);
  relay.begin_round(at);
  http.begin_round(at);
  adopt_view();
  counters.polls.add();
  bool worked = receive_bursts();
  worked |= housekeeping();
  worked |= relay.flush();
  worked |= out_count != 0;
  stage_transmit();
  publish_rings();
  return worked;
}

Worker::Worker(const WorkerConfig& config, const WorkerWiring& wiring)
    : state_{std::make_unique<State>(config, wiring)} {
  state_->handed.handed = true;
}
Worker::~Worker() = default;

RestoreReport Worker::restore(ByteView old_arena, Instant now) {
  RestoreReport report;
  const auto arena = flow::ArenaView::open(old_arena);
  if (!arena) return report;
  state_->now = now;
  state_->now_ms = CoarseMs::of(now);
  flow::FlowRecord record;
  for (std::uint32_t i = 0; i < arena->high_water(); ++i) {
    switch (arena->read(i, record)) {
      case flow::ArenaView::Read::unused:
        break;
      case flow::ArenaView::Read::torn:
        ++report.torn;
        break;
      case flow::ArenaView::Read::valid:
        static_cast<void>(state_->restore_one(record, report));
        break;
    }
  }
  return report;
}

bool Worker::step(Instant now) { return state_->round(now); }

void Worker::drain() {
  State& s = *state_;
  while (flow::ParkedFlow* const entry = s.parked.any()) s.resolve(*entry, false, DropReason::stopping);
  for (std::size_t w = 0; w < s.config.worker_count && s.config.worker_count > 1; ++w) {
    if (w == s.config.index) continue;
    HandoffItem item;
    while (s.handoff_from[w].pop(item)) {
      Frame frame{item.frame};
      s.drop_frame(frame, DropReason::stopping);
    }
  }
  s.relay.close_all();
  s.stage_transmit();
}

void Worker::set_heartbeat(std::atomic<std::uint64_t>* slot) {
  state_->heartbeat.store(slot, std::memory_order_release);
}

void Worker::set_wall_offset(std::int64_t ns) { state_->wall_offset_ns.store(ns, std::memory_order_relaxed); }

Instant Worker::next_deadline() const { return state_->next_deadline(); }
std::uint32_t Worker::flow_count() const { return state_->table.size(); }
const proxy::HttpProxy& Worker::http() const { return state_->http; }
const relay::Relay& Worker::relay() const { return state_->relay; }

}  // namespace penstock::worker
