// Segments out: headers in front of payload that is there already, or in a frame of our own.
#include <algorithm>
#include <utility>

#include "dataplane/relay/relay.h"
#include "dataplane/wire/ethernet.h"

namespace penstock::relay {
namespace {

std::size_t link_octets(const control::NextHop& path) {
  return wire::kEthernetOctets + (path.vlan_tci != 0 ? wire::kVlanTagOctets : 0);
}

void write_link(ByteSpan frame, const control::NextHop& path, bool v4) {
  wire::write_macs(frame, path.destination, path.source);
  std::size_t at = 12;
  if (path.vlan_tci != 0) {
    store_be(frame, 12, Be16::from_host(static_cast<std::uint16_t>(EtherType::vlan)));
    store_be(frame, 14, Be16::from_host(path.vlan_tci));
    at = 16;
  }
  store_be(frame, at, Be16::from_host(static_cast<std::uint16_t>(v4 ? EtherType::ipv4 : EtherType::ipv6)));
}

}  // namespace

bool Relay::flush() {
  if (dirty_.empty()) return false;
  std::swap(dirty_, turned_);
  for (const PairIndex index : turned_) {
    Pair& pair = pairs_[index];
    pair.dirty = false;
    if (!pair.in_use) continue;  // forgotten meanwhile
    const Turn result = turn(pair);
    if (result == Turn::more) {
      touch(index);
      continue;
    }
    if (result == Turn::done && end_if_over(index)) continue;
    arm(index, pair, result == Turn::blocked);
  }
  turned_.clear();
  records_wanted_ = true;
  return_lent();
  return !dirty_.empty();
}

Relay::Turn Relay::turn(Pair& pair) {
  if (pair.served()) {
    settle_served(pair);
    return send_leg(pair, pair.served_side());
  }
  const Turn down = send_leg(pair, Side::downstream);
  const Turn up = send_leg(pair, Side::upstream);
  return std::max(down, up);
}

Relay::Turn Relay::send_leg(Pair& pair, Side side) {
  tcp::Endpoint& leg = pair.leg(side);
  if (!tcp::Engine::wants_transmit(leg)) return Turn::done;
  control::NextHop path;
  const bool has_path = host_.path(pair.flow, side, path);
  // A tagged frame is not what the kernel cuts.
  if (has_path) leg.device_cuts = path.vlan_tci == 0 && host_.cuts(path.port);
  const tcp::ConnectionKey key = key_of(pair.flow, side);
  tcp::SegmentOut segment;
  for (std::uint32_t n = 0; n < kSegmentsPerTurn; ++n) {
    // A frame first: a segment that TCP believes sent must leave.
    if (!has_path || !refill_spares()) return Turn::blocked;
    if (!engine_.transmit(leg, now_, segment)) return Turn::done;
    segment.partial_checksum = leg.device_cuts && segment.payload.size() >= kPartialSumOctetsMin;
    send_segment(path, key, segment);
    if (!tcp::Engine::wants_transmit(leg)) return Turn::done;  // cheaper than to be told no
  }
  return Turn::more;
}

void Relay::send_segment(const control::NextHop& path, const tcp::ConnectionKey& key, tcp::SegmentOut& segment) {
  const bool v4 = key.local.is_v4();
  const std::size_t link = link_octets(path);
  const std::size_t headers = link + (v4 ? 20 : 40) + 20 + segment.options.octets;
  Frame frame = in_place_frame(segment, headers);
  if (frame.live()) {
    counters_.in_place_sent.add();
  } else {
    frame = take_spare();
    require(frame.set_octets(static_cast<std::uint16_t>(headers + segment.payload.size())), "segment above a buffer");
    if (!segment.payload.empty()) counters_.copied_sent.add();
  }
  if (tcp::Pools::is_lent(segment.block) && !segment.partial_checksum)
    segment.has_payload_sum =
        pools_.known_sum(segment.block, segment.block_offset, segment.payload.size(), segment.payload_sum);
  const ByteSpan bytes = frame.bytes();
  write_link(bytes, path, v4);
  tcp::write_packet(bytes.subspan(link), key, segment);
  counters_.segments_out.add();
  host_.send(frame, path.port);
}

/// The payload's own buffer, when what lies in front of it is nobody's any more and no device reads it.
Frame Relay::in_place_frame(const tcp::SegmentOut& segment, std::size_t header_octets) {
  if (segment.block == tcp::kNoIndex || !tcp::Pools::is_lent(segment.block)) return Frame{};
  if (pools_.references(segment.block) != 1) return Frame{};
  const RawFrame& lent = pools_.lent_frame(segment.block);
  const std::size_t before = lent.headroom + std::size_t{segment.block_offset};
  if (before < header_octets || !host_.is_sole_owner(lent)) return Frame{};
  RawFrame raw = lent;
  const auto shift = static_cast<std::ptrdiff_t>(segment.block_offset) - static_cast<std::ptrdiff_t>(header_octets);
  raw.data += shift;
  raw.headroom = static_cast<std::uint16_t>(static_cast<std::ptrdiff_t>(raw.headroom) + shift);
  const std::size_t buffer = std::size_t{lent.headroom} + lent.octets + lent.tailroom;
  raw.octets = static_cast<std::uint16_t>(header_octets + segment.payload.size());
  raw.tailroom = static_cast<std::uint16_t>(buffer - raw.headroom - raw.octets);
  return host_.share(raw);
}

bool Relay::refill_spares() {
  if (spare_count_ > 0) return true;
  // Half of the room: what segments leave behind fills the rest.
  spare_count_ = host_.allocate({spares_.data(), kSpareFrames / 2});
  if (spare_count_ == 0) spare_count_ = host_.allocate({spares_.data(), 1});
  return spare_count_ > 0;
}

Frame Relay::take_spare() {
  require(spare_count_ > 0, "no spare frame");
  return std::move(spares_[--spare_count_]);
}

/// Keeps a used-up frame for a segment of ours; it begins again where the device put it.
void Relay::keep_spare(Frame& frame) {
  if (spare_count_ == kSpareFrames) return host_.give_back(frame);
  RawFrame raw = std::move(frame).release();
  const unsigned buffer = raw.headroom + unsigned{raw.octets} + raw.tailroom;
  constexpr unsigned kFront = 64;  // in front of the link header: room that nobody needs
  if (buffer < 2 * kFront || !host_.is_sole_owner(raw)) {
    frame = Frame{raw};
    return host_.give_back(frame);
  }
  raw.data += static_cast<std::ptrdiff_t>(kFront) - static_cast<std::ptrdiff_t>(raw.headroom);
  raw.headroom = kFront;
  raw.octets = 0;
  raw.tailroom = static_cast<std::uint16_t>(buffer - kFront);
  spares_[spare_count_++] = Frame{raw};
}

void Relay::return_lent() {
  RawFrame raw;
  while (pools_.take_returned(raw)) {
    Frame frame{raw};
    keep_spare(frame);
  }
}

}  // namespace penstock::relay
