// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
// steer.bpf.c - which frames go to the dataplane's AF_XDP sockets and which to the kernel.
//
// Model     parse (bpf/lib/parse.h), decide whether the packet is ours by service, node port range or source, then
//           whether somebody is there to take it. In every doubt the frame passes to the kernel: XDP_PASS or a
//           redirect, never a drop. docs/architecture/steering.md.
// Shape     one instance per port. Its own maps: xsks_map, steer_counters, port_config; all others are shared.
// Errors    exactly one penstock_steer_reason is counted per frame, per CPU.
// Cost      not ours: parse and two or three hash lookups. No lookup by flow unless the kernel path served some.
#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

#include "bpf/abi/steer.h"
#include "bpf/lib/parse.h"

// --- maps of one port
struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, PENSTOCK_QUEUE_MAX);
  __type(key, __u32);
  __type(value, __u32);
} xsks_map SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, PENSTOCK_STEER_REASON_MAX);
  __type(key, __u32);
  __type(value, __u64);
} steer_counters SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct penstock_port_config);
} port_config SEC(".maps");

// --- maps shared by all ports
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, PENSTOCK_SERVICE_MAX);
  __type(key, struct penstock_steer_key);
  __type(value, struct penstock_steer_value);
} steer_services SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, PENSTOCK_SERVICE_MAX);
  __type(key, struct penstock_steer_key);
  __type(value, struct penstock_steer_value);
} steer_sources SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, PENSTOCK_ADDRESS_MAX);
  __type(key, struct penstock_addr);
  __type(value, struct penstock_address_value);
} steer_addresses SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, PENSTOCK_NODE_ADDRESS_MAX);
  __type(key, struct penstock_addr);
  __type(value, struct penstock_port_range);
} steer_nodes SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct penstock_steer_config);
} steer_config SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct penstock_steer_runtime);
} steer_runtime SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, PENSTOCK_WORKER_MAX);
  __type(key, __u32);
  __type(value, struct penstock_heartbeat);
} steer_heartbeat SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, PENSTOCK_KERNEL_FLOW_MAX);
  __type(key, struct penstock_flow_key);
  __type(value, struct penstock_kernel_flow);
} steer_kernel_flows SEC(".maps");

static __always_inline int pass(__u32 reason) {
  __u64* counter = bpf_map_lookup_elem(&steer_counters, &reason);
  if (counter) *counter += 1;
  return XDP_PASS;
}

static __always_inline int redirected(__u32 reason, int action) {
  pass(reason);
  return action;
}

// Opens a flow on the kernel path: a SYN, or any datagram.
static __always_inline int opens_flow(const struct penstock_packet* packet) {
  if (packet->kind != PENSTOCK_PACKET_FLOW) return 0;
  if (packet->flow.ip_proto == PENSTOCK_PROTO_UDP) return 1;
  return (packet->tcp_flags & (PENSTOCK_TCP_SYN | PENSTOCK_TCP_ACK)) == PENSTOCK_TCP_SYN;
}

// The client's side alone: how the reply of an endpoint behind a DNAT listener finds the record of its flow, which
// names the service address that the reply does not carry.
static __always_inline void client_key(struct penstock_flow_key* key, const struct penstock_addr* client,
                                       struct penstock_be16 port, __u8 proto) {
  __builtin_memset(key, 0, sizeof *key);
  key->src = *client;
  key->src_port = port;
  key->ip_proto = proto;
}

static __always_inline void note_kernel_flow(__u64 now) {
  const __u32 zero = 0;
  struct penstock_steer_runtime* runtime = bpf_map_lookup_elem(&steer_runtime, &zero);
  if (runtime) runtime->last_kernel_flow_ns = now;
}

// A packet of ours goes to the kernel because nobody takes it: remember the flow if it begins here, so that it
// stays with the kernel later; refresh it if it is known.
static __noinline int remember(const struct penstock_packet* packet, __u32 reason, __u64 now, __u32 config_flags) {
  struct penstock_flow_key client;
  struct penstock_kernel_flow flow = {.last_seen_ns = now};
  if (!packet || reason != PENSTOCK_STEER_REDIRECTED_SERVICE || packet->kind != PENSTOCK_PACKET_FLOW) return 0;
  if (!opens_flow(packet)) {
    struct penstock_kernel_flow* known = bpf_map_lookup_elem(&steer_kernel_flows, &packet->flow);
    if (!known) return 0;
    known->last_seen_ns = now;
    note_kernel_flow(now);
    return 0;
  }
  bpf_map_update_elem(&steer_kernel_flows, &packet->flow, &flow, BPF_ANY);
  if (config_flags & PENSTOCK_CONFIG_HAS_SOURCES) {
    client_key(&client, &packet->flow.src, packet->flow.src_port, packet->flow.ip_proto);
    bpf_map_update_elem(&steer_kernel_flows, &client, &flow, BPF_ANY);
  }
  note_kernel_flow(now);
  return 0;
}

// True when the packet's flow began on the kernel path and still lives there. Only asked while such flows exist.
static __noinline int kernel_flow(const struct penstock_packet* packet, __u32 reason, __u64 now, __u64 idle) {
  struct penstock_flow_key client;
  if (!packet) return 0;
  const struct penstock_flow_key* key = &packet->flow;
  // ICMP errors carry the reply direction reversed, so they look like the client's own packets.
  if (reason == PENSTOCK_STEER_REDIRECTED_SOURCE) {
    client_key(&client, &packet->flow.dst, packet->flow.dst_port, packet->flow.ip_proto);
    key = &client;
  }
  struct penstock_kernel_flow* known = bpf_map_lookup_elem(&steer_kernel_flows, key);
  if (!known) return 0;
  const int reborn =
      reason == PENSTOCK_STEER_REDIRECTED_SERVICE && packet->flow.ip_proto == PENSTOCK_PROTO_TCP && opens_flow(packet);
  if (reborn || now - known->last_seen_ns >= idle) {
    bpf_map_delete_elem(&steer_kernel_flows, key);
    if (reborn) {
      client_key(&client, &packet->flow.src, packet->flow.src_port, packet->flow.ip_proto);
      bpf_map_delete_elem(&steer_kernel_flows, &client);
    }
    return 0;
  }
  known->last_seen_ns = now;
  note_kernel_flow(now);
  return 1;
}

// The lookups by service, node range and source. Returns the reason of a redirect, or NOT_MESH.
static __always_inline __u32 classify_flow(const struct penstock_packet* packet,
                                           const struct penstock_steer_config* config) {
  struct penstock_steer_key key = {
      .addr = packet->flow.dst, .port = packet->flow.dst_port, .ip_proto = packet->flow.ip_proto};
  if (bpf_map_lookup_elem(&steer_services, &key)) return PENSTOCK_STEER_REDIRECTED_SERVICE;
  struct penstock_port_range* range = bpf_map_lookup_elem(&steer_nodes, &key.addr);
  if (range) {
    const __u16 port = penstock_host16(packet->flow.dst_port.wire);
    if (port >= range->low && port <= range->high) return PENSTOCK_STEER_REDIRECTED_NODE;
  }
  if (config->flags & PENSTOCK_CONFIG_HAS_SOURCES) {
    key.addr = packet->flow.src;
    key.port = packet->flow.src_port;
    if (bpf_map_lookup_elem(&steer_sources, &key)) return PENSTOCK_STEER_REDIRECTED_SOURCE;
  }
  return PENSTOCK_STEER_NOT_MESH;
}

// What is steered for an address beside its services.
static __always_inline int address_has(const struct penstock_packet* packet, __u32 flag) {
  struct penstock_address_value* value = bpf_map_lookup_elem(&steer_addresses, &packet->flow.dst);
  return value && (value->flags & flag);
}

SEC("xdp")
int penstock_steer(struct xdp_md* ctx) {
  const __u32 zero = 0;
  const struct penstock_port_config* port = bpf_map_lookup_elem(&port_config, &zero);
  const struct penstock_steer_config* config = bpf_map_lookup_elem(&steer_config, &zero);
  if (!port || !config || !(port->flags & PENSTOCK_PORT_ENABLED)) return pass(PENSTOCK_STEER_PORT_DISABLED);

  struct penstock_packet packet = {};
  const __u8* data = (const __u8*)(long)ctx->data;
  const __u8* end = (const __u8*)(long)ctx->data_end;
  const __u32 parsed = penstock_parse_frame(data, end, &packet);
  if (parsed != PENSTOCK_PARSED) return pass(parsed);

  // How the packet finds its flow record (`match`), and what is counted if it is redirected (`reason`).
  __u32 match = PENSTOCK_STEER_NOT_MESH;
  __u32 reason = PENSTOCK_STEER_NOT_MESH;
  if (packet.kind == PENSTOCK_PACKET_FLOW) {
    reason = match = classify_flow(&packet, config);
  } else if (packet.kind == PENSTOCK_PACKET_ICMP_ERROR) {
    match = classify_flow(&packet, config);
    if (match != PENSTOCK_STEER_NOT_MESH) reason = PENSTOCK_STEER_REDIRECTED_ICMP;
  } else if (packet.kind == PENSTOCK_PACKET_NEIGHBOR) {
    if (address_has(&packet, PENSTOCK_ADDRESS_NEIGHBOR)) reason = PENSTOCK_STEER_REDIRECTED_NEIGHBOR;
  } else if (packet.kind == PENSTOCK_PACKET_ECHO) {
    if (address_has(&packet, PENSTOCK_ADDRESS_ECHO)) reason = PENSTOCK_STEER_REDIRECTED_ECHO;
  } else {
    reason = PENSTOCK_STEER_REDIRECTED_PROBE;
  }
  if (reason == PENSTOCK_STEER_NOT_MESH) return pass(reason);

  const __u32 queue = ctx->rx_queue_index;
  const __u64 now = bpf_ktime_get_ns();
  const __u32 workers = config->worker_count;
  const __u32 worker = workers ? queue % workers : 0;
  const struct penstock_heartbeat* heartbeat = bpf_map_lookup_elem(&steer_heartbeat, &worker);
  // A beat of another CPU may be newer than `now`: the difference is signed.
  if (!workers || !heartbeat || !heartbeat->beat_ns ||
      (__s64)(now - heartbeat->beat_ns) > (__s64)config->heartbeat_limit_ns) {
    remember(&packet, match, now, config->flags);
    return pass(PENSTOCK_STEER_STALE_HEARTBEAT);
  }
  const struct penstock_steer_runtime* runtime = bpf_map_lookup_elem(&steer_runtime, &zero);
  if (match != PENSTOCK_STEER_NOT_MESH && runtime && runtime->last_kernel_flow_ns &&
      (__s64)(now - runtime->last_kernel_flow_ns) < (__s64)config->kernel_flow_idle_ns &&
      kernel_flow(&packet, match, now, config->kernel_flow_idle_ns))
    return pass(PENSTOCK_STEER_KERNEL_FLOW);

  const int action = (int)bpf_redirect_map(&xsks_map, queue, XDP_PASS);
  if (action != XDP_REDIRECT) {
    remember(&packet, match, now, config->flags);
    return pass(PENSTOCK_STEER_NO_SOCKET);
  }
  return redirected(reason, action);
}

char penstock_license[] SEC("license") = "Dual BSD/GPL";
