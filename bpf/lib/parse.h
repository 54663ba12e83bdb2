// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// parse.h - from frame to flow key: the one parser of the steering program.
//
// Model     a bounded walk Ethernet, at most one VLAN tag, ARP | IPv4 | IPv6, TCP | UDP | ICMP. What it does not
//           accept it names with the steer reason to count; it never repairs. Calls no BPF helper, so user space
//           compiles it too and compares it with dataplane/wire.
// Units     lengths in octets. Link padding behind the IP packet is allowed and ignored.
// Errors    the returned reason; PENSTOCK_PARSED means that `packet` is filled.
// Not here  whether the packet is ours (xdp/steer.bpf.c), checksums (the dataplane's).
#pragma once
#include "bpf/abi/steer.h"

#ifdef __cplusplus
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wconversion"
#endif

enum { PENSTOCK_PARSED = PENSTOCK_STEER_REASON_COUNT };

enum penstock_packet_kind {
  PENSTOCK_PACKET_FLOW,        // TCP or UDP; flow as on the wire
  PENSTOCK_PACKET_ICMP_ERROR,  // flow is the quoted packet read backwards: its source plays the destination
  PENSTOCK_PACKET_ECHO,        // echo request; only flow.dst is set
  PENSTOCK_PACKET_NEIGHBOR,    // ARP request or neighbour solicitation; flow.dst is the address asked for
  PENSTOCK_PACKET_PROBE        // attach self-test; flow is not set
};

struct penstock_packet {
  struct penstock_flow_key flow;
  __u8 kind;       // penstock_packet_kind
  __u8 tcp_flags;  // octet 13 of a TCP header; 0 for the rest
  __u8 zero[6];
} __attribute__((aligned(8)));

enum {
  PENSTOCK_TCP_FIN = 0x01,
  PENSTOCK_TCP_SYN = 0x02,
  PENSTOCK_TCP_RST = 0x04,
  PENSTOCK_TCP_ACK = 0x10,
  PENSTOCK_PROTO_ICMP = 1,
  PENSTOCK_PROTO_TCP = 6,
  PENSTOCK_PROTO_UDP = 17,
  PENSTOCK_PROTO_ICMPV6 = 58
};

// Loads and stores at any address. BPF accesses packets unaligned by plain loads; memcpy would become octet by
// octet there, and a plain load is undefined in user space.
static inline __attribute__((always_inline)) __u16 penstock_load16(const __u8* p) {
#ifdef __bpf__
  return *(const __u16*)p;
#else
  __u16 v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
#endif
}
static inline __attribute__((always_inline)) __u32 penstock_load32(const __u8* p) {
#ifdef __bpf__
  return *(const __u32*)p;
#else
  __u32 v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
#endif
}
static inline __attribute__((always_inline)) __u16 penstock_host16(__u16 wire) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  return __builtin_bswap16(wire);
#else
  return wire;
#endif
}
static inline __attribute__((always_inline)) void penstock_store32(__u8* p, __u32 v) {
#ifdef __bpf__
  *(__u32*)p = v;
#else
  __builtin_memcpy(p, &v, sizeof v);
#endif
}

static inline __attribute__((always_inline)) void penstock_set_v4(struct penstock_addr* out, const __u8* p) {
  penstock_store32(out->octets, 0);
  penstock_store32(out->octets + 4, 0);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  penstock_store32(out->octets + 8, 0xffff0000u);
#else
  penstock_store32(out->octets + 8, 0x0000ffffu);
#endif
  penstock_store32(out->octets + 12, penstock_load32(p));
}
static inline __attribute__((always_inline)) void penstock_set_v6(struct penstock_addr* out, const __u8* p) {
  penstock_store32(out->octets, penstock_load32(p));
  penstock_store32(out->octets + 4, penstock_load32(p + 4));
  penstock_store32(out->octets + 8, penstock_load32(p + 8));
  penstock_store32(out->octets + 12, penstock_load32(p + 12));
}

// True for ::ffff:a.b.c.d at `p`. On the wire it is nobody's address, and in our maps it is an IPv4 address: an IPv6
// packet that carries it must not pass for an IPv4 one.
static inline __attribute__((always_inline)) int penstock_is_mapped(const __u8* p) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  const __u32 third = 0xffff0000u;
#else
  const __u32 third = 0x0000ffffu;
#endif
  return penstock_load32(p) == 0 && penstock_load32(p + 4) == 0 && penstock_load32(p + 8) == third;
}

// A transport header at `l4`. `octets` is what the IP header promises from there on, `end` is the frame's end:
// the caller has checked that the promise fits, the second comparison is for the verifier.
static inline __attribute__((always_inline)) __u32 penstock_parse_tcp(const __u8* l4, const __u8* end, __u32 octets,
                                                                      struct penstock_packet* packet) {
  if (octets < 20 || l4 + 20 > end) return PENSTOCK_STEER_TRUNCATED;
  const __u32 header = (l4[12] >> 4) * 4u;
  if (header < 20 || header > octets) return PENSTOCK_STEER_BAD_TCP_OFFSET;
  packet->flow.src_port.wire = penstock_load16(l4);
  packet->flow.dst_port.wire = penstock_load16(l4 + 2);
  packet->tcp_flags = l4[13];
  packet->kind = PENSTOCK_PACKET_FLOW;
  return PENSTOCK_PARSED;
}

static inline __attribute__((always_inline)) __u32 penstock_parse_udp(const __u8* l4, const __u8* end, __u32 octets,
                                                                      struct penstock_packet* packet) {
  if (octets < 8 || l4 + 8 > end) return PENSTOCK_STEER_TRUNCATED;
  const __u32 length = penstock_host16(penstock_load16(l4 + 4));
  if (length < 8 || length > octets) return PENSTOCK_STEER_BAD_UDP_LENGTH;
  packet->flow.src_port.wire = penstock_load16(l4);
  packet->flow.dst_port.wire = penstock_load16(l4 + 2);
  packet->kind = PENSTOCK_PACKET_FLOW;
  return PENSTOCK_PARSED;
}

// The first octets of the transport header that an ICMP error quotes (RFC 792: at least 8), read backwards.
static inline __attribute__((always_inline)) __u32 penstock_parse_quoted_ports(const __u8* l4, const __u8* end,
                                                                               __u32 octets, __u8 proto,
                                                                               struct penstock_packet* packet) {
  if (proto != PENSTOCK_PROTO_TCP && proto != PENSTOCK_PROTO_UDP) return PENSTOCK_STEER_UNSUPPORTED_PROTO;
  if (octets < 8 || l4 + 8 > end) return PENSTOCK_STEER_TRUNCATED;
  packet->flow.ip_proto = proto;
  packet->flow.dst_port.wire = penstock_load16(l4);
  packet->flow.src_port.wire = penstock_load16(l4 + 2);
  packet->kind = PENSTOCK_PACKET_ICMP_ERROR;
  return PENSTOCK_PARSED;
}

// The quoted packet at `l3`, of which `octets` are there; its own length field may promise more.
static inline __attribute__((always_inline)) __u32 penstock_parse_quoted_v4(const __u8* l3, const __u8* end,
                                                                            __u32 octets,
                                                                            struct penstock_packet* packet) {
  if (octets < 20 || l3 + 20 > end) return PENSTOCK_STEER_TRUNCATED;
  if ((l3[0] >> 4) != 4) return PENSTOCK_STEER_BAD_VERSION;
  const __u32 header = (l3[0] & 0x0fu) * 4u;
  if (header < 20) return PENSTOCK_STEER_BAD_IHL;
  if (header > octets) return PENSTOCK_STEER_TRUNCATED;
  if (penstock_host16(penstock_load16(l3 + 6)) & 0x1fff) return PENSTOCK_STEER_FRAGMENT;  // no ports behind it
  penstock_set_v4(&packet->flow.dst, l3 + 12);
  penstock_set_v4(&packet->flow.src, l3 + 16);
  return penstock_parse_quoted_ports(l3 + header, end, octets - header, l3[9], packet);
}

static inline __attribute__((always_inline)) __u32 penstock_parse_quoted_v6(const __u8* l3, const __u8* end,
                                                                            __u32 octets,
                                                                            struct penstock_packet* packet) {
  if (octets < 40 || l3 + 40 > end) return PENSTOCK_STEER_TRUNCATED;
  if ((l3[0] >> 4) != 6) return PENSTOCK_STEER_BAD_VERSION;
  if (penstock_is_mapped(l3 + 8) || penstock_is_mapped(l3 + 24)) return PENSTOCK_STEER_MAPPED_ADDRESS;
  penstock_set_v6(&packet->flow.dst, l3 + 8);
  penstock_set_v6(&packet->flow.src, l3 + 24);
  return penstock_parse_quoted_ports(l3 + 40, end, octets - 40, l3[6], packet);
}

static inline __attribute__((always_inline)) __u32 penstock_parse_icmp(const __u8* l4, const __u8* end, __u32 octets,
                                                                       struct penstock_packet* packet) {
  if (octets < 8 || l4 + 8 > end) return PENSTOCK_STEER_TRUNCATED;
  switch (l4[0]) {
    case 8:  // echo request
      packet->kind = PENSTOCK_PACKET_ECHO;
      return PENSTOCK_PARSED;
    case 3:   // destination unreachable
    case 11:  // time exceeded
    case 12:  // parameter problem
      return penstock_parse_quoted_v4(l4 + 8, end, octets - 8, packet);
    default:
      return PENSTOCK_STEER_UNSUPPORTED_PROTO;
  }
}

// `l3` is the IPv6 header in front: a solicitation counts only with hop limit 255 (RFC 4861 s7.1.1).
static inline __attribute__((always_inline)) __u32 penstock_parse_icmpv6(const __u8* l3, const __u8* l4,
                                                                         const __u8* end, __u32 octets,
                                                                         struct penstock_packet* packet) {
  if (octets < 8 || l4 + 8 > end) return PENSTOCK_STEER_TRUNCATED;
  switch (l4[0]) {
    case 128:  // echo request
      packet->kind = PENSTOCK_PACKET_ECHO;
      return PENSTOCK_PARSED;
    case 135:  // neighbour solicitation
      if (octets < 24 || l4 + 24 > end) return PENSTOCK_STEER_TRUNCATED;
      if (l4[1] != 0 || l3[7] != 255) return PENSTOCK_STEER_UNSUPPORTED_PROTO;
      if (penstock_is_mapped(l4 + 8)) return PENSTOCK_STEER_MAPPED_ADDRESS;
      penstock_set_v6(&packet->flow.dst, l4 + 8);
      packet->kind = PENSTOCK_PACKET_NEIGHBOR;
      return PENSTOCK_PARSED;
    case 1:  // destination unreachable
    case 2:  // packet too big
    case 3:  // time exceeded
    case 4:  // parameter problem
      return penstock_parse_quoted_v6(l4 + 8, end, octets - 8, packet);
    default:
      return PENSTOCK_STEER_UNSUPPORTED_PROTO;
  }
}

static inline __attribute__((always_inline)) __u32 penstock_parse_ipv4(const __u8* l3, const __u8* end, __u32 octets,
                                                                       struct penstock_packet* packet) {
  if (l3 + 20 > end) return PENSTOCK_STEER_TRUNCATED;
  if ((l3[0] >> 4) != 4) return PENSTOCK_STEER_BAD_VERSION;
  const __u32 header = (l3[0] & 0x0fu) * 4u;
  if (header < 20) return PENSTOCK_STEER_BAD_IHL;
  const __u32 total = penstock_host16(penstock_load16(l3 + 2));
  if (total < header || total > octets) return PENSTOCK_STEER_TRUNCATED;
  if (penstock_host16(penstock_load16(l3 + 6)) & 0x3fff) return PENSTOCK_STEER_FRAGMENT;
  packet->flow.ip_proto = l3[9];
  penstock_set_v4(&packet->flow.src, l3 + 12);
  penstock_set_v4(&packet->flow.dst, l3 + 16);
  const __u8* l4 = l3 + header;
  if (l3[9] == PENSTOCK_PROTO_TCP) return penstock_parse_tcp(l4, end, total - header, packet);
  if (l3[9] == PENSTOCK_PROTO_UDP) return penstock_parse_udp(l4, end, total - header, packet);
  if (l3[9] == PENSTOCK_PROTO_ICMP) return penstock_parse_icmp(l4, end, total - header, packet);
  return PENSTOCK_STEER_UNSUPPORTED_PROTO;
}

static inline __attribute__((always_inline)) __u32 penstock_parse_ipv6(const __u8* l3, const __u8* end, __u32 octets,
                                                                       struct penstock_packet* packet) {
  if (l3 + 40 > end) return PENSTOCK_STEER_TRUNCATED;
  if ((l3[0] >> 4) != 6) return PENSTOCK_STEER_BAD_VERSION;
  const __u32 payload = penstock_host16(penstock_load16(l3 + 4));
  if (40 + payload > octets) return PENSTOCK_STEER_TRUNCATED;
  if (penstock_is_mapped(l3 + 8) || penstock_is_mapped(l3 + 24)) return PENSTOCK_STEER_MAPPED_ADDRESS;
  packet->flow.ip_proto = l3[6];
  penstock_set_v6(&packet->flow.src, l3 + 8);
  penstock_set_v6(&packet->flow.dst, l3 + 24);
  switch (l3[6]) {
    case PENSTOCK_PROTO_TCP:
      return penstock_parse_tcp(l3 + 40, end, payload, packet);
    case PENSTOCK_PROTO_UDP:
      return penstock_parse_udp(l3 + 40, end, payload, packet);
    case PENSTOCK_PROTO_ICMPV6:
      return penstock_parse_icmpv6(l3, l3 + 40, end, payload, packet);
    case 44:  // fragment
      return PENSTOCK_STEER_FRAGMENT;
    case 0:    // hop-by-hop options
    case 43:   // routing
    case 50:   // encapsulating security payload
    case 51:   // authentication
    case 60:   // destination options
    case 135:  // mobility
    case 139:  // host identity
    case 140:  // shim6
      return PENSTOCK_STEER_IPV6_EXTENSION;
    default:
      return PENSTOCK_STEER_UNSUPPORTED_PROTO;
  }
}

// ARP (RFC 826): a request for an IPv4 address over Ethernet; everything else is the kernel's.
static inline __attribute__((always_inline)) __u32 penstock_parse_arp(const __u8* arp, const __u8* end,
                                                                      struct penstock_packet* packet) {
  if (arp + 28 > end) return PENSTOCK_STEER_TRUNCATED;
  if (penstock_host16(penstock_load16(arp)) != 1 || penstock_host16(penstock_load16(arp + 2)) != 0x0800 ||
      arp[4] != 6 || arp[5] != 4 || penstock_host16(penstock_load16(arp + 6)) != 1)
    return PENSTOCK_STEER_NOT_IP;
  penstock_set_v4(&packet->flow.dst, arp + 24);
  packet->kind = PENSTOCK_PACKET_NEIGHBOR;
  return PENSTOCK_PARSED;
}

// Whole frame of `octets`, of which those up to `end` can be read: the rest, payload of a large frame, lies in further
// buffers. `packet` must be zeroed by the caller; it is meaningful only with PENSTOCK_PARSED.
static inline __attribute__((always_inline)) __u32 penstock_parse_frame(const __u8* data, const __u8* end, __u32 octets,
                                                                        struct penstock_packet* packet) {
  if (data + 14 > end) return PENSTOCK_STEER_TRUNCATED;
  __u32 type = penstock_host16(penstock_load16(data + 12));
  const __u8* l3 = data + 14;
  __u32 l3_octets = octets - 14;
  if (type == 0x8100 || type == 0x88a8) {
    if (data + 18 > end) return PENSTOCK_STEER_TRUNCATED;
    type = penstock_host16(penstock_load16(data + 16));
    l3 = data + 18;
    l3_octets = octets - 18;
    if (type == 0x8100 || type == 0x88a8) return PENSTOCK_STEER_VLAN_DEPTH;
  }
  switch (type) {
    case 0x0800:
      return penstock_parse_ipv4(l3, end, l3_octets, packet);
    case 0x86dd:
      return penstock_parse_ipv6(l3, end, l3_octets, packet);
    case 0x0806:
      return penstock_parse_arp(l3, end, packet);
    case PENSTOCK_PROBE_ETHERTYPE:
      if (l3 + 4 > end || penstock_host16(penstock_load16(l3)) != (PENSTOCK_PROBE_MAGIC >> 16) ||
          penstock_host16(penstock_load16(l3 + 2)) != (PENSTOCK_PROBE_MAGIC & 0xffff))
        return PENSTOCK_STEER_NOT_IP;
      packet->kind = PENSTOCK_PACKET_PROBE;
      return PENSTOCK_PARSED;
    default:
      return PENSTOCK_STEER_NOT_IP;
  }
}

#ifdef __cplusplus
#pragma GCC diagnostic pop
#endif
