// relay.h - proxied TCP: terminates the client's connection, makes one to an endpoint, and moves octets between.
//
// Model     one Relay per worker, over one tcp::Engine. A pair of legs belongs to one flow record (forward direction:
//           the client's packets, reverse: the endpoint's). Segments go in by receive(); whatever may be sent
//           afterwards leaves in flush(), once per round, so that acknowledgements ride on data.
//
//               frame -> receive() -> engine(leg) -> deliver -> write or write_block(other leg)
//               flush() -> engine(leg).transmit -> headers in place, or a new frame -> Host::send()
//
// Flow      a leg's receive window is its budget less what its octets still occupy in the other leg's send queue
// control   (not acknowledged there), so a slow reader stops the writer and memory per pair is bounded. Those that send
//           share the receive ring: no leg is offered more than its share (arrival_share.h). The edge never
//           retreats. Under memory pressure budgets shrink, then new pairs are refused, then big idle ones reset.
// Payload   above kCopyBreakOctets it stays in its device buffer (lent to the send queue) and is sent from there with
//           headers written in front; at most RelayConfig::lent_max buffers are held so, the oldest are copied out.
// Closing   half-close is passed on behind the last octet; a reset, a timeout or an abort resets the other leg. A leg
//           that closed first leaves a TIME-WAIT record.
// Opening   the endpoint is dialled when the client's handshake is complete. Above half_open_max nothing is kept for a
//           SYN: SYN cookies.
// Threads   one. After the constructor nothing allocates, locks or throws.
// Errors    counted in control::ProxyCounters.
// Not here  choosing endpoints and source ports, flow records, devices (worker).
#pragma once
#include <array>
#include <optional>
#include <vector>

#include "dataplane/control/connection_layout.h"
#include "dataplane/control/segment.h"
#include "dataplane/relay/application.h"
#include "dataplane/relay/arrival_share.h"
#include "dataplane/relay/deadline_wheel.h"
#include "dataplane/relay/host.h"
#include "dataplane/relay/limits.h"
#include "dataplane/relay/splices.h"
#include "dataplane/relay/time_waits.h"
#include "dataplane/tcp/engine.h"
#include "dataplane/wire/packet_info.h"

namespace penstock::relay {

/// Keys for sequence numbers, timestamps and cookies from a process's random seed.
[[nodiscard]] tcp::Secrets derive_secrets(const std::array<std::uint64_t, 2>& seed);

enum class Taken : std::uint8_t {
  taken,   ///< the frame is gone
  orphan,  ///< a flow whose pair is not here (it died with its process): answer with a reset
  reopen   ///< the frame may begin a new connection; the flow record is erased
};

/// Why a pair at rest stays proxied.
enum class SpliceRefusal : std::uint8_t { none, options, mss, window, full };

class Relay {
 public:
  Relay(const RelayConfig& config, const tcp::Secrets& secrets, flow::FlowTable& table, Host& host,
        control::ProxyCounters& counters, ByteSpan record_arena, Instant now);
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  void configure(const RelaySettings& settings);
  /// Time of everything until the next call.
  void begin_round(Instant now) {
    now_ = now;
    now_ms_ = CoarseMs::of(now);
    for (ArrivalShare& share : shares_) share.begin_round(now_ms_);
  }

  // Opening.
  enum class Admission : std::uint8_t { open, cookie, refuse };
  /// What to do with a SYN that begins a connection.
  [[nodiscard]] Admission admission() const;
  /// Answers a SYN without keeping anything. The frame is gone.
  void send_cookie(Frame& frame, const wire::PacketInfo& info, std::uint16_t mtu);
  /// For a segment of no flow: what our cookie said, if it acknowledges one.
  [[nodiscard]] std::optional<tcp::CookieGrant> cookie_grant(const Frame& frame, const wire::PacketInfo& info);
  /// Cookies were sent lately: data of no flow may have overtaken the acknowledgement that proves one.
  [[nodiscard]] bool cookies_abroad() const { return cookies_used_; }
  /// Begins a pair on a committed flow record with the SYN in `frame`, or with the segment that acknowledged a cookie.
  /// The frame is gone. False when memory is short: the caller erases the flow.
  [[nodiscard]] bool open(flow::FlowIndex flow, Frame& frame, const wire::PacketInfo& info,
                          const std::array<std::uint16_t, 2>& mtu, const tcp::CookieGrant* grant,
                          Serving serving = Serving::pair);

  /// Before open() and receive(): is the checksum right? `verified`: the port checks itself. A partial one, as a local
  /// kernel leaves it on a veth, counts as right.
  [[nodiscard]] bool verify(const Frame& frame, const wire::PacketInfo& info, bool verified);

  // Traffic of flows marked kFlowProxy. The frame is gone only when `taken`.
  [[nodiscard]] Taken receive(flow::DirectionIndex direction, Frame& frame, const wire::PacketInfo& info);
  /// Fetches what receive() will touch.
  void prefetch(flow::DirectionIndex direction) const;
  /// A too-big message that quotes a segment which we sent towards the sender of `direction`'s packets.
  void too_big(flow::DirectionIndex direction, std::uint16_t mtu, SeqNum quoted);
  /// The flow record goes away for another reason (port take-over): nothing is sent.
  void forget(flow::FlowIndex flow);
  /// Resets every connection and gives every buffer back; for the end of the process.
  void close_all();
  [[nodiscard]] bool has(flow::FlowIndex flow) const { return of_flow_[flow] != 0; }
  /// Gives up the oldest TIME-WAIT record and its flow. False when there is none.
  bool evict_time_wait();

  // Spliced flows (relay_splice.cpp, splice.h).
  /// The pair of this flow may become a spliced flow.
  void allow_splice(flow::FlowIndex flow);
  /// Before receive(), for a verified frame. True: with it the pair came to rest and is gone, the flow is spliced, and
  /// the frame, unchanged, is the first to be translated.
  [[nodiscard]] bool sink(flow::DirectionIndex direction, const Frame& frame, const wire::PacketInfo& info);
  [[nodiscard]] bool spliced(flow::FlowIndex flow) const { return (of_flow_[flow] & kAnyBit) == kSpliceBit; }
  [[nodiscard]] SpliceDirection& splice(flow::DirectionIndex direction) {
    return splices_.direction(slot_of_splice(direction / 2), (direction & 1) != 0);
  }
  /// How long at least the record of a flow that is over must stay.
  [[nodiscard]] std::uint32_t splice_lingers_ms(flow::FlowIndex flow) const;
  [[nodiscard]] std::uint32_t splices() const { return splices_.size(); }

  // Served legs (application.h).
  void set_application(Application* application) { application_ = application; }
  /// A leg to an endpoint on a committed flow record; kNoLeg when memory is short: the caller erases the flow.
  [[nodiscard]] LegId dial_served(flow::FlowIndex flow, std::uint16_t mtu, std::uint32_t token);
  void attach(LegId leg, std::uint32_t token) { pairs_[leg].token = token; }
  /// The first octets of the inbox that lie side by side; valid until the next call for this leg.
  [[nodiscard]] ByteView front(LegId leg) const;
  [[nodiscard]] std::uint32_t inbox_octets(LegId leg) const { return pairs_[leg].inbox_octets; }
  void skip(LegId leg, std::uint32_t octets);
  /// Moves up to `octets` of front() to another leg's send queue; how many it took. Fewer: wait for kWritable.
  [[nodiscard]] std::uint32_t pass(LegId from, LegId to, std::uint32_t octets);
  /// All of it or, when false, nothing: wait for kWritable.
  [[nodiscard]] bool write(LegId to, ByteView bytes);
  /// Asks for kWritable although nothing was refused.
  void await_room(LegId leg);
  /// Payload octets that the peer has not acknowledged.
  [[nodiscard]] std::uint32_t queued(LegId leg) const;
  /// What one receives goes to the other: its window waits for the other's reader.
  void couple(LegId a, LegId b);
  void decouple(LegId leg);
  /// At that moment on_leg(expired), once.
  void set_deadline(LegId leg, CoarseMs at);
  /// A message has come whole, and the peer sends nothing before it gets one: what is owed to it may ride on that.
  void rest(LegId leg);
  void clear_deadline(LegId leg) { pairs_[leg].app_timed = false; }
  /// What was written is delivered, then the stream ends; what still comes is dropped. The application hears no more.
  void finish(LegId leg);
  void shut_down(LegId leg);
  void reset(LegId leg);
  [[nodiscard]] flow::FlowIndex flow_of(LegId leg) const { return pairs_[leg].flow; }

  // Time.
  /// Timers, memory pressure, records. True while there is more to do at once.
  bool housekeeping();
  /// Sends what the pairs touched since the last call have to send. True when some were left for the next round.
  bool flush();
  [[nodiscard]] Instant next_deadline() const;

  /// What an idle pair takes: itself, a reserved entry per leg, its flow (record, places of two keys), and its places
  /// on the wheel and in tables. A record that other processes may read comes on top.
  static constexpr std::size_t kOctetsPerPair = sizeof(Pair) + 2 * sizeof(tcp::Entry) + control::flow_arena_octets(1) -
                                                control::flow_arena_octets(0) + 32 + 16 + 5 * sizeof(std::uint32_t);
  static_assert(kOctetsPerPair < 1200);
  [[nodiscard]] std::uint32_t size() const { return size_; }
  [[nodiscard]] std::uint32_t time_waits() const { return time_waits_.size(); }
  /// Device buffers held: lent ones and spare frames.
  [[nodiscard]] std::uint32_t held_frames() const;
  [[nodiscard]] const tcp::Engine& engine() const { return engine_; }
  [[nodiscard]] const Pair* pair_of(flow::FlowIndex flow) const;
  /// Recomputes every sum; empty when all hold. For tests.
  [[nodiscard]] std::string_view audit() const;

 private:
  class PairDelivery;
  class InboxDelivery;
  /// The frame whose segment is being received, until it was lent.
  struct Current {
    Frame* frame{};
    const wire::PacketInfo* info{};
    const std::byte* data{};  ///< of its first octet
    tcp::Index lent{tcp::kNoIndex};
  };
  enum class Pressure : std::uint8_t { none, clamp, refuse, shed };
  static constexpr std::uint32_t kTimeWaitBit = 1u << 31;
  static constexpr std::uint32_t kSpliceBit = 1u << 30;
  static constexpr std::uint32_t kAnyBit = kTimeWaitBit | kSpliceBit;

  // relay.cpp
  [[nodiscard]] PairIndex acquire(flow::FlowIndex flow);
  void release(PairIndex index);
  void touch(PairIndex index);
  void dial(Pair& pair);
  void connected(Pair& pair, Side side);
  void after(PairIndex index, Side side, tcp::Events events);
  void broken(Pair& pair, Side side, tcp::Events events);
  void reset_both(Pair& pair);
  void settle_windows(Pair& pair);
  void settle_share(Pair& pair, Side side);
  void make_room(Pair& pair, Side side);
  [[nodiscard]] std::uint32_t budget_mark(const Pair& pair) const;
  [[nodiscard]] std::uint32_t first_window(Side side, std::uint32_t segment_octets) const;
  [[nodiscard]] std::uint32_t first_window(const Pair& pair, Side side, bool v4) const;
  [[nodiscard]] std::uint32_t budget_of(const Pair& pair, Side side) const;
  [[nodiscard]] bool leg_is_over(const Pair& pair, Side side) const;
  void keep_time_wait(Pair& pair, Side side);
  void keep_cookie_record(Pair& pair);
  bool end_if_over(PairIndex index);
  [[nodiscard]] TimeWaits::Slot time_wait_slot(Pair& pair);
  void drop_time_wait(TimeWaits::Slot slot);
  [[nodiscard]] tcp::ConnectionKey key_of(flow::FlowIndex flow, Side side) const;

  // relay_receive.cpp
  [[nodiscard]] bool has_room(const Pair& pair, Side side, std::size_t octets) const;
  [[nodiscard]] Taken receive_time_wait(TimeWaits::Slot slot, Side side, Frame& frame, const wire::PacketInfo& info,
                                        bool pair_is_over);
  void answer(Frame& frame, const wire::PacketInfo& info, const tcp::SegmentOut& segment);
  void consumed(Frame& frame);

  // relay_splice.cpp
  [[nodiscard]] SpliceRefusal refusal(const tcp::Endpoint& from, const tcp::Endpoint& to,
                                      const tcp::SegmentIn& segment) const;
  void begin_splice(PairIndex index, Side side, const tcp::SegmentIn& segment);
  void end_splice(flow::FlowIndex flow);
  void reset_splices();
  void reset_spliced_end(Splices::Slot slot, Side side);
  [[nodiscard]] Splices::Slot slot_of_splice(flow::FlowIndex flow) const { return (of_flow_[flow] & ~kSpliceBit) - 1; }

  // relay_served.cpp
  [[nodiscard]] tcp::Events receive_served(PairIndex index, Frame& frame, const wire::PacketInfo& info,
                                           const tcp::SegmentIn& segment);
  void after_served(PairIndex index, tcp::Events events);
  void served_lost(PairIndex index);
  void served_expired(PairIndex index);
  void tell(PairIndex index, LegEvents events);
  void reset_any(PairIndex index);
  void settle_served(Pair& pair);
  [[nodiscard]] bool joins_last(const tcp::Endpoint& leg, std::uint32_t octets) const;
  void append_inbox(Pair& pair, const tcp::Piece& piece);
  void hold_current(Pair& pair);
  [[nodiscard]] bool hold_small(Pair& pair, tcp::Index before, tcp::Index at, ByteView bytes);
  [[nodiscard]] bool lend_current();
  void drop_inbox(Pair& pair);
  [[nodiscard]] ByteView inbox_bytes(tcp::Index at) const;

  // relay_transmit.cpp
  enum class Turn : std::uint8_t { done, more, blocked };
  [[nodiscard]] Turn turn(Pair& pair);
  [[nodiscard]] Turn send_leg(Pair& pair, Side side);
  void send_segment(const control::NextHop& path, const tcp::ConnectionKey& key, tcp::SegmentOut& segment);
  [[nodiscard]] Frame in_place_frame(const tcp::SegmentOut& segment, std::size_t header_octets);
  [[nodiscard]] Frame take_spare();
  [[nodiscard]] bool refill_spares();
  void keep_spare(Frame& frame);
  void return_lent();

  // relay_time.cpp
  void timer_fired(PairIndex index);
  void arm(PairIndex index, const Pair& pair, bool blocked);
  [[nodiscard]] Pressure pressure() const;
  void relieve();
  void shed_one();
  [[nodiscard]] bool publish_records();
  [[nodiscard]] bool recheck_listeners();
  void publish_gauges();

  // relay_record.cpp
  void write_record(PairIndex index);

  const RelayConfig config_;
  RelaySettings settings_;
  flow::FlowTable& table_;
  Host& host_;
  control::ProxyCounters& counters_;
  tcp::Secrets secrets_;
  tcp::Pools pools_;
  tcp::Engine engine_;

  Application* application_{};
  Current current_;
  Instant now_{};
  CoarseMs now_ms_{};
  ZeroedArray<Pair> pairs_;
  /// 0, pair + 1, time-wait slot + 1 with kTimeWaitBit, or splice slot + 1 with kSpliceBit
  ZeroedArray<std::uint32_t> of_flow_;
  ZeroedArray<TimeWaits::Slot> slot_of_pair_;  ///< slot + 1 of a pair of which one leg is over
  TimeWaits time_waits_;
  Splices splices_;
  DeadlineWheel wheel_;
  std::array<ArrivalShare, 2> shares_;  ///< by side
  std::vector<PairIndex> dirty_, turned_;
  std::array<Frame, kSpareFrames> spares_;
  std::size_t spare_count_{};
  std::span<control::ConnectionRecord> records_;
  control::ConnectionArenaHeader* record_header_{};

  PairIndex free_head_{kNoPair};
  std::uint32_t high_water_{};
  std::uint32_t size_{};
  std::uint32_t half_open_{};
  CoarseMs cookies_until_{};
  bool cookies_used_{};
  tcp::SegmentIn segment_;  ///< of receive(); a new one each time would be cleared each time
  bool has_payload_sum_{};  ///< of the frame that verify() saw last
  std::uint16_t payload_sum_{};
  Pressure pressure_{Pressure::none};
  std::uint32_t shed_at_{};
  std::uint32_t recheck_at_{};  ///< next pair to look at after a change of configuration
  std::uint32_t record_at_{};
  CoarseMs records_since_{};
  bool records_wanted_{};
};

}  // namespace penstock::relay
