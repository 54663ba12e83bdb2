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
  wire::write_tcp(tcp, {.src_port = key.local_port,
                        .dst_port = key.remote_port,
                        .sequence = segment.seq.value(),
                        .acknowledgement = segment.ack.value(),
                        .flags = segment.flags,
                        .window = segment.window});
  tcp[12] = static_cast<std::byte>(header / 4 << 4);
  const ByteView options = segment.options.view();
  if (!options.empty()) std::memcpy(tcp.data() + wire::TcpView::kMinHeaderOctets, options.data(), options.size());
  const bool in_place = segment.payload.data() == tcp.data() + header;
  if (!segment.payload.empty() && !in_place)
    std::memcpy(tcp.data() + header, segment.payload.data(), segment.payload.size());
  const std::uint64_t pseudo =
      wire::pseudo_header_sum(key.local, key.remote, IpProto::tcp, static_cast<std::uint32_t>(transport));
  const std::uint64_t sum = segment.has_payload_sum
                                ? wire::add_sums(wire::sum_of(tcp.first(header)), segment.payload_sum)
                                : wire::sum_of(tcp);
  store_be(tcp, wire::TcpView::kChecksumOffset, wire::checksum_from(wire::add_sums(pseudo, sum)));
  return ip + transport;
}

Parsed<SegmentIn> read_segment(ByteView segment) {
  const Parsed<wire::TcpView> view = wire::TcpView::parse(segment);
  if (!view) return view.reason();
  SegmentIn out;
  out.seq = SeqNum{view->sequence()};
  out.ack = SeqNum{view->acknowledgement()};
  out.flags = view->flags() & kFlagsUnderstood;
  out.window = view->window();
  out.options = parse_options(segment.first(view->header_octets()).subspan(wire::TcpView::kMinHeaderOctets));
  out.payload = view->payload();
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
