// Any frame through everything that changes frames. First 16 octets: control; the rest: the frame.
// What must hold: nothing leaves the buffer; a refused frame is unchanged; an answer or a translation parses again,
// is what it should be, and has right checksums if the frame it was made from had (made from nothing: always).
#include <cstdint>
#include <cstring>

#include "dataplane/l4/conntrack.h"
#include "dataplane/l4/icmp.h"
#include "dataplane/l4/neighbor.h"
#include "dataplane/l4/reset.h"
#include "dataplane/l4/rewrite.h"
#include "dataplane/l4/verify.h"
#include "tests/support/flow_pair.h"
#include "tests/support/packet_builder.h"

namespace {

using namespace penstock;
using test::Bytes;
using test::TestFrame;
using wire::PacketInfo;
using wire::PacketKind;

struct Control {
  const std::uint8_t* octets;
  [[nodiscard]] bool tag() const { return (octets[0] & 1) != 0; }
  [[nodiscard]] bool dnat() const { return (octets[0] & 2) != 0; }
  [[nodiscard]] std::uint16_t tci() const { return static_cast<std::uint16_t>(octets[1] | (octets[2] & 0xef) << 8); }
  [[nodiscard]] std::uint16_t headroom() const { return octets[3]; }
  [[nodiscard]] std::uint16_t tailroom() const { return octets[4]; }
  [[nodiscard]] std::uint16_t port(std::size_t i) const {
    return static_cast<std::uint16_t>(octets[5 + i] << 8 | octets[6 + i]);
  }
  [[nodiscard]] IpAddress address(bool v4, std::size_t i) const {
    if (v4) return IpAddress::v4(10, octets[8 + i], octets[9 + i], octets[10 + i]);
    IpAddress out{{0xfd}};
    std::memcpy(out.octets.data() + 8, octets + 8, 8);
    out.octets[1] = static_cast<std::uint8_t>(i);
    return out;
  }
  [[nodiscard]] l4::Link link() const {
    return {MacAddress{{2, 0, 0, 0, 0, 0xaa}}, MacAddress{{2, 0, 0, 0, 0, 0xbb}}, tag() ? tci() : std::uint16_t{0}};
  }
};

/// A flow one direction of which has this key.
test::FlowPair flow_with(const Control& control, test::Side src, test::Side dst, IpProto proto) {
  const bool v4 = src.address.is_v4();
  const test::Side source = control.dnat() ? src : test::Side{control.address(v4, 0), test::port(control.port(0))};
  return test::flow_pair(src, dst, source, {control.address(v4, 1), test::port(control.port(2))}, proto);
}

PacketInfo reparse(TestFrame& frame) {
  const auto info = wire::parse_packet(frame.frame().bytes());
  require(info.ok(), "what came out does not parse");
  return *info;
}
void require_valid(TestFrame& frame, const PacketInfo& info) {
  require(l4::checksums_valid(frame.frame().bytes(), info), "checksum of what came out");
}
void require_same(TestFrame& frame, const Bytes& before) {
  require(frame.content() == before, "a refused frame was changed");
}

void fuzz_rewrite(const Control& control, const Bytes& bytes, const PacketInfo& info) {
  TestFrame frame{bytes, control.headroom(), control.tailroom()};
  const auto flow = flow_with(control, {info.src, info.src_port}, {info.dst, info.dst_port}, info.proto);
  const bool valid = l4::checksums_valid(bytes, info);
  const bool partial = l4::has_partial_checksum(bytes, info);
  const auto result = l4::rewrite(frame.frame(), info, l4::translation_of(flow.forward, flow.reverse), control.link());
  if (result.reason != DropReason::none) return require_same(frame, bytes);
  require(result.checksum_completed == partial, "partial checksum");
  const PacketInfo after = reparse(frame);
  require(after.src == flow.reverse.dst && after.dst == flow.reverse.src, "addresses");
  require(after.src_port == flow.reverse.dst_port && after.dst_port == flow.reverse.src_port, "ports");
  require(after.payload_octets == info.payload_octets && after.ip_octets == info.ip_octets, "lengths");
  require(after.ttl + 1 == info.ttl && after.vlan_tci == control.link().vlan_tci, "hop limit or tag");
  if (valid) require_valid(frame, after);
  static_cast<void>(l4::transition(control::FlowState::established, l4::event_of(info, control.dnat())));
}

void fuzz_reset(const Control& control, const Bytes& bytes, const PacketInfo& info) {
  TestFrame frame{bytes, control.headroom(), control.tailroom()};
  if (l4::make_reset(frame.frame(), info) != DropReason::none) return require_same(frame, bytes);
  const PacketInfo after = reparse(frame);
  require((after.tcp_flags & wire::kTcpRst) != 0 && (info.tcp_flags & wire::kTcpRst) == 0, "reset");
  require(after.src == info.dst && after.dst == info.src, "reset addresses");
  require_valid(frame, after);
}

void fuzz_too_big(const Control& control, const Bytes& bytes, const PacketInfo& info) {
  TestFrame frame{bytes, control.headroom(), control.tailroom()};
  const IpAddress source = control.address(info.family == IpFamily::v4, 0);
  if (l4::make_too_big(frame.frame(), info, source, 1280) != DropReason::none) return require_same(frame, bytes);
  const PacketInfo after = reparse(frame);
  require(after.kind == PacketKind::icmp_error && after.src == source && after.dst == info.src, "too big");
  require(after.ip_octets <= (after.family == IpFamily::v4 ? l4::kIcmpErrorOctetsMax : l4::kIcmpv6ErrorOctetsMax),
          "too big is too big");
  require_valid(frame, after);
}

void fuzz_echo(const Control& control, const Bytes& bytes, const PacketInfo& info) {
  TestFrame frame{bytes, control.headroom(), control.tailroom()};
  const bool valid = l4::checksums_valid(bytes, info);
  if (l4::make_echo_reply(frame.frame(), info) != DropReason::none) return require_same(frame, bytes);
  require(frame.frame().octets() == bytes.size(), "echo length");
  const Bytes reply = frame.content();
  const auto type = std::to_integer<std::uint8_t>(reply[info.l4_offset]);
  require(type == (info.family == IpFamily::v4 ? 0 : 129), "echo type");
  require(!valid || test::problems_of(reply).empty(), "echo checksum");
}

void fuzz_neighbor(const Control& control, const Bytes& bytes, const PacketInfo& info) {
  TestFrame frame{bytes, control.headroom(), control.tailroom()};
  const MacAddress ours{{2, 0, 0, 0, 0, 0xcc}};
  if (l4::answer_neighbor(frame.frame(), info, ours) != DropReason::none) return require_same(frame, bytes);
  require(test::problems_of(frame.frame().bytes()).empty(), "neighbour answer");
}

void fuzz_translate(const Control& control, const Bytes& bytes, const PacketInfo& info) {
  const auto quoted = l4::parse_quoted(bytes, info);
  if (!quoted) return;
  require(std::size_t{quoted->l4_offset} + quoted->l4_octets <= bytes.size(), "quote leaves the frame");
  TestFrame frame{bytes, control.headroom(), control.tailroom()};
  // The quoted packet read backwards is the key of the direction that it went to.
  const auto flow = flow_with(control, {quoted->dst, quoted->dst_port}, {quoted->src, quoted->src_port}, quoted->proto);
  const bool valid = l4::checksums_valid(bytes, info);
  const auto reason = l4::translate_error(frame.frame(), info, *quoted, flow.forward, flow.reverse, control.link());
  if (reason != DropReason::none) return require_same(frame, bytes);
  const PacketInfo after = reparse(frame);
  require(after.kind == PacketKind::icmp_error && after.dst == flow.reverse.src, "translated error");
  if (valid) require_valid(frame, after);
  const auto inner = l4::parse_quoted(frame.frame().bytes(), after);
  require(inner.ok() && inner->src == flow.reverse.src && inner->dst == flow.reverse.dst, "translated quote");
  require(inner->src_port == flow.reverse.src_port && inner->dst_port == flow.reverse.dst_port, "translated ports");
}

/// Makes the frame's checksums right, so that fuzzing gets behind them.
void repair(Bytes& bytes, const PacketInfo& info) {
  const ByteSpan frame{bytes};
  if (info.kind == PacketKind::probe || info.kind == PacketKind::arp_request) return;
  const auto set = [&](std::size_t at, std::uint16_t sum) {
    store_be(frame, at, Be16::from_host(static_cast<std::uint16_t>(~sum)));
  };
  if (info.family == IpFamily::v4) {
    store_be(frame, info.l3_offset + 10u, Be16{});
    set(info.l3_offset + 10u, test::plain_sum(frame.subspan(info.l3_offset, info.l4_offset - info.l3_offset)));
  }
  const bool tcp = info.proto == IpProto::tcp, udp = info.proto == IpProto::udp;
  const std::size_t at = info.l4_offset + (tcp ? 16u : udp ? 6u : 2u);
  const std::size_t end = udp ? info.payload_offset + info.payload_octets : info.l3_offset + info.ip_octets;
  const std::size_t octets = end - info.l4_offset;
  std::uint32_t pseudo = 0;
  if (info.proto != IpProto::icmp) {
    const std::size_t addresses = info.family == IpFamily::v4 ? 12 : 8;
    pseudo = test::plain_sum(frame.subspan(info.l3_offset + addresses, info.family == IpFamily::v4 ? 8 : 32)) +
             static_cast<std::uint32_t>(info.proto) + static_cast<std::uint32_t>(octets);
  }
  store_be(frame, at, Be16{});
  set(at, test::plain_sum(frame.subspan(info.l4_offset, octets), pseudo));
  if (udp && load_be<std::uint16_t>(frame, at) == Be16{}) store_be(frame, at, Be16::from_wire(0xffff));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 16 || size > 9000) return 0;
  const Control control{data};
  const ByteView input = std::as_bytes(std::span{data + 16, size - 16});
  Bytes bytes{input.begin(), input.end()};
  auto info = wire::parse_packet(bytes);
  if (!info) return 0;
  if ((control.octets[0] & 4) == 0) repair(bytes, *info);
  if ((control.octets[0] & 4) == 0) require(l4::checksums_valid(bytes, *info), "repaired checksum");
  switch (info->kind) {
    case PacketKind::transport:
      fuzz_rewrite(control, bytes, *info);
      fuzz_reset(control, bytes, *info);
      fuzz_too_big(control, bytes, *info);
      break;
    case PacketKind::icmp_error:
      fuzz_translate(control, bytes, *info);
      fuzz_too_big(control, bytes, *info);
      break;
    case PacketKind::echo_request:
      fuzz_echo(control, bytes, *info);
      break;
    case PacketKind::arp_request:
    case PacketKind::neighbor_solicitation:
      fuzz_neighbor(control, bytes, *info);
      break;
    case PacketKind::probe:
      break;
  }
  return 0;
}
