#include "dataplane/l4/reset.h"

#include "dataplane/l4/icmp.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ipv4.h"
#include "dataplane/wire/ipv6.h"
#include "dataplane/wire/tcp.h"

namespace penstock::l4 {

DropReason make_reset(Frame& frame, const wire::PacketInfo& info) {
  const bool is_segment = info.kind == wire::PacketKind::transport && info.proto == IpProto::tcp;
  if (!is_segment || (info.tcp_flags & wire::kTcpRst) != 0) return DropReason::no_flow;
  if (!may_answer_with_error(frame.bytes(), info)) return DropReason::no_flow;
  const Parsed<wire::TcpView> segment = wire::TcpView::parse(frame.bytes().subspan(
      info.l4_offset, static_cast<std::size_t>(info.ip_octets + info.l3_offset - info.l4_offset)));
  if (!segment) return DropReason::no_flow;

  wire::TcpFields answer{.src_port = info.dst_port, .dst_port = info.src_port};
  if ((info.tcp_flags & wire::kTcpAck) != 0) {
    answer.sequence = segment->acknowledgement();
    answer.flags = wire::kTcpRst;
  } else {
    const unsigned controls = ((info.tcp_flags & wire::kTcpSyn) != 0 ? 1u : 0u) +  // both count as one octet
                              ((info.tcp_flags & wire::kTcpFin) != 0 ? 1u : 0u);
    answer.acknowledgement = segment->sequence() + info.payload_octets + controls;
    answer.flags = wire::kTcpRst | wire::kTcpAck;
  }

  constexpr std::size_t kTcp = wire::TcpView::kMinHeaderOctets;
  const bool v4 = info.family == IpFamily::v4;
  const std::size_t ip_header = v4 ? wire::Ipv4View::kMinHeaderOctets : wire::Ipv6View::kHeaderOctets;
  // Never longer than the segment was: it had these two headers at least.
  require(frame.set_octets(static_cast<std::uint16_t>(info.l3_offset + ip_header + kTcp)), "a reset outgrew its frame");
  wire::exchange_macs(frame.bytes());
  const ByteSpan packet = frame.bytes().subspan(info.l3_offset);
  if (v4)
    wire::write_ipv4(packet, {.src = info.dst, .dst = info.src, .proto = IpProto::tcp, .payload_octets = kTcp});
  else
    wire::write_ipv6(packet, {.src = info.dst, .dst = info.src, .proto = IpProto::tcp, .payload_octets = kTcp});
  const ByteSpan tcp = packet.subspan(ip_header);
  wire::write_tcp(tcp, answer);
  const std::uint64_t pseudo = wire::pseudo_header_sum(info.dst, info.src, IpProto::tcp, kTcp);
  store_be(tcp, wire::TcpView::kChecksumOffset, wire::checksum_from(wire::add_sums(pseudo, wire::sum_of(tcp))));
  return DropReason::none;
}

}  // namespace penstock::l4
