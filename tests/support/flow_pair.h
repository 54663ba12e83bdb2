// flow_pair.h - a connection's two FlowDirections, as the flow table would hold them.
//
// Example   FlowPair flow = fullnat("10.1.0.2", 40000, "10.96.0.10", 80, "10.10.2.1", 16384, "10.10.2.11", 8080);
#pragma once
#include <string_view>

#include "dataplane/control/flow_layout.h"
#include "dataplane/l4/rewrite.h"
#include "tests/support/packet_builder.h"

namespace penstock::test {

struct FlowPair {
  control::FlowDirection forward{};
  control::FlowDirection reverse{};
};

struct Side {
  IpAddress address;
  Be16 port;
};

/// `source`: what the endpoint sees as its peer. DNAT: the client itself.
inline FlowPair flow_pair(Side client, Side service, Side source, Side endpoint, IpProto proto = IpProto::tcp) {
  FlowPair out;
  out.forward.src = client.address;
  out.forward.src_port = client.port;
  out.forward.dst = service.address;
  out.forward.dst_port = service.port;
  out.reverse.src = endpoint.address;
  out.reverse.src_port = endpoint.port;
  out.reverse.dst = source.address;
  out.reverse.dst_port = source.port;
  out.forward.proto = out.reverse.proto = proto;
  out.forward.flags = client.address.is_v4() ? 0 : control::kFlowV6;
  out.reverse.flags = static_cast<std::uint8_t>(out.forward.flags | control::kFlowReverse);
  out.forward.next_hop = 0;
  out.reverse.next_hop = control::kNoNextHop;
  out.forward.l4_delta = l4::compute_delta(out.forward, out.reverse);
  out.reverse.l4_delta = l4::compute_delta(out.reverse, out.forward);
  return out;
}
inline Side side(std::string_view address, std::uint16_t host_port) { return {ip(address), port(host_port)}; }

}  // namespace penstock::test
