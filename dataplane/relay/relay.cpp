// The life of a pair: made, dialled, connected, ended.
#include "dataplane/relay/relay.h"

#include <algorithm>
#include <utility>

#include "dataplane/tcp/siphash.h"

namespace penstock::relay {
namespace {

tcp::SipKey derive_key(const std::array<std::uint64_t, 2>& seed, std::uint8_t which) {
  const tcp::SipKey root{seed[0], seed[1]};
  const std::array<std::byte, 2> low{std::byte{which}, std::byte{0}}, high{std::byte{which}, std::byte{1}};
  return {tcp::siphash(root, low), tcp::siphash(root, high)};
}

Duration milliseconds(std::uint32_t ms) { return std::chrono::milliseconds{ms}; }

}  // namespace

tcp::Secrets derive_secrets(const std::array<std::uint64_t, 2>& seed) {
  return {derive_key(seed, 1), derive_key(seed, 2), derive_key(seed, 3)};
}

RelaySettings settings_of(const control::NodeRecord& node) {
  RelaySettings out;
  out.pairs_max = node.proxy_connections_max;
  out.half_open_max = node.proxy_half_open_max;
  out.idle = milliseconds(node.proxy_idle_ms);
  out.connect = milliseconds(node.proxy_connect_ms);
  out.tcp.keepalive_idle = milliseconds(node.proxy_keepalive_ms);
  out.tcp.connect_rto_initial = kConnectRtoInitial;
  out.tcp.connect_rto_max = kConnectRtoMax;
  out.tcp.connect_retries_max = 0;
  out.tcp.handshake_spread_percent = kHandshakeSpreadPercent;
  out.tcp.time_wait = milliseconds(node.proxy_time_wait_ms);
  out.tcp.receive_budget_octets = std::max(node.proxy_buffer_octets, std::uint32_t{16 * 1024});
  // What one leg may receive always fits behind what the other still has to send.
  out.tcp.send_budget_octets = 2 * out.tcp.receive_budget_octets;
  // The smallest shift that can say the whole budget.
  out.tcp.window_shift = 0;
  while (out.tcp.window_shift < tcp::kWindowShiftMax && out.tcp.receive_budget_octets >> out.tcp.window_shift > 0xffff)
    ++out.tcp.window_shift;
  out.tcp.congestion_control =
      node.proxy_congestion == control::Congestion::reno ? tcp::CongestionControl::reno : tcp::CongestionControl::cubic;
  return out;
}

Relay::Relay(const RelayConfig& config, const tcp::Secrets& secrets, flow::FlowTable& table, Host& host,
             control::ProxyCounters& counters, ByteSpan record_arena, Instant now)
    : config_{config},
      table_{table},
      host_{host},
      counters_{counters},
      secrets_{secrets},
      pools_{config.entry_count(), config.block_count(), 2048, config.lent_max},
      engine_{settings_.tcp, secrets, pools_},
      now_{now},
      now_ms_{CoarseMs::of(now)},
      pairs_{config.pairs_max},
      of_flow_{table.capacity()},
      slot_of_pair_{config.pairs_max},
      time_waits_{config.time_waits_max},
      splices_{config.splices_max},
      wheel_{config.pairs_max, CoarseMs::of(now)},
      shares_{ArrivalShare{config.arrival_frames, CoarseMs::of(now)},
              ArrivalShare{config.arrival_frames, CoarseMs::of(now)}} {
  dirty_.reserve(config.pairs_max);
  turned_.reserve(config.pairs_max);
  if (record_arena.empty()) return;
  record_header_ = &control::connection_header(record_arena);
  records_ = control::connection_records(record_arena);
}

void Relay::configure(const RelaySettings& settings) {
  settings_ = settings;
  settings_.pairs_max = std::min(settings.pairs_max, config_.pairs_max);
  engine_.configure(settings.tcp);
  recheck_at_ = 0;
}

PairIndex Relay::acquire(flow::FlowIndex flow) {
  PairIndex index = free_head_;
  if (index != kNoPair)
    free_head_ = pairs_[index].next_free;
  else if (high_water_ < config_.pairs_max)
    index = high_water_++;
  else
    return kNoPair;
  Pair& pair = pairs_[index];
  pair.legs[0] = pair.legs[1] = tcp::Endpoint{};
  pair.flow = flow;
  pair.last_moved = now_ms_;
  pair.budget_for = 0;
  pair.sent_in[0] = pair.sent_in[1] = 0;
  pair.half_open = pair.dirty = pair.dialled = pair.answered = pair.failed = pair.counted_end = pair.by_cookie = false;
  pair.may_splice = false;
  pair.rests = 0;
  pair.serving = Serving::pair;
  pair.attached = pair.blocked = pair.app_timed = pair.resting = false;
  pair.token = kNoToken;
  pair.peer = kNoPair;
  pair.inbox_head = pair.inbox_tail = tcp::kNoIndex;
  pair.inbox_octets = 0;
  pair.in_use = true;
  of_flow_[flow] = index + 1;
  slot_of_pair_[index] = 0;
  ++size_;
  return index;
}

void Relay::release(PairIndex index) {
  Pair& pair = pairs_[index];
  if (pair.half_open) --half_open_;
  wheel_.disarm(index);
  if (pair.served()) served_lost(index);
  pair.in_use = false;
  pair.flow = flow::kNoFlow;
  pair.next_free = free_head_;
  free_head_ = index;
  --size_;
  write_record(index);
}

void Relay::touch(PairIndex index) {
  Pair& pair = pairs_[index];
  if (pair.dirty) return;
  pair.dirty = true;
  dirty_.push_back(index);
}

tcp::ConnectionKey Relay::key_of(flow::FlowIndex flow, Side side) const {
  const control::FlowDirection& d = table_.direction(2 * flow + static_cast<std::uint32_t>(side));
  return {control::destination_of(d), control::source_of(d), d.dst_port, d.src_port};
}

Relay::Admission Relay::admission() const {
  if (pressure_ >= Pressure::refuse || half_open_ >= settings_.half_open_max) return Admission::cookie;
  return size_ < settings_.pairs_max ? Admission::open : Admission::refuse;
}

bool Relay::open(flow::FlowIndex flow, Frame& frame, const wire::PacketInfo& info,
                 const std::array<std::uint16_t, 2>& mtu, const tcp::CookieGrant* grant, Serving serving) {
  const Parsed<tcp::SegmentIn> segment = tcp::read_segment(frame.bytes().subspan(
      info.l4_offset, static_cast<std::size_t>(info.payload_offset - info.l4_offset) + info.payload_octets));
  if (!segment || size_ >= settings_.pairs_max) return false;
  const PairIndex index = acquire(flow);
  if (index == kNoPair) return false;
  Pair& pair = pairs_[index];
  pair.mtu[0] = mtu[0];
  pair.mtu[1] = mtu[1];
  pair.serving = serving;
  pair.attached = serving != Serving::pair;
  shares_[0].sends(pair.sent_in[0]);
  if (serving == Serving::pair) shares_[1].sends(pair.sent_in[1]);  // it will be dialled
  tcp::Endpoint& leg = pair.leg(Side::downstream);
  const tcp::ConnectionKey key = key_of(flow, Side::downstream);
  const bool opened = grant == nullptr ? engine_.accept(leg, key, mtu[0], *segment, now_,
                                                        first_window(pair, Side::downstream, key.local.is_v4()))
                                       : engine_.accept_cookie(leg, key, mtu[0], *grant, *segment, now_);
  if (!opened) {
    of_flow_[flow] = 0;
    release(index);
    return false;
  }
  engine_.set_receive_budget(leg, budget_of(pair, Side::downstream));
  pair.half_open = true;
  ++half_open_;
  counters_.opened.add();
  table_.forward(flow).state = control::FlowState::syn_received;
  touch(index);
  if (grant != nullptr) {
    counters_.cookies_accepted.add();
    engine_.set_window_limit(leg, first_window(Side::downstream, leg.payload_max()));
    pair.by_cookie = true;
    require(receive(2 * flow, frame, info) == Taken::taken, "a new pair did not take its first segment");
    return true;
  }
  consumed(frame);
  return true;
}

void Relay::dial(Pair& pair) {
  if (pair.dialled) return;
  pair.dialled = true;
  pair.connect_until = CoarseMs{now_ms_.ms + static_cast<std::uint32_t>(settings_.connect / milliseconds(1))};
  tcp::Endpoint& leg = pair.leg(Side::upstream);
  const tcp::ConnectionKey key = key_of(pair.flow, Side::upstream);
  const std::uint32_t window = first_window(pair, Side::upstream, key.local.is_v4());
  if (!engine_.connect(leg, key, pair.mtu[1], now_, window)) pair.failed = true;
}

void Relay::connected(Pair& pair, Side side) {
  if (side == Side::downstream) {
    if (pair.half_open) --half_open_;
    pair.half_open = false;
    dial(pair);
    return;
  }
  counters_.established.add();
  table_.forward(pair.flow).state = control::FlowState::established;
}

/// What a leg is opened with: its peer learns of more when its first flight is acknowledged. Of the share a part only,
/// since those that begin a moment later are not counted yet.
std::uint32_t Relay::first_window(Side side, std::uint32_t segment_octets) const {
  const ArrivalShare& arrivals = shares_[static_cast<std::size_t>(side)];
  const std::uint32_t part = std::max(ArrivalShare::kLeastSegments, arrivals.segments() / kFirstFlightPart);
  return std::min(kFirstFlightSegments, part) * segment_octets;
}

std::uint32_t Relay::first_window(const Pair& pair, Side side, bool v4) const {
  constexpr std::uint32_t kHeadersV4 = 52, kHeadersV6 = 72;  // with timestamps
  const std::uint32_t headers = v4 ? kHeadersV4 : kHeadersV6;
  return first_window(side, std::max(pair.mtu[static_cast<std::size_t>(side)], std::uint16_t{552}) - headers);
}

std::uint32_t Relay::budget_of(const Pair& pair, Side side) const {
  const std::uint32_t whole = settings_.tcp.receive_budget_octets;
  if (pressure_ == Pressure::none)
    return side == Side::downstream && !pair.answered ? std::min(whole, kFirstWindowOctets) : whole;
  const bool holds_much = engine_.outstanding(pair.leg(other(side))) >= kBigHolderOctets;
  if (pressure_ >= Pressure::refuse && holds_much) return 0;
  return kClampSegments * std::uint32_t{pair.leg(side).pmtu.mss()};
}

/// Octets that the other leg got rid of make room on the leg they came from.
void Relay::make_room(Pair& pair, Side side) {
  tcp::Endpoint& from = pair.leg(side);
  if (!tcp::is_synchronized(from.state)) return;
  const std::uint32_t held = engine_.outstanding(pair.leg(other(side)));
  const std::uint32_t unconsumed = from.receive_window.unconsumed();
  if (unconsumed > held) engine_.consume(from, unconsumed - held);
}

/// What the budgets of a pair without memory pressure depend on; 0 is none.
std::uint32_t Relay::budget_mark(const Pair& pair) const {
  return settings_.tcp.receive_budget_octets << 1 | (pair.answered ? 1u : 0u);
}

void Relay::settle_windows(Pair& pair) {
  pair.budget_for = pressure_ == Pressure::none ? budget_mark(pair) : 0;
  for (const Side side : {Side::downstream, Side::upstream}) {
    tcp::Endpoint& from = pair.leg(side);
    if (tcp::is_synchronized(from.state)) engine_.set_receive_budget(from, budget_of(pair, side));
    make_room(pair, side);
  }
}

/// Payload came on this leg: its peer may have as much under way as the others leave. That grows with what was taken,
/// as fast as a peer's slow start, so nothing needs to be told unasked. Whole segments: a peer fills what is left of a
/// window with a small one.
void Relay::settle_share(Pair& pair, Side side) {
  ArrivalShare& arrivals = shares_[static_cast<std::size_t>(side)];
  arrivals.sends(pair.sent_in[static_cast<std::size_t>(side)]);
  tcp::Endpoint& leg = pair.leg(side);
  const std::uint64_t grown = first_window(side, leg.payload_max()) + leg.octets_delivered;
  const std::uint64_t share = arrivals.segments() * std::uint64_t{leg.payload_max()};
  auto limit = static_cast<std::uint32_t>(std::min({grown, share, std::uint64_t{tcp::kNoWindowLimit}}));
  // What is promised here the other leg's peer must take over. A few segments always: it may be slow for a moment.
  if (const tcp::Endpoint& to = pair.leg(other(side)); pair.may_splice && tcp::is_synchronized(to.state))
    limit = std::min(
        limit, std::max(to.send_window.octets(), ArrivalShare::kLeastSegments * std::uint32_t{leg.payload_max()}));
  if (leg.receive_window.limit() != limit) engine_.set_window_limit(leg, limit);
}

void Relay::reset_both(Pair& pair) {
  for (const Side side : {Side::downstream, Side::upstream}) static_cast<void>(engine_.abort(pair.leg(side)));
}

/// One leg ended badly: so does the other.
void Relay::broken(Pair& pair, Side side, tcp::Events events) {
  if (!pair.counted_end) {
    pair.counted_end = true;
    const bool never_connected =
        side == Side::upstream && table_.forward(pair.flow).state == control::FlowState::syn_received;
    if (never_connected)
      counters_.connect_failed.add();
    else if (events.has(tcp::Events::kTimedOut))
      counters_.timed_out.add();
    else if (side == Side::downstream)
      counters_.reset_by_downstream.add();
    else
      counters_.reset_by_upstream.add();
  }
  static_cast<void>(engine_.abort(pair.leg(other(side))));
}

void Relay::after(PairIndex index, Side side, tcp::Events events) {
  Pair& pair = pairs_[index];
  if (pair.served()) return after_served(index, events);
  if (events.has(tcp::Events::kConnected | tcp::Events::kAcked)) pair.last_moved = now_ms_;
  if (events.has(tcp::Events::kConnected)) connected(pair, side);
  if (events.has(tcp::Events::kPeerClosed)) {
    if (side == Side::downstream) dial(pair);
    engine_.shutdown(pair.leg(other(side)));
    control::FlowState& state = table_.forward(pair.flow).state;
    if (state == control::FlowState::established)
      state = side == Side::downstream ? control::FlowState::fin_forward : control::FlowState::fin_reverse;
  }
  constexpr std::uint16_t kBroken = tcp::Events::kReset | tcp::Events::kTimedOut | tcp::Events::kAborted;
  if (events.has(kBroken)) broken(pair, side, events);
  if (pair.failed) reset_both(pair);
  if (pressure_ != Pressure::none || pair.budget_for != budget_mark(pair))
    settle_windows(pair);
  else if (events.has(tcp::Events::kAcked))
    make_room(pair, other(side));
  touch(index);
}

bool Relay::leg_is_over(const Pair& pair, Side side) const {
  const tcp::Endpoint& leg = pair.leg(side);
  return leg.state == tcp::State::closed && !leg.reset_due;
}

TimeWaits::Slot Relay::time_wait_slot(Pair& pair) {
  TimeWaits::Slot& slot = slot_of_pair_[of_flow_[pair.flow] - 1];
  if (slot != 0) return slot - 1;
  TimeWaits::Slot made = time_waits_.acquire(pair.flow);
  if (made == TimeWaits::kNoSlot && evict_time_wait()) made = time_waits_.acquire(pair.flow);
  slot = made + 1;  // kNoSlot + 1 is 0: none
  return made;
}

void Relay::keep_time_wait(Pair& pair, Side side) {
  const tcp::TimeWait record = engine_.take_time_wait(pair.leg(side), now_);
  const TimeWaits::Slot slot = time_wait_slot(pair);
  if (slot == TimeWaits::kNoSlot) return;
  const auto bit = static_cast<std::size_t>(side);
  time_waits_[slot].records[bit] = record;
  time_waits_[slot].valid = static_cast<std::uint8_t>(time_waits_[slot].valid | 1u << bit);
}

/// While its cookie is good a late copy of the first data would open the connection again, and be delivered twice.
void Relay::keep_cookie_record(Pair& pair) {
  const TimeWaits::Slot slot = time_wait_slot(pair);
  if (slot == TimeWaits::kNoSlot) return;
  const tcp::Endpoint& leg = pair.leg(Side::downstream);
  tcp::TimeWait record;
  if (const tcp::TimeWait* const kept = time_waits_[slot].record(Side::downstream)) record = *kept;
  record.snd_nxt = leg.queue.nxt();
  record.rcv_nxt = leg.rcv_nxt;
  record.ts_recent = leg.timestamps.recent;
  record.ts_offset = leg.timestamps.offset;
  record.timestamps = leg.timestamps.on ? 1 : 0;
  record.lifetime_ms = kCookieLifeMs;
  record.until = CoarseMs{now_ms_.ms + kCookieLifeMs};
  time_waits_[slot].records[0] = record;
  time_waits_[slot].valid = static_cast<std::uint8_t>(time_waits_[slot].valid | 1u);
}

/// After flush(): a pair without anything left to send or wait for is gone; its TIME-WAIT records stay.
bool Relay::end_if_over(PairIndex index) {
  Pair& pair = pairs_[index];
  for (const Side side : {Side::downstream, Side::upstream})
    if (pair.leg(side).state == tcp::State::time_wait) keep_time_wait(pair, side);
  if (!leg_is_over(pair, Side::downstream) || !leg_is_over(pair, Side::upstream)) return false;
  const flow::FlowIndex flow = pair.flow;
  if (pair.by_cookie) keep_cookie_record(pair);
  const std::uint32_t slot = slot_of_pair_[index];
  if (pair.served()) served_lost(index);
  if (!pair.counted_end) counters_.closed.add();
  of_flow_[flow] = slot == 0 ? 0 : (slot | kTimeWaitBit);
  release(index);
  if (slot == 0) {
    host_.ended(flow);
  } else {
    table_.forward(flow).state = control::FlowState::closing;
    host_.lingers(flow);
  }
  return true;
}

void Relay::drop_time_wait(TimeWaits::Slot slot) {
  const flow::FlowIndex flow = time_waits_[slot].flow;
  time_waits_.release(slot);
  const std::uint32_t holder = of_flow_[flow];
  if ((holder & kTimeWaitBit) == 0) {  // the pair's other leg still lives
    slot_of_pair_[holder - 1] = 0;
    return;
  }
  of_flow_[flow] = 0;
  host_.ended(flow);
}

bool Relay::evict_time_wait() {
  if (time_waits_.size() == 0) return false;
  counters_.time_wait_evicted.add();
  drop_time_wait(time_waits_.oldest());
  return true;
}

void Relay::forget(flow::FlowIndex flow) {
  if (spliced(flow)) return end_splice(flow);
  const std::uint32_t holder = std::exchange(of_flow_[flow], 0);
  if (holder == 0) return;
  if ((holder & kTimeWaitBit) != 0) return time_waits_.release((holder & ~kTimeWaitBit) - 1);
  Pair& pair = pairs_[holder - 1];
  if (pair.served()) served_lost(holder - 1);
  if (slot_of_pair_[holder - 1] != 0) time_waits_.release(slot_of_pair_[holder - 1] - 1);
  for (const Side side : {Side::downstream, Side::upstream}) {
    static_cast<void>(engine_.abort(pair.leg(side)));
    pair.leg(side).reset_due = false;
  }
  release(holder - 1);
}

void Relay::close_all() {
  Application* const application = std::exchange(application_, nullptr);  // it would only try elsewhere
  for (PairIndex i = 0; i < high_water_; ++i) {
    if (!pairs_[i].in_use) continue;
    reset_any(i);
    touch(i);
  }
  while (flush()) {
  }
  reset_splices();
  while (time_waits_.size() != 0) drop_time_wait(time_waits_.oldest());
  return_lent();
  while (spare_count_ > 0) host_.give_back(spares_[--spare_count_]);
  application_ = application;  // a worker that was stopped to take over flows goes on
}

const Pair* Relay::pair_of(flow::FlowIndex flow) const {
  const std::uint32_t holder = of_flow_[flow];
  return holder == 0 || (holder & kAnyBit) != 0 ? nullptr : &pairs_[holder - 1];
}

std::uint32_t Relay::held_frames() const { return pools_.lent_in_use() + static_cast<std::uint32_t>(spare_count_); }

std::string_view Relay::audit() const {
  std::uint32_t pairs = 0, half_open = 0;
  for (PairIndex i = 0; i < high_water_; ++i) {
    const Pair& pair = pairs_[i];
    if (!pair.in_use) continue;
    ++pairs;
    half_open += pair.half_open ? 1 : 0;
    if (of_flow_[pair.flow] != i + 1) return "flow does not know its pair";
    for (const Side side : {Side::downstream, Side::upstream}) {
      if (const auto problem = tcp::audit(pair.leg(side), pools_); !problem.empty()) return problem;
      const tcp::Endpoint& to = pair.leg(other(side));
      if (pair.served()) {
        if (tcp::is_synchronized(pair.leg(side).state) && pair.attached && side == pair.served_side() &&
            pair.leg(side).receive_window.unconsumed() < pair.inbox_octets)
          return "a leg was told that octets are gone which are in its inbox";
        continue;
      }
      if (to.state != tcp::State::closed && pair.leg(side).receive_window.unconsumed() < engine_.outstanding(to) &&
          tcp::is_synchronized(pair.leg(side).state))
        return "a leg was told that octets are gone which the other still holds";
    }
  }
  if (pairs != size_) return "pair count is wrong";
  return half_open == half_open_ ? std::string_view{} : std::string_view{"half-open count is wrong"};
}

}  // namespace penstock::relay
