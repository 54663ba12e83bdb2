#include "tests/sim/fake_xdp.h"

#include <gtest/gtest.h>

#include "dataplane/wire/tcp.h"

namespace penstock::sim {
namespace {

using test::Bytes;

std::uint32_t sum16(const Bytes& bytes, std::size_t from, std::size_t octets) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i + 1 < octets; i += 2)
    sum += std::to_integer<std::uint32_t>(bytes[from + i]) << 8 | std::to_integer<std::uint32_t>(bytes[from + i + 1]);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

void put16(Bytes& bytes, std::size_t at, std::uint32_t value) {
  bytes[at] = static_cast<std::byte>(value >> 8);
  bytes[at + 1] = static_cast<std::byte>(value & 0xff);
}

/// RFC 1624: the checksum's complement plus the delta, which is a sum of words as they stand in memory.
void add_delta(Bytes& bytes, std::size_t at, std::uint16_t delta, bool udp) {
  std::uint16_t field;
  std::memcpy(&field, bytes.data() + at, sizeof field);
  if (udp && field == 0) return;
  std::uint32_t sum = std::uint32_t{static_cast<std::uint16_t>(~field)} + delta;
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  field = static_cast<std::uint16_t>(~sum);
  if (udp && field == 0) field = 0xffff;
  std::memcpy(bytes.data() + at, &field, sizeof field);
}

void translate(Bytes& bytes, const wire::PacketInfo& info, const penstock_forward_slot& slot) {
  std::memcpy(bytes.data(), slot.dst_mac, 6);
  std::memcpy(bytes.data() + 6, slot.src_mac, 6);
  const std::size_t l3 = info.l3_offset;
  const auto age = [&](std::size_t at) { bytes[at] = std::byte(std::to_integer<unsigned>(bytes[at]) - 1); };
  if ((slot.flags & PENSTOCK_FORWARD_V6) != 0) {
    age(l3 + 7);
    std::memcpy(bytes.data() + l3 + 8, slot.src.octets, 16);
    std::memcpy(bytes.data() + l3 + 24, slot.dst.octets, 16);
  } else {
    age(l3 + 8);
    std::memcpy(bytes.data() + l3 + 12, slot.src.octets + 12, 4);
    std::memcpy(bytes.data() + l3 + 16, slot.dst.octets + 12, 4);
    put16(bytes, l3 + 10, 0);
    put16(bytes, l3 + 10, ~sum16(bytes, l3, info.l4_offset - l3) & 0xffff);
  }
  std::memcpy(bytes.data() + info.l4_offset, &slot.src_port, 2);
  std::memcpy(bytes.data() + info.l4_offset + 2, &slot.dst_port, 2);
  const bool udp = info.proto == IpProto::udp;
  add_delta(bytes, info.l4_offset + (udp ? 6u : 16u), slot.l4_delta, udp);
}

}  // namespace

FakeXdp::Key FakeXdp::key_of(const penstock_flow_key& key) {
  Key out;
  std::memcpy(out.data(), &key, sizeof key);
  return out;
}

void FakeXdp::open() {
  for (penstock_forward_slot& slot : slots_) slot.generation = 0;
  entries_.clear();
  for (std::size_t w = 0; w < workers_; ++w) world_.forwards(w).set_slots(slots_.data());
  for (worker::WorkerPort& port : world_.ports) port.redirect_target = true;
  world_.publish();
}

void FakeXdp::serve(bool answer) {
  for (std::size_t w = 0; w < workers_; ++w) {
    worker::ForwardOrder order;
    while (world_.forwards(w).next(order)) {
      const bool done = !order.insert || refused_ == 0;
      if (!done) --refused_;
      for (std::size_t way = 0; way < 2 && done; ++way) {
        if (order.insert)
          entries_[key_of(order.keys[way])] = order.entries[way];
        else
          entries_.erase(key_of(order.keys[way]));
      }
      if (answer) world_.forwards(w).acknowledge(order, done);
    }
  }
  world_.settle();
}

const penstock_forward* FakeXdp::find(const wire::PacketInfo& info) const {
  Key key;
  const wire::FiveTuple& tuple = info;
  std::memcpy(key.data(), &tuple, key.size());
  const auto at = entries_.find(key);
  return at == entries_.end() ? nullptr : &at->second;
}

std::optional<Seen> FakeXdp::forward(const Bytes& frame) {
  wire::PacketInfo info{};
  if (wire::parse_packet_into(frame, info) != DropReason::none) return std::nullopt;
  const auto flags = info.proto == IpProto::tcp ? unsigned{info.tcp_flags} : 0u;
  const auto ends = flags & (wire::kTcpFin | wire::kTcpRst);
  if ((flags & wire::kTcpSyn) != 0 || (ends != 0 && beats_)) return std::nullopt;
  const penstock_forward* const entry = find(info);
  if (entry == nullptr || info.tagged() || info.ttl <= 1) return std::nullopt;
  penstock_forward_slot& slot = slots_.at(entry->slot);
  if (slot.generation != entry->generation || info.ip_octets > slot.mtu) return std::nullopt;
  Seen out;
  out.port = slot.out_port;
  out.bytes = frame;
  translate(out.bytes, info, slot);
  slot.ended = static_cast<std::uint8_t>(slot.ended | ends);
  slot.last_seen_ns = to_nanoseconds(world_.now());
  ++slot.packets;
  slot.octets += info.ip_octets;
  EXPECT_EQ(test::problems_of(out.bytes), std::vector<std::string>{}) << test::dump(out.bytes);
  static_cast<void>(wire::parse_packet_into(out.bytes, out.info));
  return out;
}

}  // namespace penstock::sim
