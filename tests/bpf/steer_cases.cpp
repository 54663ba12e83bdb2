#include "tests/bpf/steer_cases.h"

#include <cstring>

namespace penstock::test {
namespace {

using Cases = std::vector<SteerCase>;

PacketBuilder v4(const char* from, const char* to) {
  PacketBuilder out;
  out.ipv4(from, to);
  return out;
}
PacketBuilder v6(const char* from, const char* to) {
  PacketBuilder out;
  out.ipv6(from, to);
  return out;
}
Bytes with(Bytes frame, std::size_t offset, std::uint8_t value) {
  frame.at(offset) = std::byte{value};
  return frame;
}
Bytes with16(const Bytes& frame, std::size_t offset, std::uint16_t value) {
  return with(with(frame, offset, static_cast<std::uint8_t>(value >> 8)), offset + 1,
              static_cast<std::uint8_t>(value & 0xff));
}
Bytes raw(std::uint16_t type, std::size_t octets) {
  Bytes frame(14 + octets);
  frame[0] = frame[6] = std::byte{2};
  return with16(frame, 12, type);
}
Bytes double_tagged(std::uint16_t outer, std::uint16_t inner) {
  Bytes frame = raw(outer, 46);
  return with16(with16(frame, 16, inner), 20, 0x0800);
}
Bytes probe(std::uint32_t magic, std::size_t octets) {
  Bytes frame = raw(PENSTOCK_PROBE_ETHERTYPE, octets);
  for (std::size_t i = 0; i < 4 && i < octets; ++i) frame[14 + i] = std::byte(magic >> (24 - 8 * i) & 0xff);
  return frame;
}
Bytes syn4() { return v4(kClient4, kVip4).tcp(40000, kServicePort, "S").build(); }
Bytes syn6() { return v6(kClient6, kVip6).tcp(40000, kServicePort, "S").build(); }
Bytes dns4() { return v4(kClient4, kVip4).udp(40000, kDnsPort).payload("query").build(); }
Bytes dns6() { return v6(kClient6, kVip6).udp(40000, kDnsPort).payload("query").build(); }

void services(Cases& out) {
  const auto reason = PENSTOCK_STEER_REDIRECTED_SERVICE;
  out.push_back({"tcp4_syn_to_service", syn4(), reason});
  out.push_back({"tcp6_syn_to_service", syn6(), reason});
  out.push_back({"udp4_to_service", dns4(), reason});
  out.push_back({"udp6_to_service", dns6(), reason});
  out.push_back({"tcp4_data_to_service",
                 v4(kClient4, kVip4).tcp(40000, kServicePort, "PA").payload_octets(1400).build(), reason});
  out.push_back({"tcp4_reset_to_service", v4(kClient4, kVip4).tcp(40000, kServicePort, "R").build(), reason});
  out.push_back(
      {"tcp4_with_ip_options", v4(kClient4, kVip4).ip_options(8).tcp(40000, kServicePort, "S").build(), reason});
  out.push_back(
      {"tcp4_with_most_ip_options", v4(kClient4, kVip4).ip_options(40).tcp(40000, kServicePort, "S").build(), reason});
  out.push_back({"tcp4_with_tcp_options",
                 v4(kClient4, kVip4).tcp(40000, kServicePort, "S").tcp_options(Bytes(40, std::byte{1})).build(),
                 reason});
  out.push_back({"tcp4_in_vlan", v4(kClient4, kVip4).vlan(5).tcp(40000, kServicePort, "S").build(), reason});
  out.push_back({"tcp6_in_vlan", v6(kClient6, kVip6).vlan(0x6005).tcp(40000, kServicePort, "S").build(), reason});
  out.push_back(
      {"tcp4_in_service_vlan", v4(kClient4, kVip4).vlan(5, 0x88a8).tcp(40000, kServicePort, "S").build(), reason});
  out.push_back(
      {"tcp4_with_link_padding", v4(kClient4, kVip4).tcp(40000, kServicePort, "A").padding(6).build(), reason});
  out.push_back({"udp4_empty", v4(kClient4, kVip4).udp(40000, kDnsPort).build(), reason});
  out.push_back({"udp4_without_checksum",
                 v4(kClient4, kVip4).udp(40000, kDnsPort).payload("q").checksum(ChecksumMode::zero).build(), reason});
  out.push_back({"tcp4_with_partial_checksum",
                 v4(kClient4, kVip4).tcp(40000, kServicePort, "S").checksum(ChecksumMode::partial).build(), reason});
  out.push_back({"tcp4_with_bad_checksum",  // the dataplane's to judge
                 v4(kClient4, kVip4).tcp(40000, kServicePort, "S").checksum(ChecksumMode::bad).build(), reason});
  out.push_back({"udp4_shorter_than_ip", with16(dns4(), 14 + 20 + 4, 8), reason});
}

void nodes_and_sources(Cases& out) {
  const auto node = PENSTOCK_STEER_REDIRECTED_NODE;
  out.push_back({"tcp4_reply_to_range_low", v4("10.10.2.12", kNode4).tcp(8080, kRangeLow, "SA").build(), node});
  out.push_back({"tcp4_reply_to_range_high", v4("10.10.2.12", kNode4).tcp(8080, kRangeHigh, "A").build(), node});
  out.push_back({"tcp6_reply_to_range", v6("fd10:2::12", kNode6).tcp(8080, 20000, "A").build(), node});
  out.push_back({"udp4_reply_to_range", v4("10.10.2.12", kNode4).udp(53, 20000).build(), node});
  const auto source = PENSTOCK_STEER_REDIRECTED_SOURCE;
  out.push_back(
      {"tcp4_reply_of_dnat_endpoint", v4(kEndpoint4, kClient4).tcp(kEndpointPort, 40000, "SA").build(), source});
  out.push_back(
      {"tcp6_reply_of_dnat_endpoint", v6(kEndpoint6, kClient6).tcp(kEndpointPort, 40000, "SA").build(), source});
  const auto other = PENSTOCK_STEER_NOT_MESH;
  out.push_back({"tcp4_below_range", v4("10.10.2.12", kNode4).tcp(8080, kRangeLow - 1, "A").build(), other});
  out.push_back({"tcp4_above_range", v4("10.10.2.12", kNode4).tcp(8080, kRangeHigh + 1, "A").build(), other});
  out.push_back({"tcp4_range_of_another_address", v4("10.10.2.12", "10.10.2.13").tcp(8080, 20000, "A").build(), other});
  out.push_back({"udp4_of_dnat_endpoint", v4(kEndpoint4, kClient4).udp(kEndpointPort, 40000).build(), other});
  out.push_back({"tcp4_other_port_of_service", v4(kClient4, kVip4).tcp(40000, 81, "S").build(), other});
  out.push_back({"udp4_port_of_tcp_service", v4(kClient4, kVip4).udp(40000, kServicePort).build(), other});
  out.push_back({"tcp4_other_address", v4(kClient4, "10.96.0.11").tcp(40000, kServicePort, "S").build(), other});
  out.push_back({"tcp6_other_address", v6(kClient6, "fd00:96::11").tcp(40000, kServicePort, "S").build(), other});
  out.push_back({"tcp4_from_service_address", v4(kVip4, kClient4).tcp(kServicePort, 40000, "A").build(), other});
}

Bytes icmp4(std::uint8_t type, std::uint8_t code, Bytes quoted) {
  return v4("10.1.0.1", kVip4).icmp(type, code).payload(std::move(quoted)).build();
}
Bytes icmp6(std::uint8_t type, std::uint8_t code, Bytes quoted) {
  return v6("fd10:1::1", kVip6).icmp(type, code).payload(std::move(quoted)).build();
}

void icmp_errors(Cases& out) {
  // What we sent to the client comes back quoted: its source is the service.
  const Bytes reply4 = v4(kVip4, kClient4).tcp(kServicePort, 40000, "A").quote();
  const Bytes reply6 = v6(kVip6, kClient6).tcp(kServicePort, 40000, "A").quote();
  const auto reason = PENSTOCK_STEER_REDIRECTED_ICMP;
  out.push_back({"icmp4_unreachable_about_service", icmp4(3, 1, reply4), reason});
  out.push_back({"icmp4_too_big_about_service", icmp4(3, 4, reply4), reason});
  out.push_back({"icmp4_time_exceeded_about_service", icmp4(11, 0, reply4), reason});
  out.push_back({"icmp4_parameter_problem_about_service", icmp4(12, 0, reply4), reason});
  out.push_back({"icmp4_quote_of_28_octets", icmp4(3, 4, {reply4.begin(), reply4.begin() + 28}), reason});
  out.push_back({"icmp4_about_udp", icmp4(3, 3, v4(kVip4, kClient4).udp(kDnsPort, 40000).quote()), reason});
  out.push_back({"icmp4_quote_with_options",
                 icmp4(3, 4, v4(kVip4, kClient4).ip_options(12).tcp(kServicePort, 40000, "A").quote()), reason});
  out.push_back(
      {"icmp4_about_node_range",
       v4("10.10.2.254", kNode4).icmp(3, 1).payload(v4(kNode4, "10.10.2.12").tcp(20000, 8080, "A").quote(28)).build(),
       reason});
  out.push_back({"icmp4_about_dnat_request",
                 v4("10.10.2.254", kClient4)
                     .icmp(3, 1)
                     .payload(v4(kClient4, kEndpoint4).tcp(40000, kEndpointPort, "A").quote(28))
                     .build(),
                 reason});
  for (const std::uint8_t type : {std::uint8_t{1}, std::uint8_t{2}, std::uint8_t{3}, std::uint8_t{4}})
    out.push_back({"icmp6_error_type_" + std::to_string(type), icmp6(type, 0, reply6), reason});
  const auto other = PENSTOCK_STEER_NOT_MESH;
  out.push_back({"icmp4_about_other_flow", icmp4(3, 1, v4(kClient4, kVip4).tcp(40000, 80, "A").quote()), other});
  out.push_back({"icmp6_about_other_flow", icmp6(1, 0, v6(kClient6, kVip6).tcp(40000, 80, "A").quote()), other});
  out.push_back({"icmp4_quote_missing", icmp4(3, 1, {}), PENSTOCK_STEER_TRUNCATED});
  out.push_back(
      {"icmp4_quote_cut_in_ip_header", icmp4(3, 1, {reply4.begin(), reply4.begin() + 19}), PENSTOCK_STEER_TRUNCATED});
  out.push_back(
      {"icmp4_quote_cut_in_ports", icmp4(3, 1, {reply4.begin(), reply4.begin() + 27}), PENSTOCK_STEER_TRUNCATED});
  out.push_back(
      {"icmp6_quote_cut_in_ports", icmp6(1, 0, {reply6.begin(), reply6.begin() + 47}), PENSTOCK_STEER_TRUNCATED});
  out.push_back(
      {"icmp6_quote_cut_in_ip_header", icmp6(1, 0, {reply6.begin(), reply6.begin() + 39}), PENSTOCK_STEER_TRUNCATED});
  out.push_back({"icmp4_quote_of_version_6", icmp4(3, 1, reply6), PENSTOCK_STEER_BAD_VERSION});
  out.push_back({"icmp6_quote_of_version_4", icmp6(1, 0, with(reply6, 0, 0x45)), PENSTOCK_STEER_BAD_VERSION});
  out.push_back({"icmp4_quote_bad_ihl", icmp4(3, 1, with(reply4, 0, 0x44)), PENSTOCK_STEER_BAD_IHL});
  out.push_back({"icmp4_quote_ihl_past_end", icmp4(3, 1, with({reply4.begin(), reply4.begin() + 28}, 0, 0x4f)),
                 PENSTOCK_STEER_TRUNCATED});
  out.push_back({"icmp4_quote_of_later_fragment", icmp4(3, 1, with16(reply4, 6, 0x0010)), PENSTOCK_STEER_FRAGMENT});
  out.push_back({"icmp4_quote_of_icmp", icmp4(3, 1, with(reply4, 9, 1)), PENSTOCK_STEER_UNSUPPORTED_PROTO});
  out.push_back({"icmp6_quote_of_extension", icmp6(1, 0, with(reply6, 6, 44)), PENSTOCK_STEER_UNSUPPORTED_PROTO});
}

void addresses(Cases& out) {
  const char* mac = "02:00:00:00:00:01";
  out.push_back({"echo4_to_service_address", v4(kClient4, kVip4).echo_request(7, 1).payload("ping").build(),
                 PENSTOCK_STEER_REDIRECTED_ECHO});
  out.push_back({"echo6_to_service_address", v6(kClient6, kVip6).echo_request(7, 1).payload("ping").build(),
                 PENSTOCK_STEER_REDIRECTED_ECHO});
  out.push_back({"echo4_to_node", v4(kClient4, kNode4).echo_request(7, 1).build(), PENSTOCK_STEER_NOT_MESH});
  out.push_back({"arp_request_for_service_address", PacketBuilder{}.arp(1, mac, kClient4, kVip4).build(),
                 PENSTOCK_STEER_REDIRECTED_NEIGHBOR});
  out.push_back({"arp_request_in_vlan", PacketBuilder{}.vlan(5).arp(1, mac, kClient4, kVip4).build(),
                 PENSTOCK_STEER_REDIRECTED_NEIGHBOR});
  out.push_back({"arp_request_for_other_address", PacketBuilder{}.arp(1, mac, kClient4, kNode4).build(),
                 PENSTOCK_STEER_NOT_MESH});
  const Bytes arp = PacketBuilder{}.arp(1, mac, kClient4, kVip4).build();
  out.push_back({"arp_reply", with(arp, 21, 2), PENSTOCK_STEER_NOT_IP});
  out.push_back({"arp_of_other_hardware", with(arp, 15, 6), PENSTOCK_STEER_NOT_IP});
  out.push_back({"arp_of_other_protocol", with16(arp, 16, 0x86dd), PENSTOCK_STEER_NOT_IP});
  out.push_back({"arp_of_other_address_length", with(arp, 19, 16), PENSTOCK_STEER_NOT_IP});
  out.push_back({"arp_truncated", {arp.begin(), arp.begin() + 41}, PENSTOCK_STEER_TRUNCATED});
  const Bytes ns = v6(kClient6, "ff02::1:ff00:10").neighbor_solicitation(kVip6, mac).build();
  out.push_back({"solicitation_for_service_address", ns, PENSTOCK_STEER_REDIRECTED_NEIGHBOR});
  out.push_back({"solicitation_without_option", v6(kClient6, kVip6).neighbor_solicitation(kVip6, "").build(),
                 PENSTOCK_STEER_REDIRECTED_NEIGHBOR});
  out.push_back({"solicitation_for_other_address",
                 v6(kClient6, "ff02::1:ff00:1").neighbor_solicitation(kNode6, mac).build(), PENSTOCK_STEER_NOT_MESH});
  out.push_back({"solicitation_through_a_router", with(ns, 14 + 7, 254), PENSTOCK_STEER_UNSUPPORTED_PROTO});
  out.push_back({"solicitation_with_code", with(ns, 14 + 40 + 1, 1), PENSTOCK_STEER_UNSUPPORTED_PROTO});
  out.push_back({"solicitation_truncated", with16(Bytes{ns.begin(), ns.begin() + 14 + 40 + 23}, 14 + 4, 23),
                 PENSTOCK_STEER_TRUNCATED});
}

void other_protocols(Cases& out) {
  out.push_back({"lldp", raw(0x88cc, 46), PENSTOCK_STEER_NOT_IP});
  out.push_back({"length_field_frame", raw(46, 46), PENSTOCK_STEER_NOT_IP});
  out.push_back({"mpls", raw(0x8847, 46), PENSTOCK_STEER_NOT_IP});
  out.push_back({"probe", probe(PENSTOCK_PROBE_MAGIC, 46), PENSTOCK_STEER_REDIRECTED_PROBE});
  out.push_back({"probe_with_other_magic", probe(0x50454e54, 46), PENSTOCK_STEER_NOT_IP});
  out.push_back({"probe_truncated", probe(PENSTOCK_PROBE_MAGIC, 3), PENSTOCK_STEER_NOT_IP});
  const auto unsupported = PENSTOCK_STEER_UNSUPPORTED_PROTO;
  out.push_back({"gre4", with(syn4(), 14 + 9, 47), unsupported});
  out.push_back({"sctp6", with(syn6(), 14 + 6, 132), unsupported});
  out.push_back({"no_next_header6", with(syn6(), 14 + 6, 59), unsupported});
  out.push_back({"icmpv6_in_ipv4", with(syn4(), 14 + 9, 58), unsupported});
  out.push_back({"icmp_in_ipv6", with(syn6(), 14 + 6, 1), unsupported});
  out.push_back({"icmp4_echo_reply", v4(kClient4, kVip4).icmp(0, 0).build(), unsupported});
  out.push_back({"icmp4_redirect", v4(kClient4, kVip4).icmp(5, 0).build(), unsupported});
  out.push_back({"icmp6_echo_reply", v6(kClient6, kVip6).icmp(129, 0).build(), unsupported});
  out.push_back({"icmp6_advertisement", v6(kClient6, kVip6).icmp(136, 0).build(), unsupported});
  for (const int next : {0, 43, 50, 51, 60, 135, 139, 140})
    out.push_back({"extension6_" + std::to_string(next), with(syn6(), 14 + 6, static_cast<std::uint8_t>(next)),
                   PENSTOCK_STEER_IPV6_EXTENSION});
  out.push_back({"fragment6", with(syn6(), 14 + 6, 44), PENSTOCK_STEER_FRAGMENT});
  out.push_back(
      {"fragment4_first", v4(kClient4, kVip4).fragment(0, true).udp(40000, kDnsPort).build(), PENSTOCK_STEER_FRAGMENT});
  out.push_back({"fragment4_later", v4(kClient4, kVip4).fragment(185, false).udp(40000, kDnsPort).build(),
                 PENSTOCK_STEER_FRAGMENT});
  out.push_back({"vlan_twice", double_tagged(0x88a8, 0x8100), PENSTOCK_STEER_VLAN_DEPTH});
  out.push_back({"vlan_twice_same_type", double_tagged(0x8100, 0x8100), PENSTOCK_STEER_VLAN_DEPTH});
}

void malformed(Cases& out) {
  const auto truncated = PENSTOCK_STEER_TRUNCATED;
  // The kernel's test-run takes no frame below 14 octets; user space does (parse_fuzz seeds of their own).
  out.push_back({"header_only4", raw(0x0800, 0), truncated});
  out.push_back({"header_only6", raw(0x86dd, 0), truncated});
  out.push_back({"vlan_truncated", raw(0x8100, 3), truncated});
  out.push_back({"ip4_cut_in_header", syn4(), truncated});
  out.back().frame = syn4();
  out.back().frame.resize(14 + 19);
  out.push_back({"ip6_cut_in_header", syn6(), truncated});
  out.back().frame.resize(14 + 39);
  out.push_back({"ip4_total_past_frame", with16(syn4(), 14 + 2, 41), truncated});
  out.push_back({"ip4_total_below_header", with16(syn4(), 14 + 2, 19), truncated});
  out.push_back({"ip4_options_past_total", with(syn4(), 14, 0x4f), truncated});
  out.push_back({"ip6_payload_past_frame", with16(syn6(), 14 + 4, 21), truncated});
  out.push_back({"ip6_payload_zero", with16(syn6(), 14 + 4, 0), truncated});
  out.push_back({"ip4_of_version_6", with(syn4(), 14, 0x65), PENSTOCK_STEER_BAD_VERSION});
  out.push_back({"ip6_of_version_4", with(syn6(), 14, 0x45), PENSTOCK_STEER_BAD_VERSION});
  out.push_back({"ip4_ihl_4", with(syn4(), 14, 0x44), PENSTOCK_STEER_BAD_IHL});
  out.push_back({"ip4_ihl_0", with(syn4(), 14, 0x40), PENSTOCK_STEER_BAD_IHL});
  out.push_back({"tcp4_cut_by_total", with16(syn4(), 14 + 2, 39), truncated});
  out.push_back({"tcp6_cut_by_payload", with16(syn6(), 14 + 4, 19), truncated});
  out.push_back({"tcp4_offset_4", with(syn4(), 14 + 20 + 12, 0x40), PENSTOCK_STEER_BAD_TCP_OFFSET});
  out.push_back({"tcp4_offset_0", with(syn4(), 14 + 20 + 12, 0x00), PENSTOCK_STEER_BAD_TCP_OFFSET});
  out.push_back({"tcp4_offset_past_packet", with(syn4(), 14 + 20 + 12, 0x60), PENSTOCK_STEER_BAD_TCP_OFFSET});
  out.push_back({"tcp6_offset_past_packet", with(syn6(), 14 + 40 + 12, 0xf0), PENSTOCK_STEER_BAD_TCP_OFFSET});
  out.push_back({"udp4_length_7", with16(dns4(), 14 + 20 + 4, 7), PENSTOCK_STEER_BAD_UDP_LENGTH});
  out.push_back({"udp4_length_past_packet", with16(dns4(), 14 + 20 + 4, 14), PENSTOCK_STEER_BAD_UDP_LENGTH});
  out.push_back({"udp6_length_0", with16(dns6(), 14 + 40 + 4, 0), PENSTOCK_STEER_BAD_UDP_LENGTH});
  out.push_back({"udp4_cut_by_total", with16(dns4(), 14 + 2, 27), truncated});
  out.push_back({"udp6_cut_by_payload", with16(dns6(), 14 + 4, 7), truncated});
  out.push_back({"icmp4_cut_by_total", with16(v4(kClient4, kVip4).echo_request(1, 1).build(), 14 + 2, 27), truncated});
  out.push_back({"icmp6_cut_by_payload", with16(v6(kClient6, kVip6).echo_request(1, 1).build(), 14 + 4, 7), truncated});
}

// Our IPv4 service in IPv6 clothes: keys of both families have one form, so this must not match.
void mapped_addresses(Cases& out) {
  const auto place = [](Bytes frame, std::size_t offset) {
    const IpAddress mapped = ip(kVip4);
    std::memcpy(frame.data() + offset, mapped.octets.data(), mapped.octets.size());
    return frame;
  };
  const auto reason = PENSTOCK_STEER_MAPPED_ADDRESS;
  out.push_back({"mapped_destination", place(syn6(), 14 + 24), reason});
  out.push_back({"mapped_source", place(syn6(), 14 + 8), reason});
  out.push_back({"mapped_echo_destination", place(v6(kClient6, kVip6).echo_request(1, 1).build(), 14 + 24), reason});
  out.push_back({"mapped_solicitation",
                 place(v6(kClient6, kVip6).neighbor_solicitation(kVip6, "").build(), 14 + 40 + 8), reason});
  const Bytes error = icmp6(1, 0, v6(kVip6, kClient6).tcp(kServicePort, 40000, "A").quote());
  out.push_back({"mapped_quote_source", place(error, 14 + 40 + 8 + 8), reason});
  out.push_back({"mapped_quote_destination", place(error, 14 + 40 + 8 + 24), reason});
}

}  // namespace

std::vector<SteerCase> steer_cases() {
  Cases out;
  services(out);
  nodes_and_sources(out);
  icmp_errors(out);
  addresses(out);
  other_protocols(out);
  malformed(out);
  mapped_addresses(out);
  return out;
}

}  // namespace penstock::test
