#include "dataplane/tcp/segment.h"

#include <cstring>

#include "dataplane/wire/checksum.h"
#include "dataplane/wire/ipv4.h"
#include "dataplane/wire/ipv6.h"
#include "dataplane/wire/tcp.h"

namespace penstock::tcp {
namespace {

void write_ip(ByteSpan out, const ConnectionKey& key, std::uint16_t payload_octets) {
  if (key.local.is_v4())
    wire::write_ipv4(out,
                     {.src = key.local, .dst = key.remote, .proto = IpProto::tcp, .payload_octets = payload_octets});
  else
    wire::write_ipv6(out,
                     {.src = key.local, .dst = key.remote, .proto = IpProto::tcp, .payload_octets = payload_octets});
}

/// Writes the TCP header with a checksum of 0 and returns its sum, which is added up from the values: wide loads right
/// behind narrow stores would wait for these.
std::uint64_t write_header(ByteSpan tcp, const ConnectionKey& key, const SegmentOut& segment) {
  const std::size_t header = wire::TcpView::kMinHeaderOctets + segment.options.octets;
  const Be32 sequence = Be32::from_host(segment.seq.value()), acknowledgement = Be32::from_host(segment.ack.value());
  const Be16 control = Be16::from_host(static_cast<std::uint16_t>(header / 4 << 12 | segment.flags));
  const Be16 window = Be16::from_host(segment.window);
  store_be(tcp, 0, key.local_port);
  store_be(tcp, 2, key.remote_port);
  store_be(tcp, 4, sequence);
  store_be(tcp, 8, acknowledgement);
  store_be(tcp, 12, control);
  store_be(tcp, 14, window);
  store_be(tcp, 16, Be32{});  // checksum and urgent pointer
  std::uint64_t sum = std::uint64_t{key.local_port.wire()} + key.remote_port.wire() + sequence.wire() +
                      acknowledgement.wire() + control.wire() + window.wire();
  const ByteView options = segment.options.view();
  for (std::size_t at = 0; at < options.size(); at += 4) {
    const Be32 word = load_be<std::uint32_t>(options, at);
    store_be(tcp, wire::TcpView::kMinHeaderOctets + at, word);
    sum += word.wire();
  }
  return sum;
}

Parsed<PacketIn> read_transport(const IpAddress& src, const IpAddress& dst, IpProto proto, ByteView transport) {
  if (proto != IpProto::tcp) return DropReason::unsupported_proto;
  const auto octets = static_cast<std::uint32_t>(transport.size());
  const std::uint64_t pseudo = wire::pseudo_header_sum(src, dst, IpProto::tcp, octets);
  const Parsed<SegmentIn> segment = read_segment(transport);
  if (!segment) return segment.reason();
  if (!wire::sum_is_valid(wire::add_sums(pseudo, wire::sum_of(transport)))) return DropReason::bad_checksum;
  const ConnectionKey key{dst, src, load_be<std::uint16_t>(transport, 2), load_be<std::uint16_t>(transport, 0)};
  return PacketIn{key, *segment};
}

}  // namespace

std::size_t write_packet(ByteSpan out, const ConnectionKey& key, const SegmentOut& segment) {
  const std::size_t header = wire::TcpView::kMinHeaderOctets + segment.options.octets;
  const std::size_t transport = header + segment.payload.size();
  const std::size_t ip = key.local.is_v4() ? wire::Ipv4View::kMinHeaderOctets : wire::Ipv6View::kHeaderOctets;
  write_ip(out, key, static_cast<std::uint16_t>(transport));
  const ByteSpan tcp = out.subspan(ip, transport);
  const std::uint64_t header_sum = write_header(tcp, key, segment);
  const ByteSpan payload = tcp.subspan(header);
  const bool in_place = segment.payload.data() == payload.data();
  if (!segment.payload.empty() && !in_place) std::memcpy(payload.data(), segment.payload.data(), payload.size());
  const std::uint64_t pseudo =
      wire::pseudo_header_sum(key.local, key.remote, IpProto::tcp, static_cast<std::uint32_t>(transport));
  if (segment.partial_checksum) {
    store_be(tcp, wire::TcpView::kChecksumOffset, Be16::from_wire(wire::fold(pseudo)));
    return ip + transport;
  }
  std::uint64_t sum = wire::add_sums(pseudo, header_sum);
  // Of what was copied, not of the copy: its stores may still wait for cache lines that another core has.
  if (!segment.payload.empty())
    sum = wire::add_sums(sum, segment.has_payload_sum ? segment.payload_sum : wire::sum_of(segment.payload));
  store_be(tcp, wire::TcpView::kChecksumOffset, wire::checksum_from(sum));
  return ip + transport;
}

DropReason read_segment_into(ByteView segment, SegmentIn& into) {
  const DropReason refused = wire::TcpView::check(segment);
  if (refused != DropReason::none) return refused;
  const wire::TcpView view = wire::TcpView::of_checked(segment);
  into.seq = SeqNum{view.sequence()};
  into.ack = SeqNum{view.acknowledgement()};
  into.flags = view.flags() & kFlagsUnderstood;
  into.window = view.window();
  parse_options_into(segment.first(view.header_octets()).subspan(wire::TcpView::kMinHeaderOctets), into.options);
  into.payload = view.payload();
  return DropReason::none;
}

Parsed<SegmentIn> read_segment(ByteView segment) {
  SegmentIn out;
  const DropReason refused = read_segment_into(segment, out);
  if (refused != DropReason::none) return refused;
  return out;
}

Parsed<PacketIn> read_packet(ByteView packet) {
  if (packet.empty()) return DropReason::truncated;
  if (std::to_integer<unsigned>(packet[0]) >> 4 == 4) {
    const Parsed<wire::Ipv4View> ip = wire::Ipv4View::parse(packet);
    if (!ip) return ip.reason();
    if (ip->is_fragment()) return DropReason::fragment;
    if (!wire::sum_is_valid(wire::sum_of(ip->header()))) return DropReason::bad_checksum;
    return read_transport(ip->src(), ip->dst(), ip->proto(), ip->payload());
  }
  const Parsed<wire::Ipv6View> ip = wire::Ipv6View::parse(packet);
  if (!ip) return ip.reason();
  return read_transport(ip->src(), ip->dst(), ip->proto(), ip->payload());
}

}  // namespace penstock::tcp
