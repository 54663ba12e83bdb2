// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// steer.h - every layout that the steering program shares with user space.
//
// Model     plain C11 that is also C++20: fixed-size integers, explicit padding, no bit-fields, no pointers.
// Units     times are CLOCK_MONOTONIC nanoseconds; network-order fields are structs, the rest host order.
// Shape     sizes are asserted below for C and in abi_check.h for C++; a test compares them with the loaded maps.
// Limits    named PENSTOCK_*_MAX; docs/guide/limits.md explains each.
// Not here  parsing (bpf/lib/parse.h), policy (bpf/xdp/steer.bpf.c).
//
// Compatibility: enums and flags are append-only. A change of any struct raises PENSTOCK_ABI_VERSION, and a
// daemon never adopts maps of another version.
#pragma once
#include <linux/types.h>

#define PENSTOCK_ABI_VERSION 1u

enum {
  PENSTOCK_WORKER_MAX = 16,          // workers of one dataplane process
  PENSTOCK_QUEUE_MAX = 64,           // receive queues of one port
  PENSTOCK_PORT_MAX = 64,            // ports of one dataplane process
  PENSTOCK_SERVICE_MAX = 65536,      // entries of steer_services and steer_sources
  PENSTOCK_ADDRESS_MAX = 16384,      // entries of steer_addresses
  PENSTOCK_NODE_ADDRESS_MAX = 64,    // entries of steer_nodes
  PENSTOCK_KERNEL_FLOW_MAX = 65536,  // entries of steer_kernel_flows (least recently used is evicted)
  PENSTOCK_DNAT_FLOW_MAX = 131072,   // entries of steer_dnat_flows (least recently used is evicted)
  PENSTOCK_FORWARD_MAX = 65536,      // entries of steer_forwards and steer_forward_slots: directions of flows
  PENSTOCK_STEER_REASON_MAX = 64     // entries of steer_counters: room for reasons to come
};

struct penstock_be16 {
  __u16 wire;
};

// An IPv6 address, or an IPv4 address in its mapped form ::ffff:a.b.c.d (RFC 4291 s2.5.5.2).
struct penstock_addr {
  __u8 octets[16];
};

// Key of steer_services (matched on the destination), steer_sources (matched on the source: replies of endpoints
// behind DNAT listeners) and steer_dnat_flows (the client's side of a flow). `zero` must be 0: keys compare as bytes.
struct penstock_steer_key {
  struct penstock_addr addr;
  struct penstock_be16 port;
  __u8 ip_proto;  // 6 TCP, 17 UDP
  __u8 zero;
};

enum penstock_service_flags {
  PENSTOCK_SERVICE_DNAT = 1u << 0  // flows may be DNAT: record their clients in steer_dnat_flows
};
struct penstock_steer_value {
  __u32 listener_id;  // identifies the listener for tools; the program does not read it
  __u32 flags;        // penstock_service_flags; in steer_sources 0
};

// Value of steer_addresses (key: penstock_addr): what is steered for an address beside its services.
enum penstock_address_flags {
  PENSTOCK_ADDRESS_NEIGHBOR = 1u << 0,  // ARP requests and neighbour solicitations for it
  PENSTOCK_ADDRESS_ECHO = 1u << 1       // ICMP and ICMPv6 echo requests to it
};
struct penstock_address_value {
  __u32 flags;
  __u32 zero;
};

// Value of steer_nodes (key: penstock_addr): destination ports that our upstream legs own on a node address.
struct penstock_port_range {
  __u16 low;   // host order, inclusive
  __u16 high;  // host order, inclusive
  __u32 zero;
};

enum penstock_config_flags {
  PENSTOCK_CONFIG_HAS_SOURCES = 1u << 0,  // steer_sources is not empty, look there too
  PENSTOCK_CONFIG_HAS_DEVICES = 1u << 1   // steer_devices is not empty: flows may be in steer_forwards
};

// Single entry of steer_config.
struct penstock_steer_config {
  __u32 abi_version;
  __u32 worker_count;         // queue q belongs to worker q % worker_count; 0 passes everything
  __u64 heartbeat_limit_ns;   // older heartbeats pass to the kernel
  __u64 kernel_flow_idle_ns;  // a flow that the kernel served stays with it until idle this long
  __u32 flags;                // penstock_config_flags
  __u32 zero;
};

// Single entry of steer_runtime, written by the program.
struct penstock_steer_runtime {
  __u64 last_kernel_flow_ns;  // newest write to steer_kernel_flows; 0 = never
};

// Entry of steer_heartbeat (mmapable, index = worker), alone in its cache line.
struct penstock_heartbeat {
  __u64 beat_ns;
  __u8 zero[56];
};

// Key of steer_kernel_flows, in the client's direction: a flow that began on the kernel path while the fast path was
// away (dst is a service), or that goes to an endpoint directly while steer_dnat_flows holds its client (dst is the
// endpoint).
struct penstock_flow_key {
  struct penstock_addr src;
  struct penstock_addr dst;
  struct penstock_be16 src_port;
  struct penstock_be16 dst_port;
  __u8 ip_proto;
  __u8 zero[3];
};
struct penstock_kernel_flow {
  __u64 last_seen_ns;
};

// Value of steer_dnat_flows: this client's packets to a DNAT service were steered, so replies of endpoints to it are
// ours.
struct penstock_dnat_flow {
  __u64 born_ns;  // when recorded, or its newest SYN
};

// Tier X: a direction of an established flow that the program translates and sends out by itself.
//
// steer_forwards (key: penstock_flow_key, the packet as received) names a slot of steer_forward_slots (mmapable). The
// dataplane fills a slot, sets its generation, and then has the entry inserted. A slot is live while its generation is
// the entry's: storing another one ends forwarding at once, without a system call; the entry is deleted later, and the
// slot used again only after that. Slots 2n and 2n + 1 are the two directions of one flow.
struct penstock_forward {
  __u32 slot;
  __u32 generation;  // never 0
};

enum penstock_forward_flags {
  PENSTOCK_FORWARD_V6 = 1u << 0,     // addresses are IPv6
  PENSTOCK_FORWARD_SPLICE = 1u << 1  // TCP sequence numbers are translated, too
};
struct penstock_forward_slot {
  // First cache line: written by the dataplane while the slot is not live, read by the program.
  __u32 generation;          // 0 = not live
  __u16 out_port;            // key of steer_devices
  __u16 mtu;                 // L3 octets that the outgoing port carries; larger packets go to the dataplane
  struct penstock_addr src;  // of the packet sent
  struct penstock_addr dst;
  struct penstock_be16 src_port;
  struct penstock_be16 dst_port;
  __u8 dst_mac[6];
  __u8 src_mac[6];
  __u16 l4_delta;  // RFC 1624 sum to apply to the transport checksum, one's complement, wire order
  __u16 flags;     // penstock_forward_flags
  __u16 worker;    // whose flow this is
  __u16 zero;
  // Second cache line. Written by the program:
  __u64 last_seen_ns;  // CLOCK_MONOTONIC
  __u64 packets;
  __u64 octets;  // L3
  // Written by the dataplane; only with PENSTOCK_FORWARD_SPLICE, else 0. What is added, modulo 2^32, host order:
  __u32 seq_delta;
  __u32 ack_delta;
  __u32 tsval_delta;
  __u32 tsecr_delta;
  __s8 window_shift;  // of the window field: positive = left, saturating at 65535
  // Written by the program: TCP flags of the FIN and RST that it forwarded since no worker was there to learn of them.
  __u8 ended;
  __u8 zero2[22];
};

// Key of steer_devices, a device map: port index. Value: the interface's index. A port is in it while frames can be
// redirected to its interface; flows towards another one stay with the dataplane.

// Single entry of port_config, one map per port.
enum penstock_port_flags {
  PENSTOCK_PORT_ENABLED = 1u << 0,      // without it everything passes (reason PORT_DISABLED)
  PENSTOCK_PORT_LARGE_FRAMES = 1u << 1  // for who adopts: the program was loaded for frames of several buffers
};
struct penstock_port_config {
  __u32 flags;
  __u32 port_index;
};

// EtherType of the attach self-test's frame (IEEE 802 local experimental 1) and its payload's first octets.
#define PENSTOCK_PROBE_ETHERTYPE 0x88b5u
#define PENSTOCK_PROBE_MAGIC 0x50454e53u  // "PENS", big-endian, directly behind the Ethernet header

// What became of a frame: exactly one reason per frame. Index into steer_counters (per-CPU array of __u64, one
// map per port). Append only, before PENSTOCK_STEER_REASON_COUNT; names and meanings: kSteerReasons in
// bpf/abi/steer_reasons.h.
enum penstock_steer_reason {
  PENSTOCK_STEER_REDIRECTED_SERVICE,   // to a service address
  PENSTOCK_STEER_REDIRECTED_NODE,      // to a port that our upstream legs own
  PENSTOCK_STEER_REDIRECTED_SOURCE,    // from an endpoint behind a DNAT listener
  PENSTOCK_STEER_REDIRECTED_ICMP,      // ICMP error about one of our flows
  PENSTOCK_STEER_REDIRECTED_ECHO,      // echo request to a service address
  PENSTOCK_STEER_REDIRECTED_NEIGHBOR,  // ARP request or neighbour solicitation for a service address
  PENSTOCK_STEER_REDIRECTED_PROBE,     // attach self-test
  PENSTOCK_STEER_NOT_MESH,             // well-formed, not ours
  PENSTOCK_STEER_NOT_IP,               // another EtherType
  PENSTOCK_STEER_UNSUPPORTED_PROTO,    // IP, neither TCP, UDP nor a steered ICMP type
  PENSTOCK_STEER_TRUNCATED,            // a header or length field points past the frame
  PENSTOCK_STEER_BAD_VERSION,          // IP version disagrees with the EtherType
  PENSTOCK_STEER_BAD_IHL,              // IPv4 header length below 20 octets
  PENSTOCK_STEER_BAD_TCP_OFFSET,       // TCP data offset below 20 octets or past the packet
  PENSTOCK_STEER_BAD_UDP_LENGTH,       // UDP length below 8 octets or past the packet
  PENSTOCK_STEER_FRAGMENT,             // IP fragment: the kernel reassembles
  PENSTOCK_STEER_IPV6_EXTENSION,       // IPv6 extension header: the kernel handles it
  PENSTOCK_STEER_VLAN_DEPTH,           // more than one VLAN tag
  PENSTOCK_STEER_STALE_HEARTBEAT,      // ours, but the worker has not been seen for heartbeat_limit_ns
  PENSTOCK_STEER_KERNEL_FLOW,          // ours, but the flow began on the kernel path and stays there
  PENSTOCK_STEER_NO_SOCKET,            // ours, but no AF_XDP socket is bound to the queue
  PENSTOCK_STEER_PORT_DISABLED,        // steering is switched off on this port
  PENSTOCK_STEER_MAPPED_ADDRESS,       // IPv6 packet that carries an IPv4-mapped address
  PENSTOCK_STEER_FORWARDED,            // translated and sent to the flow's other side (tier X)
  PENSTOCK_STEER_REASON_COUNT
};

#ifdef __cplusplus
#define PENSTOCK_ABI_ASSERT(cond) static_assert(cond, #cond)
#else
#define PENSTOCK_ABI_ASSERT(cond) _Static_assert(cond, #cond)
#endif
PENSTOCK_ABI_ASSERT(sizeof(struct penstock_steer_key) == 20);
PENSTOCK_ABI_ASSERT(sizeof(struct penstock_steer_value) == 8);
PENSTOCK_ABI_ASSERT(sizeof(struct penstock_address_value) == 8);
PENSTOCK_ABI_ASSERT(sizeof(struct penstock_port_range) == 8);
PENSTOCK_ABI_ASSERT(sizeof(struct penstock_steer_config) == 32);
PENSTOCK_ABI_ASSERT(sizeof(struct penstock_steer_runtime) == 8);
PENSTOCK_ABI_ASSERT(sizeof(struct penstock_heartbeat) == 64);
PENSTOCK_ABI_ASSERT(sizeof(struct penstock_flow_key) == 40);
PENSTOCK_ABI_ASSERT(sizeof(struct penstock_kernel_flow) == 8);
PENSTOCK_ABI_ASSERT(sizeof(struct penstock_dnat_flow) == 8);
PENSTOCK_ABI_ASSERT(sizeof(struct penstock_forward) == 8);
PENSTOCK_ABI_ASSERT(sizeof(struct penstock_forward_slot) == 128);
PENSTOCK_ABI_ASSERT(sizeof(struct penstock_port_config) == 8);
PENSTOCK_ABI_ASSERT(PENSTOCK_STEER_REASON_COUNT + 0 <= PENSTOCK_STEER_REASON_MAX + 0);
