// Frames in: which leg, what TCP says to it, and where its payload goes.
#include <algorithm>

#include "dataplane/relay/relay.h"
#include "dataplane/tcp/stateless.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/tcp.h"

namespace penstock::relay {
namespace {

ByteView segment_bytes(const Frame& frame, const wire::PacketInfo& info) {
  return frame.bytes().subspan(info.l4_offset,
                               static_cast<std::size_t>(info.payload_offset - info.l4_offset) + info.payload_octets);
}

tcp::ConnectionKey key_from(const wire::PacketInfo& info) { return {info.dst, info.src, info.dst_port, info.src_port}; }

}  // namespace

/// Moves what one leg received into the other's send queue.
class Relay::PairDelivery final : public tcp::Delivery {
 public:
  PairDelivery(Relay& relay, Pair& pair, Side from, Frame& frame, const wire::PacketInfo& info)
      : relay_{relay}, pair_{pair}, from_{from}, frame_{frame}, info_{info}, data_{frame.bytes().data()} {}
  ~PairDelivery() {
    if (lent_ != tcp::kNoIndex) relay_.pools_.release_block(lent_);
  }
  PairDelivery(const PairDelivery&) = delete;
  PairDelivery& operator=(const PairDelivery&) = delete;

  void deliver(const tcp::Piece& piece) override {
    if (from_ == Side::downstream)
      relay_.dial(pair_);
    else
      pair_.answered = true;
    came_ = true;
    pair_.last_moved = relay_.now_ms_;
    tcp::Endpoint& to = pair_.leg(other(from_));
    const auto octets = static_cast<std::uint16_t>(piece.bytes.size());
    bool kept = false;
    if (piece.block != tcp::kNoIndex)
      kept = relay_.engine_.write_block(to, piece.block, piece.offset, octets);
    else if (octets > kCopyBreakOctets && lend())
      kept = relay_.engine_.write_block(to, lent_, static_cast<std::uint16_t>(piece.bytes.data() - data_), octets);
    else
      kept = relay_.engine_.write(to, piece.bytes) == octets;
    pair_.failed = pair_.failed || !kept;
    (from_ == Side::downstream ? relay_.counters_.octets_up : relay_.counters_.octets_down).add(octets);
  }
  [[nodiscard]] bool came() const { return came_; }

 private:
  /// The frame becomes the send queue's; false when it must be copied from.
  bool lend() {
    if (lent_ != tcp::kNoIndex) return true;
    if (!frame_.live()) return false;
    const RawFrame raw = std::move(frame_).release();
    lent_ = relay_.pools_.lend(raw);
    if (lent_ == tcp::kNoIndex) {
      frame_ = Frame{raw};
      return false;
    }
    if (relay_.has_payload_sum_)
      relay_.pools_.note_sum(lent_, info_.payload_offset, info_.payload_octets, relay_.payload_sum_);
    return true;
  }
  Relay& relay_;
  Pair& pair_;
  Side from_;
  Frame& frame_;
  const wire::PacketInfo& info_;
  const std::byte* data_;
  tcp::Index lent_{tcp::kNoIndex};
  bool came_{};
};

bool Relay::verify(const Frame& frame, const wire::PacketInfo& info, bool verified) {
  const ByteView segment = segment_bytes(frame, info);
  const auto header = static_cast<std::size_t>(info.payload_offset - info.l4_offset);
  std::uint64_t sum =
      wire::pseudo_header_sum(info.src, info.dst, IpProto::tcp, static_cast<std::uint32_t>(segment.size()));
  has_payload_sum_ = false;
  if (wire::is_partial(load_be<std::uint16_t>(segment, wire::TcpView::kChecksumOffset), sum)) return true;
  sum = wire::add_sums(sum, wire::sum_of(segment.first(header)));
  // All that the checksum covers adds up to 0xffff, so what is known to be right tells the payload's sum.
  payload_sum_ =
      verified ? static_cast<std::uint16_t>(~wire::fold(sum)) : wire::fold(wire::sum_of(segment.subspan(header)));
  has_payload_sum_ = true;
  return verified || wire::sum_is_valid(wire::add_sums(sum, payload_sum_));
}

/// A segment whose payload might not fit is not shown to TCP at all: its sender repeats it.
bool Relay::has_room(const Pair& pair, Side side, std::size_t octets) const {
  if (octets == 0) return true;
  if (pair.served())
    return pools_.entries.has_room(pair.leg(side).reassembly.pieces() + 2u) &&
           pools_.blocks.has_room(pair.leg(side).reassembly.pieces() + 2u);
  // Every held piece and this segment may become entries of the other queue, more than one with a smaller MSS there. An
  // empty queue always has room.
  const tcp::Endpoint& to = pair.leg(other(side));
  const std::uint32_t cuts = 1u + pools_.blocks.block_octets() / std::max(to.block_max(), tcp::kMssDefaultV4);
  const std::uint32_t pieces =
      std::min(cuts * (pair.leg(side).reassembly.pieces() + 2u), engine_.limits().send_entries_max - 1u);
  return pools_.entries.has_room(pieces) && pools_.blocks.has_room(2) && engine_.segments_writable(to) > pieces;
}

void Relay::prefetch(flow::DirectionIndex direction) const {
  const std::uint32_t holder = of_flow_[direction / 2];
  if ((holder & kAnyBit) == kSpliceBit)
    return __builtin_prefetch(&splices_.direction((holder & ~kSpliceBit) - 1, (direction & 1) != 0), 1);
  if (holder == 0 || (holder & kTimeWaitBit) != 0) return;
  const Pair& pair = pairs_[holder - 1];
  // Both legs whole: what one receives the other sends in the same round.
  constexpr std::size_t kLine = 64;
  const auto* const record = reinterpret_cast<const std::byte*>(&pair);
  for (std::size_t at = 0; at < sizeof(Pair); at += kLine) __builtin_prefetch(record + at, 1);
}

void Relay::consumed(Frame& frame) {
  counters_.segments_in.add();
  keep_spare(frame);
}

Taken Relay::receive(flow::DirectionIndex direction, Frame& frame, const wire::PacketInfo& info) {
  const auto side = static_cast<Side>(direction & 1);
  const std::uint32_t holder = of_flow_[direction / 2];
  if (holder == 0 || (holder & kAnyBit) == kSpliceBit) return Taken::orphan;  // a spliced flow's are not received
  if ((holder & kTimeWaitBit) != 0) return receive_time_wait((holder & ~kTimeWaitBit) - 1, side, frame, info, true);
  const PairIndex index = holder - 1;
  if (const TimeWaits::Slot slot = slot_of_pair_[index]; slot != 0 && time_waits_[slot - 1].record(side) != nullptr)
    return receive_time_wait(slot - 1, side, frame, info, false);
  Pair& pair = pairs_[index];
  if (pair.served() && side != pair.served_side()) return Taken::orphan;  // the key that nobody sends
  tcp::SegmentIn& segment = segment_;
  if (tcp::read_segment_into(segment_bytes(frame, info), segment) != DropReason::none ||
      !has_room(pair, side, segment.payload.size())) {
    counters_.memory_dropped.add();
    consumed(frame);
    return Taken::taken;
  }
  tcp::Events events;
  if (pair.served()) {
    events = receive_served(index, frame, info, segment);
  } else {
    PairDelivery delivery{*this, pair, side, frame, info};
    events = engine_.receive(pair.leg(side), segment, now_, delivery);
    if (delivery.came()) settle_share(pair, side);
  }
  if (!pair.served()) after(index, side, events);
  if (events.has(tcp::Events::kResetReply) && frame.live()) {
    if (const auto reset = tcp::reset_for(segment)) {
      answer(frame, info, *reset);
      return Taken::taken;
    }
  }
  if (frame.live())
    consumed(frame);
  else
    counters_.segments_in.add();
  return Taken::taken;
}

Taken Relay::receive_time_wait(TimeWaits::Slot slot, Side side, Frame& frame, const wire::PacketInfo& info,
                               bool pair_is_over) {
  const Parsed<tcp::SegmentIn> segment = tcp::read_segment(segment_bytes(frame, info));
  tcp::TimeWait* const record = time_waits_[slot].record(side);
  if (!segment) {
    consumed(frame);
    return Taken::taken;
  }
  if (record == nullptr) {  // this leg closed in order, the other waits
    if (side == Side::downstream && pair_is_over && tcp::opens_connection(*segment)) {
      drop_time_wait(slot);
      return Taken::reopen;
    }
    const auto reset = tcp::reset_for(*segment);
    if (reset)
      answer(frame, info, *reset);
    else
      consumed(frame);
    return Taken::taken;
  }
  switch (tcp::receive(*record, *segment, now_)) {
    case tcp::TimeWaitVerdict::reply:
      answer(frame, info, tcp::time_wait_ack(*record, now_));
      if (pair_is_over) time_waits_.renew(slot);
      return Taken::taken;
    case tcp::TimeWaitVerdict::reuse:
      if (side == Side::downstream && pair_is_over) {
        counters_.time_wait_reused.add();
        drop_time_wait(slot);
        return Taken::reopen;
      }
      break;
    case tcp::TimeWaitVerdict::ignore:
      break;
  }
  consumed(frame);
  return Taken::taken;
}

/// Sends `segment` back to where the frame came from, in the same buffer.
void Relay::answer(Frame& frame, const wire::PacketInfo& info, const tcp::SegmentOut& segment) {
  const PortIndex port = frame.port();
  const std::size_t ip = info.family == IpFamily::v4 ? 20 : 40;
  const std::size_t packet = ip + 20 + segment.options.octets;
  counters_.segments_in.add();
  if (!frame.set_octets(static_cast<std::uint16_t>(info.l3_offset + packet))) return keep_spare(frame);
  wire::exchange_macs(frame.bytes());
  tcp::write_packet(frame.bytes().subspan(info.l3_offset), key_from(info), segment);
  counters_.segments_out.add();
  host_.send(frame, port);
}

void Relay::send_cookie(Frame& frame, const wire::PacketInfo& info, std::uint16_t mtu) {
  const Parsed<tcp::SegmentIn> segment = tcp::read_segment(segment_bytes(frame, info));
  if (!segment) return consumed(frame);
  counters_.cookies_sent.add();
  cookies_used_ = true;
  cookies_until_ = CoarseMs{now_ms_.ms + kCookieLifeMs};
  answer(frame, info, tcp::cookie_syn_ack(secrets_, settings_.tcp, key_from(info), *segment, mtu, now_));
}

std::optional<tcp::CookieGrant> Relay::cookie_grant(const Frame& frame, const wire::PacketInfo& info) {
  if (!cookies_used_) return std::nullopt;
  if (now_ms_.since(cookies_until_) >= 0) cookies_used_ = false;
  const Parsed<tcp::SegmentIn> segment = tcp::read_segment(segment_bytes(frame, info));
  if (!segment || !segment->is(tcp::kTcpAck) || segment->is(tcp::kTcpSyn) || segment->is(tcp::kTcpRst))
    return std::nullopt;
  auto grant = tcp::check_cookie(secrets_, settings_.tcp, key_from(info), *segment, now_);
  if (!grant) counters_.cookies_rejected.add();
  return grant;
}

void Relay::too_big(flow::DirectionIndex direction, std::uint16_t mtu, SeqNum quoted) {
  const std::uint32_t holder = of_flow_[direction / 2];
  if (holder == 0 || (holder & kAnyBit) != 0) return;
  Pair& pair = pairs_[holder - 1];
  if (engine_.path_too_big(pair.leg(static_cast<Side>(direction & 1)), mtu, quoted)) touch(holder - 1);
}

}  // namespace penstock::relay
