// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
// steer.bpf.c - which frames go to the dataplane's AF_XDP sockets, which to the kernel, and which straight on.
//
// Model     parse (bpf/lib/parse.h), decide whether the packet is ours by service, node port range or source; if its
//           flow is forwarded here (tier X), translate it (bpf/lib/forward.h) and send it; else see whether somebody is
//           there to take it. In every doubt the frame passes to the kernel: XDP_PASS or a redirect, never a drop.
//           docs/architecture/steering.md.
// Shape     one instance per port. Its own maps: xsks_map, steer_counters, port_config; all others are shared.
// Errors    exactly one penstock_steer_reason is counted per frame, per CPU.
// Cost      not ours: parse and two hash lookups, four with DNAT listeners. By flow only what DNAT needs, unless the
//           kernel path served some, or some port can be redirected to (one lookup per packet of ours).
#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

#include "bpf/abi/steer.h"
#include "bpf/lib/forward.h"
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

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, PENSTOCK_DNAT_FLOW_MAX);
  __type(key, struct penstock_steer_key);
  __type(value, struct penstock_dnat_flow);
} steer_dnat_flows SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, PENSTOCK_FORWARD_MAX);
  __type(key, struct penstock_flow_key);
  __type(value, struct penstock_forward);
} steer_forwards SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, PENSTOCK_FORWARD_MAX);
  __type(key, __u32);
  __type(value, struct penstock_forward_slot);
} steer_forward_slots SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_DEVMAP);
  __uint(max_entries, PENSTOCK_PORT_MAX);
  __type(key, __u32);
  __type(value, __u32);
} steer_devices SEC(".maps");

// --- scratch memory of this instance: octets to sum up. Helpers take no packet octets of a length that is not
// constant.
enum { CHUNK_OCTETS = 512 };  // what bpf_csum_diff takes at once
struct chunk {
  __u8 octets[CHUNK_OCTETS];
};
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct chunk);
} steer_scratch SEC(".maps");

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

// The two ends of a flow, as keys of steer_services, steer_sources and steer_dnat_flows.
static __always_inline struct penstock_steer_key source_end(const struct penstock_flow_key* flow) {
  struct penstock_steer_key key = {.addr = flow->src, .port = flow->src_port, .ip_proto = flow->ip_proto};
  return key;
}
static __always_inline struct penstock_steer_key destination_end(const struct penstock_flow_key* flow) {
  struct penstock_steer_key key = {.addr = flow->dst, .port = flow->dst_port, .ip_proto = flow->ip_proto};
  return key;
}

static __always_inline void note_kernel_flow(__u64 now) {
  const __u32 zero = 0;
  struct penstock_steer_runtime* runtime = bpf_map_lookup_elem(&steer_runtime, &zero);
  if (runtime) runtime->last_kernel_flow_ns = now;
}

// A packet of ours goes to the kernel because nobody takes it: remember the flow if it begins here, so that it
// stays with the kernel later; refresh it if it is known.
static __noinline int remember(const struct penstock_packet* packet, __u32 reason, __u64 now, __u32 service_flags) {
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
  note_kernel_flow(now);
  bpf_map_delete_elem(&steer_forwards, &packet->flow);  // of an older flow with the same key
  if (service_flags & PENSTOCK_SERVICE_DNAT) {          // the endpoint's replies are the kernel's too
    const struct penstock_steer_key client = source_end(&packet->flow);
    bpf_map_delete_elem(&steer_dnat_flows, &client);
  }
  return 0;
}

// True when the packet, or the one that an ICMP error quotes, is of a service's flow that began on the kernel path and
// still lives there. Only asked while such flows exist.
static __noinline int kernel_flow(const struct penstock_packet* packet, __u64 now, __u64 idle) {
  if (!packet) return 0;
  struct penstock_kernel_flow* known = bpf_map_lookup_elem(&steer_kernel_flows, &packet->flow);
  if (!known) return 0;
  const int reborn = packet->flow.ip_proto == PENSTOCK_PROTO_TCP && opens_flow(packet);
  if (reborn || now - known->last_seen_ns >= idle) {
    bpf_map_delete_elem(&steer_kernel_flows, &packet->flow);
    return 0;
  }
  known->last_seen_ns = now;
  note_kernel_flow(now);
  return 1;
}

// A packet to a DNAT service is steered: replies of endpoints to this client are ours from now on. Any packet records,
// so that what was evicted comes back.
static __noinline int note_dnat_flow(const struct penstock_packet* packet, __u64 now) {
  if (!packet) return 0;
  const struct penstock_steer_key client = source_end(&packet->flow);
  struct penstock_dnat_flow* known = bpf_map_lookup_elem(&steer_dnat_flows, &client);
  if (!known) {
    const struct penstock_dnat_flow flow = {.born_ns = now};
    bpf_map_update_elem(&steer_dnat_flows, &client, &flow, BPF_ANY);
  } else if (packet->flow.ip_proto == PENSTOCK_PROTO_TCP && opens_flow(packet)) {
    known->born_ns = now;
  }
  return 0;
}

// A packet that is not ours. If it goes to an endpoint behind a DNAT listener, from an address and port that also has a
// flow to a DNAT service, the endpoint's replies to both look alike but for the endpoint: remember this one.
static __noinline int note_direct_flow(const struct penstock_packet* packet) {
  if (!packet) return 0;
  const struct penstock_steer_key endpoint = destination_end(&packet->flow);
  if (!bpf_map_lookup_elem(&steer_sources, &endpoint)) return 0;
  const struct penstock_steer_key client = source_end(&packet->flow);
  if (!bpf_map_lookup_elem(&steer_dnat_flows, &client)) return 0;
  const struct penstock_kernel_flow flow = {.last_seen_ns = bpf_ktime_get_ns()};
  bpf_map_update_elem(&steer_kernel_flows, &packet->flow, &flow, BPF_ANY);
  note_kernel_flow(flow.last_seen_ns);
  return 0;
}

// A packet from an endpoint behind a DNAT listener is ours when its client's flow to the service was steered, and the
// client has not talked to this endpoint directly since that flow was born.
static __noinline int dnat_reply(const struct penstock_packet* packet, __u64 idle) {
  const __u32 zero = 0;
  if (!packet) return 0;
  const struct penstock_steer_key client = destination_end(&packet->flow);
  const struct penstock_dnat_flow* flow = bpf_map_lookup_elem(&steer_dnat_flows, &client);
  if (!flow) return 0;
  const struct penstock_steer_runtime* runtime = bpf_map_lookup_elem(&steer_runtime, &zero);
  if (!runtime || runtime->last_kernel_flow_ns < flow->born_ns) return 1;
  const struct penstock_flow_key forward = {.src = packet->flow.dst,
                                            .dst = packet->flow.src,
                                            .src_port = packet->flow.dst_port,
                                            .dst_port = packet->flow.src_port,
                                            .ip_proto = packet->flow.ip_proto};
  const struct penstock_kernel_flow* direct = bpf_map_lookup_elem(&steer_kernel_flows, &forward);
  return !direct || direct->last_seen_ns < flow->born_ns || bpf_ktime_get_ns() - direct->last_seen_ns >= idle;
}

static __always_inline int worker_is_alive(__u32 queue, __u64 now, const struct penstock_steer_config* config) {
  const __u32 workers = config->worker_count;
  const __u32 worker = workers ? queue % workers : 0;
  const struct penstock_heartbeat* heartbeat = bpf_map_lookup_elem(&steer_heartbeat, &worker);
  // A beat of another CPU may be newer than `now`: the difference is signed.
  return workers && heartbeat && heartbeat->beat_ns &&
         (__s64)(now - heartbeat->beat_ns) <= (__s64)config->heartbeat_limit_ns;
}

// While records of the kernel path may live: normally there are none, and nobody looks.
static __always_inline int has_kernel_flows(__u64 now, const struct penstock_steer_config* config) {
  const __u32 zero = 0;
  const struct penstock_steer_runtime* runtime = bpf_map_lookup_elem(&steer_runtime, &zero);
  return runtime && runtime->last_kernel_flow_ns &&
         (__s64)(now - runtime->last_kernel_flow_ns) < (__s64)config->kernel_flow_idle_ns;
}

// --- tier X

// The sum of `octets` of the frame from `at` on, folded; negative when they cannot be read.
static __noinline int sum_octets(struct xdp_md* ctx, __u32 at, __u32 octets) {
  const __u32 zero = 0;
  struct chunk* chunk = bpf_map_lookup_elem(&steer_scratch, &zero);
  if (!chunk) return -1;
  __u32 sum = 0;
  const __u32 whole = octets / CHUNK_OCTETS;
  for (__u32 i = 0; i < PENSTOCK_FORWARD_SUM_MAX / CHUNK_OCTETS && i < whole; ++i) {
    if (bpf_xdp_load_bytes(ctx, at, chunk->octets, CHUNK_OCTETS) != 0) return -1;
    sum = (__u32)bpf_csum_diff(0, 0, (__be32*)chunk->octets, CHUNK_OCTETS, sum);
    at += CHUNK_OCTETS;
  }
  const __u32 rest = octets % CHUNK_OCTETS;
  if (rest == 0) return penstock_fold(sum);
  *(__u32*)(chunk->octets + (rest & (CHUNK_OCTETS - 4))) = 0;  // the padding, if there is some
  if (bpf_xdp_load_bytes(ctx, at, chunk->octets, rest) != 0) return -1;
  const __u32 padded = (rest + 3) & ~3u;
  if (padded > CHUNK_OCTETS) return -1;  // for the verifier
  return penstock_fold((__u32)bpf_csum_diff(0, 0, (__be32*)chunk->octets, padded, sum));
}

// Where packets of this flow go: its slot as it is now, if that is live. The slot may be given away at any time, so its
// generation is read again behind the rest.
static __always_inline struct penstock_forward_slot* live_slot(const struct penstock_flow_key* flow,
                                                               struct penstock_forward_slot* copy) {
  const struct penstock_forward* entry = bpf_map_lookup_elem(&steer_forwards, flow);
  if (!entry) return 0;
  const __u32 index = entry->slot;
  const __u32 generation = entry->generation;
  struct penstock_forward_slot* slot = bpf_map_lookup_elem(&steer_forward_slots, &index);
  if (!slot || !generation || *(volatile __u32*)&slot->generation != generation) return 0;
  *copy = *slot;
  asm volatile("" ::: "memory");
  return *(volatile __u32*)&slot->generation == generation ? slot : 0;
}

// A segment that may change what its flow is goes to the worker. A SYN always; the end of a connection while there is a
// worker to learn of it: a dead one must not hold it up.
static __always_inline int is_for_worker(const struct xdp_md* ctx, const struct penstock_packet* packet, __u64 now,
                                         const struct penstock_steer_config* config) {
  if (packet->tcp_flags & PENSTOCK_TCP_SYN) return 1;
  return (packet->tcp_flags & (PENSTOCK_TCP_FIN | PENSTOCK_TCP_RST)) &&
         worker_is_alive(ctx->rx_queue_index, now, config);
}

// Translates a packet of a forwarded flow and sends it. Anything but XDP_REDIRECT: it goes the old way, untouched.
static __noinline int forward(struct xdp_md* ctx, const struct penstock_packet* packet,
                              const struct penstock_steer_config* config, __u64 now, __u32 match) {
  struct penstock_forward_slot to;
  struct penstock_segment segment = {};
  if (!packet || !config) return XDP_PASS;
  struct penstock_forward_slot* slot = live_slot(&packet->flow, &to);
  if (!slot || is_for_worker(ctx, packet, now, config)) return XDP_PASS;
  __u8* data = (__u8*)(long)ctx->data;
  const __u8* end = (const __u8*)(long)ctx->data_end;
  if ((__u64)bpf_xdp_get_buff_len(ctx) != (__u64)(end - data)) return XDP_PASS;  // of several buffers
  if (!penstock_can_forward(data, end, &to, &segment)) return XDP_PASS;
  if (match == PENSTOCK_STEER_REDIRECTED_SERVICE && has_kernel_flows(now, config) &&
      bpf_map_lookup_elem(&steer_kernel_flows, &packet->flow))
    return XDP_PASS;
  if (segment.partial) {
    const int sum = sum_octets(ctx, segment.l4, segment.octets);
    if (sum < 0) return XDP_PASS;
    segment.sum = (__u16)sum;
  }
  // First, since it tells whether the port is there; another redirect or XDP_PASS may still follow.
  if (bpf_redirect_map(&steer_devices, to.out_port, XDP_PASS) != XDP_REDIRECT) return XDP_PASS;
  if (!penstock_translate(data, end, &to, &segment)) return XDP_PASS;
  if (packet->tcp_flags & (PENSTOCK_TCP_FIN | PENSTOCK_TCP_RST))
    slot->ended |= packet->tcp_flags & (PENSTOCK_TCP_FIN | PENSTOCK_TCP_RST);  // for the worker, when it is back
  slot->last_seen_ns = now;
  __sync_fetch_and_add(&slot->packets, 1);
  __sync_fetch_and_add(&slot->octets, segment.ip_octets);
  return XDP_REDIRECT;
}

// The lookups by service, node range and source. Returns the reason of a redirect, or NOT_MESH.
static __always_inline __u32 classify_flow(const struct penstock_packet* packet,
                                           const struct penstock_steer_config* config, __u32* service_flags) {
  const struct penstock_steer_key destination = destination_end(&packet->flow);
  const struct penstock_steer_value* service = bpf_map_lookup_elem(&steer_services, &destination);
  if (service) {
    *service_flags = service->flags;
    return PENSTOCK_STEER_REDIRECTED_SERVICE;
  }
  struct penstock_port_range* range = bpf_map_lookup_elem(&steer_nodes, &destination.addr);
  if (range) {
    const __u16 port = penstock_host16(packet->flow.dst_port.wire);
    if (port >= range->low && port <= range->high) return PENSTOCK_STEER_REDIRECTED_NODE;
    return PENSTOCK_STEER_NOT_MESH;  // the node itself is no client of ours: its packets do not come in by a port
  }
  if (config->flags & PENSTOCK_CONFIG_HAS_SOURCES) {
    const struct penstock_steer_key source = source_end(&packet->flow);
    if (bpf_map_lookup_elem(&steer_sources, &source) && dnat_reply(packet, config->kernel_flow_idle_ns))
      return PENSTOCK_STEER_REDIRECTED_SOURCE;
    if (packet->kind == PENSTOCK_PACKET_FLOW) note_direct_flow(packet);
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
  const __u32 parsed = penstock_parse_frame(data, end, (__u32)bpf_xdp_get_buff_len(ctx), &packet);
  if (parsed != PENSTOCK_PARSED) return pass(parsed);

  // Whose the flow is (`match`), and what is counted if the packet is redirected (`reason`).
  __u32 match = PENSTOCK_STEER_NOT_MESH;
  __u32 reason = PENSTOCK_STEER_NOT_MESH;
  __u32 service_flags = 0;
  if (packet.kind == PENSTOCK_PACKET_FLOW) {
    reason = match = classify_flow(&packet, config, &service_flags);
  } else if (packet.kind == PENSTOCK_PACKET_ICMP_ERROR) {
    match = classify_flow(&packet, config, &service_flags);
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
  const int records_client = reason == PENSTOCK_STEER_REDIRECTED_SERVICE && (service_flags & PENSTOCK_SERVICE_DNAT);
  if ((config->flags & PENSTOCK_CONFIG_HAS_DEVICES) && packet.kind == PENSTOCK_PACKET_FLOW &&
      forward(ctx, &packet, config, now, match) == XDP_REDIRECT) {
    if (records_client) note_dnat_flow(&packet, now);
    return redirected(PENSTOCK_STEER_FORWARDED, XDP_REDIRECT);
  }
  if (!worker_is_alive(queue, now, config)) {
    remember(&packet, match, now, service_flags);
    return pass(PENSTOCK_STEER_STALE_HEARTBEAT);
  }
  if (match == PENSTOCK_STEER_REDIRECTED_SERVICE && has_kernel_flows(now, config) &&
      kernel_flow(&packet, now, config->kernel_flow_idle_ns))
    return pass(PENSTOCK_STEER_KERNEL_FLOW);

  const int action = (int)bpf_redirect_map(&xsks_map, queue, XDP_PASS);
  if (action != XDP_REDIRECT) {
    remember(&packet, match, now, service_flags);
    return pass(PENSTOCK_STEER_NO_SOCKET);
  }
  if (records_client) note_dnat_flow(&packet, now);
  return redirected(reason, action);
}

char penstock_license[] SEC("license") = "Dual BSD/GPL";
