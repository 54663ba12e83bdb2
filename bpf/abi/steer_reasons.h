// steer_reasons.h - names and meanings of the steering program's reasons, in enum order.
//
// Model     the one table behind metrics, `penstock counters` and docs/architecture/steering.md.
// Rule      one row per penstock_steer_reason; appended with it.
#pragma once
#include <array>
#include <cstddef>
#include <string_view>

#include "bpf/abi/steer.h"

namespace penstock {

struct SteerReasonInfo {
  penstock_steer_reason reason;
  std::string_view name;
  std::string_view meaning;
  bool redirected;  ///< the frame went to the dataplane; otherwise it passed to the kernel
};

inline constexpr std::array kSteerReasons{
    SteerReasonInfo{PENSTOCK_STEER_REDIRECTED_SERVICE, "redirected_service", "to a service address", true},
    SteerReasonInfo{PENSTOCK_STEER_REDIRECTED_NODE, "redirected_node", "to a port that our upstream legs own", true},
    SteerReasonInfo{PENSTOCK_STEER_REDIRECTED_SOURCE, "redirected_source", "from an endpoint behind a DNAT listener",
                    true},
    SteerReasonInfo{PENSTOCK_STEER_REDIRECTED_ICMP, "redirected_icmp", "ICMP error about one of our flows", true},
    SteerReasonInfo{PENSTOCK_STEER_REDIRECTED_ECHO, "redirected_echo", "echo request to a service address", true},
    SteerReasonInfo{PENSTOCK_STEER_REDIRECTED_NEIGHBOR, "redirected_neighbor",
                    "ARP request or neighbour solicitation for a service address", true},
    SteerReasonInfo{PENSTOCK_STEER_REDIRECTED_PROBE, "redirected_probe", "frame of the attach self-test", true},
    SteerReasonInfo{PENSTOCK_STEER_NOT_MESH, "not_mesh", "well-formed, not ours", false},
    SteerReasonInfo{PENSTOCK_STEER_NOT_IP, "not_ip", "another EtherType, or ARP that is no request", false},
    SteerReasonInfo{PENSTOCK_STEER_UNSUPPORTED_PROTO, "unsupported_proto",
                    "IP, neither TCP, UDP nor a steered ICMP type", false},
    SteerReasonInfo{PENSTOCK_STEER_TRUNCATED, "truncated", "a header or length field points past the frame", false},
    SteerReasonInfo{PENSTOCK_STEER_BAD_VERSION, "bad_version", "IP version disagrees with the EtherType", false},
    SteerReasonInfo{PENSTOCK_STEER_BAD_IHL, "bad_ihl", "IPv4 header length below 20 octets", false},
    SteerReasonInfo{PENSTOCK_STEER_BAD_TCP_OFFSET, "bad_tcp_offset",
                    "TCP data offset below 20 octets or past the packet", false},
    SteerReasonInfo{PENSTOCK_STEER_BAD_UDP_LENGTH, "bad_udp_length", "UDP length below 8 octets or past the packet",
                    false},
    SteerReasonInfo{PENSTOCK_STEER_FRAGMENT, "fragment", "IP fragment: the kernel reassembles", false},
    SteerReasonInfo{PENSTOCK_STEER_IPV6_EXTENSION, "ipv6_extension", "IPv6 extension header: the kernel handles it",
                    false},
    SteerReasonInfo{PENSTOCK_STEER_VLAN_DEPTH, "vlan_depth", "more than one VLAN tag", false},
    SteerReasonInfo{PENSTOCK_STEER_STALE_HEARTBEAT, "stale_heartbeat",
                    "ours, but the worker has not been seen for heartbeat_limit", false},
    SteerReasonInfo{PENSTOCK_STEER_KERNEL_FLOW, "kernel_flow",
                    "ours, but the flow began on the kernel path and stays there", false},
    SteerReasonInfo{PENSTOCK_STEER_NO_SOCKET, "no_socket", "ours, but no AF_XDP socket is bound to the queue", false},
    SteerReasonInfo{PENSTOCK_STEER_PORT_DISABLED, "port_disabled", "steering is switched off on this port", false},
    SteerReasonInfo{PENSTOCK_STEER_MAPPED_ADDRESS, "mapped_address", "IPv6 packet that carries an IPv4-mapped address",
                    false},
    SteerReasonInfo{PENSTOCK_STEER_FORWARDED, "forwarded",
                    "translated and sent to the flow's other side by the program", false},
};
static_assert(kSteerReasons.size() == PENSTOCK_STEER_REASON_COUNT);
static_assert([] {
  for (std::size_t i = 0; i < kSteerReasons.size(); ++i)
    if (kSteerReasons[i].reason != i) return false;
  return true;
}());

[[nodiscard]] constexpr std::string_view name_of(penstock_steer_reason reason) { return kSteerReasons[reason].name; }

}  // namespace penstock
