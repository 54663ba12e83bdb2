// drop_reason.h - the one list of why a frame was dropped by the dataplane.
//
// Model     one enum, one table in enum order; metrics, `penstock counters` and docs/guide/counters.md use it.
// Limits    at most kDropReasonMax reasons, the room that the counters segment keeps.
// Rule      append only, before `count`: the number is part of the counters layout.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace penstock {

enum class DropReason : std::uint8_t {
  none,
  truncated,
  not_ip,
  vlan_depth,
  bad_version,
  bad_ihl,
  bad_total_length,
  bad_tcp_offset,
  bad_udp_length,
  fragment,
  ipv6_extension,
  unsupported_proto,
  bad_checksum,
  ttl_expired,
  no_listener,
  listener_draining,
  no_endpoint,
  no_next_hop,
  no_flow,
  flow_table_full,
  source_ports_exhausted,
  policy_denied,
  question_ring_full,
  parked_full,
  question_deadline,
  handoff_full,
  transmit_full,
  port_gone,
  too_big,
  icmp_unrelated,
  icmp_malformed,
  neighbor_not_ours,
  probe,
  no_headroom,
  stopping,
  neighbor_invalid,
  mapped_address,
  proxy_full,
  splice_reset,
  count
};
inline constexpr std::size_t kDropReasonCount = static_cast<std::size_t>(DropReason::count);
inline constexpr std::size_t kDropReasonMax = 64;
static_assert(kDropReasonCount <= kDropReasonMax);

/// One row per DropReason, in enum order.
struct ReasonInfo {
  DropReason reason;
  std::string_view name;
  std::string_view meaning;
};
inline constexpr std::array kDropReasons{
    ReasonInfo{DropReason::none, "none", "not dropped"},
    ReasonInfo{DropReason::truncated, "truncated", "a header or length field points past the frame"},
    ReasonInfo{DropReason::not_ip, "not_ip", "EtherType is neither IPv4, IPv6 nor ARP"},
    ReasonInfo{DropReason::vlan_depth, "vlan_depth", "more than one VLAN tag"},
    ReasonInfo{DropReason::bad_version, "bad_version", "IP version disagrees with the EtherType"},
    ReasonInfo{DropReason::bad_ihl, "bad_ihl", "IPv4 header length below 20 octets"},
    ReasonInfo{DropReason::bad_total_length, "bad_total_length", "IP total length shorter than its headers"},
    ReasonInfo{DropReason::bad_tcp_offset, "bad_tcp_offset", "TCP data offset below 20 octets or past the packet"},
    ReasonInfo{DropReason::bad_udp_length, "bad_udp_length", "UDP length below 8 octets or past the packet"},
    ReasonInfo{DropReason::fragment, "fragment", "IP fragment; the kernel path handles those"},
    ReasonInfo{DropReason::ipv6_extension, "ipv6_extension", "IPv6 extension header in front of the transport header"},
    ReasonInfo{DropReason::unsupported_proto, "unsupported_proto",
               "neither TCP, UDP nor an ICMP message that we serve"},
    ReasonInfo{DropReason::bad_checksum, "bad_checksum", "checksum is wrong on a port that verifies it"},
    ReasonInfo{DropReason::ttl_expired, "ttl_expired", "time to live or hop limit reached zero here"},
    ReasonInfo{DropReason::no_listener, "no_listener", "no listener for the destination in the current snapshot"},
    ReasonInfo{DropReason::listener_draining, "listener_draining", "new flow for a listener that is being removed"},
    ReasonInfo{DropReason::no_endpoint, "no_endpoint", "the cluster has no endpoint with weight above zero"},
    ReasonInfo{DropReason::no_next_hop, "no_next_hop",
               "the endpoint's link address is not resolved or not on a port of ours"},
    ReasonInfo{DropReason::no_flow, "no_flow", "TCP segment or reply of no known flow"},
    ReasonInfo{DropReason::flow_table_full, "flow_table_full", "new flow while the worker's flow table is full"},
    ReasonInfo{DropReason::source_ports_exhausted, "source_ports_exhausted",
               "no free source port towards this endpoint"},
    ReasonInfo{DropReason::policy_denied, "policy_denied", "policy answered deny"},
    ReasonInfo{DropReason::question_ring_full, "question_ring_full",
               "policy question could not be asked and the default action is deny"},
    ReasonInfo{DropReason::parked_full, "parked_full",
               "no room to park the flow while its question is open and the default action is deny"},
    ReasonInfo{DropReason::question_deadline, "question_deadline",
               "policy question was not answered in time and the default action is deny"},
    ReasonInfo{DropReason::handoff_full, "handoff_full", "hand-off ring to the owning worker is full"},
    ReasonInfo{DropReason::transmit_full, "transmit_full", "the device took no more frames"},
    ReasonInfo{DropReason::port_gone, "port_gone", "the port to send to was removed"},
    ReasonInfo{DropReason::too_big, "too_big", "packet above the outgoing port's MTU; ICMP was sent where allowed"},
    ReasonInfo{DropReason::icmp_unrelated, "icmp_unrelated", "ICMP error about no flow of ours"},
    ReasonInfo{DropReason::icmp_malformed, "icmp_malformed", "ICMP error whose quoted packet cannot be read"},
    ReasonInfo{DropReason::neighbor_not_ours, "neighbor_not_ours",
               "ARP or neighbour discovery for an address we do not serve"},
    ReasonInfo{DropReason::probe, "probe", "frame of the attach self-test, consumed"},
    ReasonInfo{DropReason::no_headroom, "no_headroom", "no room in front of the frame for a VLAN tag"},
    ReasonInfo{DropReason::stopping, "stopping", "still held when the worker stopped"},
    ReasonInfo{DropReason::neighbor_invalid, "neighbor_invalid",
               "ARP or neighbour solicitation that its RFC tells to discard"},
    ReasonInfo{DropReason::mapped_address, "mapped_address", "IPv6 packet that carries an IPv4-mapped address"},
    ReasonInfo{DropReason::proxy_full, "proxy_full",
               "new proxied connection while as many as allowed were there, or memory for one was short"},
    ReasonInfo{DropReason::splice_reset, "splice_reset", "RST of a spliced flow outside the window of its receiver"},
};
static_assert(kDropReasons.size() == kDropReasonCount);
static_assert([] {
  for (std::size_t i = 0; i < kDropReasons.size(); ++i)
    if (static_cast<std::size_t>(kDropReasons[i].reason) != i) return false;
  return true;
}());

[[nodiscard]] constexpr std::string_view name_of(DropReason reason) {
  return kDropReasons[static_cast<std::size_t>(reason)].name;
}

}  // namespace penstock
