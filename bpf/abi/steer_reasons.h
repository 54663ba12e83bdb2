// steer_reasons.h - names and meanings of the steering program's reasons, in enum order.
//
// Model     the one table behind metrics, `penstock counters` and docs/architecture/steering.md.
// Rule      one row per penstock_steer_reason; appended with it.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "bpf/abi/steer.h"

namespace penstock {

/// Where a frame went. `forwarded`: to the flow's other side, seen by nobody but the program.
enum class SteeredTo : std::uint8_t { dataplane, kernel, forwarded };

struct SteerReasonInfo {
  penstock_steer_reason reason;
  std::string_view name;
  std::string_view meaning;
  SteeredTo to;
};

inline constexpr std::array kSteerReasons{
    SteerReasonInfo{PENSTOCK_STEER_REDIRECTED_SERVICE, "redirected_service", "to a service address",
                    SteeredTo::dataplane},
    SteerReasonInfo{PENSTOCK_STEER_REDIRECTED_NODE, "redirected_node", "to a port that our upstream legs own",
                    SteeredTo::dataplane},
    SteerReasonInfo{PENSTOCK_STEER_REDIRECTED_SOURCE, "redirected_source", "from an endpoint behind a DNAT listener",
                    SteeredTo::dataplane},
    SteerReasonInfo{PENSTOCK_STEER_REDIRECTED_ICMP, "redirected_icmp", "ICMP error about one of our flows",
                    SteeredTo::dataplane},
    SteerReasonInfo{PENSTOCK_STEER_REDIRECTED_ECHO, "redirected_echo", "echo request to a service address",
                    SteeredTo::dataplane},
    SteerReasonInfo{PENSTOCK_STEER_REDIRECTED_NEIGHBOR, "redirected_neighbor",
                    "ARP request or neighbour solicitation for a service address", SteeredTo::dataplane},
    SteerReasonInfo{PENSTOCK_STEER_REDIRECTED_PROBE, "redirected_probe", "frame of the attach self-test",
                    SteeredTo::dataplane},
    SteerReasonInfo{PENSTOCK_STEER_NOT_MESH, "not_mesh", "well-formed, not ours", SteeredTo::kernel},
    SteerReasonInfo{PENSTOCK_STEER_NOT_IP, "not_ip", "another EtherType, or ARP that is no request", SteeredTo::kernel},
    SteerReasonInfo{PENSTOCK_STEER_UNSUPPORTED_PROTO, "unsupported_proto",
                    "IP, neither TCP, UDP nor a steered ICMP type", SteeredTo::kernel},
    SteerReasonInfo{PENSTOCK_STEER_TRUNCATED, "truncated", "a header or length field points past the frame",
                    SteeredTo::kernel},
    SteerReasonInfo{PENSTOCK_STEER_BAD_VERSION, "bad_version", "IP version disagrees with the EtherType",
                    SteeredTo::kernel},
    SteerReasonInfo{PENSTOCK_STEER_BAD_IHL, "bad_ihl", "IPv4 header length below 20 octets", SteeredTo::kernel},
    SteerReasonInfo{PENSTOCK_STEER_BAD_TCP_OFFSET, "bad_tcp_offset",
                    "TCP data offset below 20 octets or past the packet", SteeredTo::kernel},
    SteerReasonInfo{PENSTOCK_STEER_BAD_UDP_LENGTH, "bad_udp_length", "UDP length below 8 octets or past the packet",
                    SteeredTo::kernel},
    SteerReasonInfo{PENSTOCK_STEER_FRAGMENT, "fragment", "IP fragment: the kernel reassembles", SteeredTo::kernel},
    SteerReasonInfo{PENSTOCK_STEER_IPV6_EXTENSION, "ipv6_extension", "IPv6 extension header: the kernel handles it",
                    SteeredTo::kernel},
    SteerReasonInfo{PENSTOCK_STEER_VLAN_DEPTH, "vlan_depth", "more than one VLAN tag", SteeredTo::kernel},
    SteerReasonInfo{PENSTOCK_STEER_STALE_HEARTBEAT, "stale_heartbeat",
                    "ours, but the worker has not been seen for heartbeat_limit", SteeredTo::kernel},
    SteerReasonInfo{PENSTOCK_STEER_KERNEL_FLOW, "kernel_flow",
                    "ours, but the flow began on the kernel path and stays there", SteeredTo::kernel},
    SteerReasonInfo{PENSTOCK_STEER_NO_SOCKET, "no_socket", "ours, but no AF_XDP socket is bound to the queue",
                    SteeredTo::kernel},
    SteerReasonInfo{PENSTOCK_STEER_PORT_DISABLED, "port_disabled", "steering is switched off on this port",
                    SteeredTo::kernel},
    SteerReasonInfo{PENSTOCK_STEER_MAPPED_ADDRESS, "mapped_address", "IPv6 packet that carries an IPv4-mapped address",
                    SteeredTo::kernel},
    SteerReasonInfo{PENSTOCK_STEER_FORWARDED, "forwarded",
                    "translated and sent to the flow's other side by the program", SteeredTo::forwarded},
};
static_assert(kSteerReasons.size() == PENSTOCK_STEER_REASON_COUNT);
static_assert([] {
  for (std::size_t i = 0; i < kSteerReasons.size(); ++i)
    if (kSteerReasons[i].reason != i) return false;
  return true;
}());

[[nodiscard]] constexpr std::string_view name_of(penstock_steer_reason reason) { return kSteerReasons[reason].name; }

}  // namespace penstock
