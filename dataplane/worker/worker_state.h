// worker_state.h - everything a worker holds, and the stages that work on it. Private to dataplane/worker.
//
// Model     one burst at a time:
//             stage_parse     frames -> PacketInfo; refused ones are dropped
//             stage_flow      PacketInfo -> key -> lookup started (batched)
//             stage_l4        transport packets: lookup finished, state, new flows (new_flow.cpp), rewrite
//             side_traffic    ICMP, ARP, neighbour discovery, echo, probes
//             stage_transmit  out frames, grouped by port
//           then housekeeping: views, answers, parked deadlines, timers, folding of counters, at which hot flows sink
//           into the XDP program (sink.cpp).
// Rule      a frame handed to drop_frame(), enqueue(), send() or hand_off() is gone from the burst.
#pragma once
#include <array>
#include <cstdint>

#include "dataplane/control/segment.h"
#include "dataplane/flow/decision_cache.h"
#include "dataplane/flow/flow_table.h"
#include "dataplane/flow/parked.h"
#include "dataplane/flow/restore.h"
#include "dataplane/flow/source_port.h"
#include "dataplane/flow/timer_wheel.h"
#include "dataplane/l4/conntrack.h"
#include "dataplane/l4/icmp.h"
#include "dataplane/l4/rewrite.h"
#include "dataplane/relay/relay.h"
#include "dataplane/wire/packet_info.h"
#include "dataplane/worker/http_legs.h"
#include "dataplane/worker/token_bucket.h"
#include "dataplane/worker/worker.h"

namespace penstock::worker {

using control::FlowCold;
using control::FlowDirection;
using control::FlowState;
using flow::DirectionIndex;
using flow::FlowIndex;
using flow::FlowKey;
using io::kBurstMax;

inline constexpr std::uint32_t kTimersPerRound = 64;    ///< more delays the next burst by over 10 us
inline constexpr std::uint32_t kTimersWhenFull = 1024;  ///< a full table looks harder, at most once a millisecond
inline constexpr std::uint32_t kFoldsPerRound = 64;
inline constexpr std::uint32_t kFoldPeriodMs = 500;     ///< counters of a flow are at most this old, plus one sweep
inline constexpr std::uint32_t kForwardsPerRound = 32;  ///< pairs of slots, two lines of each written by other cores
inline constexpr std::uint32_t kAnswersPerRound = 64;
inline constexpr std::uint32_t kProxiedLookMs = 60'000;  ///< the flow timer of a proxied connection has nothing to do
inline constexpr std::size_t kOutMax = 4 * kBurstMax;
/// Full bursts taken before what they caused is sent; more would delay the first frame by over 20 us.
inline constexpr std::size_t kBurstsPerRound = 4;

struct Burst {
  std::array<Frame, kBurstMax> frames;
  std::array<wire::PacketInfo, kBurstMax> infos;
  std::size_t count{};
  bool handed{};  ///< came over a hand-off ring: is never handed on
  // Transport packets, in order of arrival: position in `frames`, lookup under way.
  std::array<std::uint8_t, kBurstMax> at;
  std::array<flow::FlowTable::Probe, kBurstMax> probes;
  std::size_t transports{};
  std::uint32_t erasures{};  ///< of the table when the lookups began
  // Everything else.
  std::array<std::uint8_t, kBurstMax> others;
  std::size_t other_count{};
};

/// Counter sums of one burst: written to shared memory once per port in a row.
struct RxTally {
  PortIndex port{kNoPort};
  std::uint32_t frames{};
  std::uint32_t octets{};
};

struct Worker::State final : private relay::Host {
  State(const WorkerConfig& config, const WorkerWiring& wiring);

  // One round.
  bool round(Instant now);
  /// True when there were frames.
  [[nodiscard]] bool receive_bursts();
  void process(Burst& burst);
  /// How many frames of other workers were taken.
  std::size_t receive_handoffs();

  // Stages.
  void stage_parse(Burst& burst);
  void stage_flow(Burst& burst);
  void stage_l4(Burst& burst);
  void stage_l4_proxy(Burst& burst);
  void stage_transmit();
  void side_traffic(Frame& frame, const wire::PacketInfo& info, bool handed_over);
  void icmp_error(Frame& frame, const wire::PacketInfo& info, bool handed_over);

  // terminate.cpp: connections that end here
  void terminate(Frame& frame, const wire::PacketInfo& info, const FlowKey& key, DirectionIndex d);
  void terminate_error(Frame& frame, const wire::PacketInfo& info, const l4::QuotedPacket& quoted, DirectionIndex d);
  void open_http(Frame& frame, const wire::PacketInfo& info, const FlowKey& key,
                 const control::ListenerRecord& listener, const tcp::CookieGrant* grant);
  [[nodiscard]] FlowIndex make_leg_flow(const FlowKey& forward, const FlowKey& reverse, std::uint8_t kind,
                                        PortIndex port);
  void commit_leg_flow(FlowIndex flow);
  void open_proxied(Frame& frame, const wire::PacketInfo& info, const FlowKey& key,
                    const control::ListenerRecord& listener, const tcp::CookieGrant* grant);

  // splice.cpp: proxied connections that have sunk
  void begin_splice(FlowIndex flow);
  void forward_spliced(Frame& frame, const wire::PacketInfo& info, const FlowKey& key, DirectionIndex d);
  [[nodiscard]] bool track_splice(const wire::PacketInfo& info, DirectionIndex d);
  [[nodiscard]] std::uint32_t splice_timeout_ms(FlowIndex flow);
  [[nodiscard]] bool translate_quote(Frame& frame, const wire::PacketInfo& info, const l4::QuotedPacket& quoted,
                                     DirectionIndex d);

  // What the relay asks for (relay/host.h).
  [[nodiscard]] std::size_t allocate(std::span<Frame> into) override { return io.allocate(into); }
  [[nodiscard]] Frame share(const RawFrame& buffer) override { return io.share(buffer); }
  [[nodiscard]] bool is_sole_owner(const RawFrame& buffer) const override { return io.is_sole_owner(buffer); }
  [[nodiscard]] bool cuts(PortIndex port) const override {
    const WorkerPort* const there = view->port(port);
    return there != nullptr && there->cuts;
  }
  void give_back(Frame& frame) override;
  [[nodiscard]] bool path(FlowIndex flow, relay::Side side, control::NextHop& into) override;
  [[nodiscard]] bool still_listens(FlowIndex flow) override;
  void lingers(FlowIndex flow) override;
  void ended(FlowIndex flow) override;

  // stage_l4.cpp
  void forward_known(Frame& frame, const wire::PacketInfo& info, DirectionIndex d);
  void forward_inline(Frame& frame, const wire::PacketInfo& info, DirectionIndex d);
  /// Moves the flow's state machine. On `restart` the flow is erased.
  [[nodiscard]] l4::FlowAction track(const wire::PacketInfo& info, DirectionIndex d);
  [[nodiscard]] const control::NextHop* next_hop_of(FlowDirection& forward, const FlowDirection& reverse) const {
    // A restored flow does not know the index that its endpoint has in this process.
    if (forward.next_hop == control::kNoNextHop) [[unlikely]]
      forward.next_hop = view->find_next_hop(control::source_of(reverse));
    return view->next_hop(forward.next_hop);
  }
  void too_big(Frame& frame, const wire::PacketInfo& info, DirectionIndex d, std::uint16_t mtu);

  // new_flow.cpp
  void handle_unknown(Frame& frame, const wire::PacketInfo& info, const FlowKey& key, bool handed_over);
  void open_flow(Frame& frame, const wire::PacketInfo& info, const FlowKey& key,
                 const control::ListenerRecord& listener);
  /// Where a new flow goes; a reason when it cannot go anywhere.
  struct Destination {
    const control::EndpointRecord* endpoint{};
    control::NextHopIndex next_hop{};
    FlowKey reverse;
  };
  [[nodiscard]] DropReason choose_destination(const FlowKey& key, const control::ListenerRecord& listener,
                                              Destination& into);
  /// A committed record, armed and counted; kNoFlow when there is no room.
  [[nodiscard]] FlowIndex make_flow(const Frame& frame, const wire::PacketInfo& info, const FlowKey& key,
                                    const control::ListenerRecord& listener, const Destination& to);
  [[nodiscard]] DropReason choose_reverse(const control::ListenerRecord& listener, const control::EndpointRecord& to,
                                          const FlowKey& key, FlowKey& reverse);
  [[nodiscard]] FlowIndex take_record(const FlowKey& key, const FlowKey& reverse);
  void refuse_segment(Frame& frame, const wire::PacketInfo& info);

  // policy.cpp
  enum class Admission : std::uint8_t { admitted, taken };
  [[nodiscard]] Admission admit(Frame& frame, const wire::PacketInfo& info, const FlowKey& key,
                                const control::ListenerRecord& listener);
  [[nodiscard]] Admission ask(Frame& frame, const FlowKey& key, const control::ListenerRecord& listener);
  void take_answers();
  void expire_parked();
  void resolve(flow::ParkedFlow& parked, bool allow, DropReason reason);
  void resume(Frame& frame);

  // housekeeping.cpp
  void adopt_view();
  [[nodiscard]] bool housekeeping();
  [[nodiscard]] Instant next_deadline() const;
  void beat();
  void timer_fired(FlowIndex flow);
  void arm(FlowIndex flow);
  [[nodiscard]] CoarseMs deadline_of(FlowIndex flow);
  /// Ends a flow that is off the wheel.
  void close_flow(FlowIndex flow, control::Counter& kind);
  /// Ends a flow that is armed.
  void close_armed(FlowIndex flow, control::Counter& kind) {
    wheel.disarm(flow);
    close_flow(flow, kind);
  }
  void fold(FlowIndex flow);
  [[nodiscard]] bool sweep();
  [[nodiscard]] std::uint32_t until_sweep(CoarseMs last) const;
  /// Counter slots of a flow: listener and endpoint; a leg alone has one of them.
  [[nodiscard]] std::span<const std::uint32_t> slots_of(FlowIndex flow);
  /// From here on send() gets packets of this direction.
  void begin_sending(DirectionIndex direction, std::uint8_t flags, std::size_t link_octets);
  void start_gauges(FlowIndex flow);
  void stop_gauges(FlowIndex flow);
  [[nodiscard]] bool restore_one(const flow::FlowRecord& record, RestoreReport& report);

  // sink.cpp: tier X
  /// Gives a hot flow to the XDP program, if it is one that may go there.
  void sink(FlowIndex flow);
  /// Takes it back; without effect on any other flow.
  void lift(FlowIndex flow) {
    if ((table.forward(flow).flags & control::kFlowForwarded) != 0) [[unlikely]]
      lift_pair(forwards.pair_of(flow));
  }
  void lift_pair(PairIndex pair);
  [[nodiscard]] bool describe(FlowIndex flow, BothWays<penstock_forward_slot>& into);
  [[nodiscard]] bool lives(const Forwards::Pair& pair);
  void follow_end(FlowIndex flow, bool reverse, std::uint8_t flags);
  void fold_pair(PairIndex pair);
  void look_at(PairIndex pair);
  [[nodiscard]] bool sweep_forwards();
  void adopt_forwards();

  // stage_transmit.cpp
  /// A frame of the relay.
  void send(Frame& frame, PortIndex port) override {
    if (leg_sends != flow::kNoDirection) {
      FlowDirection& ours = table.direction(leg_sends);
      ++ours.packets;
      ours.octets += frame.octets() - leg_link_octets;
      sweep_wanted = true;
    }
    enqueue(frame, port);
  }
  void enqueue(Frame& frame, PortIndex port) {
    if (out_count == out.size()) [[unlikely]]
      stage_transmit();
    Frame& slot = out[out_count++];
    slot = std::move(frame);
    slot.set_port(port);  // after the move: a narrow store in front of its wide load would stall it
  }
  void drop_frame(Frame& frame, DropReason reason);
  void hand_off(Frame& frame, std::uint32_t to, HandoffKind kind);
  /// Sends everything in `frames`, each by its own port(). All are gone afterwards.
  void flush(std::span<Frame> frames, bool may_hand_off);
  void send_group(PortIndex port, std::span<Frame> frames, bool may_hand_off);
  void return_dropped();
  void publish_rings();
  /// Tells every producer that this worker is about to sleep; false when something has arrived meanwhile.
  [[nodiscard]] bool prepare_sleep();
  void awake();

  const WorkerConfig config;
  io::PacketIo& io;
  control::WorkerBlock& block;
  control::WorkerCounters& counters;
  ViewExchange& views;
  HandoffMesh* const mesh;
  Doorbell* const doorbell;

  Instant now{};
  CoarseMs now_ms{};
  const WorkerView* view;
  WorkerView empty_view;  ///< until the first one is published
  std::uint64_t content_hash{};
  const HttpView* adopted_http{};
  std::array<std::uint32_t, l4::kFlowStateCount> timeout_ms{};
  std::array<IpAddress, control::kNodeAddressMax> node_v4{}, node_v6{};
  std::size_t node_v4_count{}, node_v6_count{};
  std::array<std::uint16_t, control::kPortMax> transmitter{};  ///< worker that owns a transmit queue of the port

  flow::FlowTable table;
  flow::TimerWheel wheel;
  flow::ParkedFlows parked;
  flow::DecisionCache decisions;
  flow::SourcePorts source_ports;
  relay::Relay relay;
  HttpLegs http_legs{*this};
  proxy::AccessLog access_log;
  proxy::HttpProxy http;
  TokenBucket reset_tokens{kAnswersPerSecond, kAnswersBurst};
  TokenBucket icmp_tokens{kAnswersPerSecond, kAnswersBurst};

  Forwards forwards;
  Doorbell* const forward_doorbell;
  PairIndex pair_at{};  ///< next pair to look at; at high water: no sweep of pairs under way
  CoarseMs pairs_started{};
  bool pairs_due{};          ///< a sweep of pairs begins without waiting for its time
  bool listeners_forward{};  ///< one of them at least

  SpscRing<control::Question> questions;
  SpscRing<control::HttpQuestion> http_questions;
  SpscRing<control::Answer> answers;
  std::array<HandoffRing, control::kWorkerMax> handoff_to, handoff_from;

  Burst burst;
  std::size_t arrived{};  ///< frames of this round's bursts
  Burst handed;           ///< frames from other workers
  std::array<Frame, kOutMax> out;
  std::size_t out_count{};
  std::array<Frame, kOutMax> group;    ///< scratch of flush()
  std::array<Frame, kOutMax> dropped;  ///< to be given back at once
  std::size_t dropped_count{};

  // Whose packets the relay sends. A leg alone has a direction that nobody sends to us: what we send counts there. Of a
  // pair of legs each direction counts what came in.
  DirectionIndex leg_sends{flow::kNoDirection};
  std::uint32_t leg_link_octets{};

  std::uint32_t sweep_at{};  ///< next record to fold; at high water: no sweep under way
  CoarseMs sweep_started{};
  bool sweep_wanted{};     ///< packets were counted since the last sweep began
  CoarseMs full_search{};  ///< when a full table was last searched for flows that are due
  std::atomic<std::atomic<std::uint64_t>*> heartbeat{};
  std::atomic<std::int64_t> wall_offset_ns{};
  Instant last_beat{};
};

}  // namespace penstock::worker
