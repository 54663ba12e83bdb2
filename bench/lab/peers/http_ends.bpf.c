// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
// http_ends.bpf.c - both ends of kept HTTP connections as XDP programs: what they cost is next to nothing, so what a
// run costs is the device between them.
//
// Model     no state: a segment is answered from its own numbers. The server end answers SYN with SYN-ACK and every
//           request with one segment that is always the same. The client end answers SYN-ACK, and then every answer,
//           with the next request. One request is under way per connection; a frame that is lost comes back by the
//           device's retransmission, or its connection stands still, which http_ends.cpp finds out.
// Shape     requests and answers of one segment each. No TCP options but the MSS of the SYN-ACK.
// Not here  the first SYNs, counts over time (http_ends.cpp)
#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bench/lab/peers/http_ends.h"

#define ETHERNET 14
#define IP 20
#define TCP 20
#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define PSH 0x08
#define ACK 0x10

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct http_ends_setup);
} setup SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct http_ends_payload);
} payload SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct http_ends_counts);
} counts SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, HTTP_ENDS_CONNECTIONS_MAX);
  __type(key, __u32);
  __type(value, __u64);
} connections SEC(".maps");

struct ip_header {
  __u8 version_ihl, tos;
  __u16 octets, id, fragment;
  __u8 ttl, protocol;
  __u16 checksum;
  __u32 source, destination;
};
struct tcp_header {
  __u16 source, destination;
  __u32 seq, ack;
  __u8 offset, flags;
  __u16 window, checksum, urgent;
};
struct headers {
  __u8 to_mac[6], from_mac[6];
  __u16 type;
  struct ip_header ip;
  struct tcp_header tcp;
} __attribute__((packed));

// What the other end's segment says.
struct segment {
  __u32 seq, ack;
  __u32 payload_octets;
  __u8 flags;
};

static __always_inline __u16 folded(__u64 sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return (__u16)~sum;
}

// A TCP segment over IPv4 without options, or NULL.
static __always_inline struct headers* read_segment(struct xdp_md* ctx, struct segment* into) {
  struct headers* h = (struct headers*)(long)ctx->data;
  if ((void*)(h + 1) > (void*)(long)ctx->data_end) return 0;
  if (h->type != bpf_htons(0x0800) || h->ip.version_ihl != 0x45 || h->ip.protocol != 6) return 0;
  const __u32 head = IP + (h->tcp.offset >> 4) * 4u;
  const __u32 whole = bpf_ntohs(h->ip.octets);
  if (whole < head) return 0;
  into->seq = bpf_ntohl(h->tcp.seq);
  into->ack = bpf_ntohl(h->tcp.ack);
  into->payload_octets = whole - head;
  into->flags = h->tcp.flags;
  return h;
}

// Turns the frame into the answer: the same ends the other way round, `flags`, and the payload if `with_payload`. What
// is missing in length comes from the headroom: behind a small frame of a veth there is none.
static __always_inline int answer(struct xdp_md* ctx, __u32 seq, __u32 ack, __u8 flags, int with_payload) {
  const __u32 zero = 0;
  const struct http_ends_setup* config = bpf_map_lookup_elem(&setup, &zero);
  struct http_ends_payload* body = bpf_map_lookup_elem(&payload, &zero);
  const struct headers* from = (const struct headers*)(long)ctx->data;
  if (!config || !body || (const void*)(from + 1) > (const void*)(long)ctx->data_end) return XDP_DROP;
  const __u32 body_octets = with_payload ? config->payload_octets : 0;
  struct headers to = {.type = bpf_htons(0x0800)};
  __builtin_memcpy(to.to_mac, from->from_mac, 6);
  __builtin_memcpy(to.from_mac, from->to_mac, 6);
  struct ip_header ip = {.version_ihl = 0x45,
                         .octets = bpf_htons((__u16)(IP + TCP + body_octets)),
                         .fragment = bpf_htons(0x4000),  // do not fragment
                         .ttl = 64,
                         .protocol = 6,
                         .source = from->ip.destination,
                         .destination = from->ip.source};
  ip.checksum = folded((__u64)bpf_csum_diff(0, 0, (__be32*)&ip, sizeof ip, 0));
  struct tcp_header tcp = {.source = from->tcp.destination,
                           .destination = from->tcp.source,
                           .seq = bpf_htonl(seq),
                           .ack = bpf_htonl(ack),
                           .offset = (TCP / 4) << 4,
                           .flags = flags,
                           .window = 0xffff};
  __u64 sum = (__u64)bpf_csum_diff(0, 0, (__be32*)&tcp, sizeof tcp, 0);
  sum += ip.source;
  sum += ip.destination;
  sum += bpf_htons(6);
  sum += bpf_htons((__u16)(TCP + body_octets));
  if (with_payload) sum += config->payload_sum;
  tcp.checksum = folded(sum);
  to.ip = ip;
  to.tcp = tcp;
  const int missing = (int)(sizeof to + body_octets) - (int)bpf_xdp_get_buff_len(ctx);
  if (missing != 0 && bpf_xdp_adjust_head(ctx, -missing) != 0) return XDP_DROP;
  struct headers* h = (struct headers*)(long)ctx->data;
  if ((void*)(h + 1) > (void*)(long)ctx->data_end) return XDP_DROP;
  *h = to;
  if (with_payload) {
    const __u32 octets = config->payload_octets;
    if (octets == 0 || octets > HTTP_ENDS_PAYLOAD_MAX) return XDP_DROP;
    if (bpf_xdp_store_bytes(ctx, sizeof(struct headers), body->octets, octets) != 0) return XDP_DROP;
  }
  // Not XDP_TX, which tells a veth's other end nothing unless that has a program, too.
  return (int)bpf_redirect(ctx->ingress_ifindex, 0);
}

// Four octets of the payload as text reads, or 0.
static __always_inline __u32 word_at(struct xdp_md* ctx, const struct headers* h, __u32 offset) {
  const __u8* at = (const __u8*)(long)ctx->data + ETHERNET + IP + ((h->tcp.offset >> 4) & 15) * 4u + offset;
  if ((const void*)(at + 4) > (const void*)(long)ctx->data_end) return 0;
  return (__u32)at[0] << 24 | (__u32)at[1] << 16 | (__u32)at[2] << 8 | at[3];
}

SEC("xdp")
int server_end(struct xdp_md* ctx) {
  const __u32 zero = 0;
  struct segment in = {};
  const struct http_ends_setup* config = bpf_map_lookup_elem(&setup, &zero);
  struct http_ends_counts* count = bpf_map_lookup_elem(&counts, &zero);
  const struct headers* h = read_segment(ctx, &in);
  if (!config || !count || !h || h->tcp.destination != config->service) return XDP_PASS;
  if (in.flags & SYN) return answer(ctx, 0x10000000, in.seq + 1, SYN | ACK, 0);
  if (in.flags & (RST | FIN)) {
    count->resets += 1;
    if (in.flags & RST) return XDP_DROP;
    return answer(ctx, in.ack, in.seq + in.payload_octets + 1, FIN | ACK, 0);
  }
  if (in.payload_octets == 0) return XDP_DROP;
  if (word_at(ctx, h, 0) != 0x47455420) {  // "GET "
    count->odd += 1;
    return XDP_DROP;
  }
  count->turns += 1;
  return answer(ctx, in.ack, in.seq + in.payload_octets, PSH | ACK, 1);
}

SEC("xdp")
int client_end(struct xdp_md* ctx) {
  const __u32 zero = 0;
  struct segment in = {};
  const struct http_ends_setup* config = bpf_map_lookup_elem(&setup, &zero);
  struct http_ends_counts* count = bpf_map_lookup_elem(&counts, &zero);
  const struct headers* h = read_segment(ctx, &in);
  if (!config || !count || !h || h->tcp.source != config->service) return XDP_PASS;
  const __u32 index = (__u32)bpf_ntohs(h->tcp.destination) - config->low;
  if (index >= config->connections) return XDP_PASS;
  if (in.flags & (RST | FIN)) {
    count->resets += config->stop ? 0 : 1;
    return XDP_DROP;
  }
  if (in.flags & SYN) return answer(ctx, in.ack, in.seq + 1, PSH | ACK, 1);
  if (in.payload_octets == 0) return XDP_DROP;
  if (word_at(ctx, h, 0) != 0x48545450 || word_at(ctx, h, 8) != 0x20323030) {  // "HTTP/1.1 200"
    count->odd += 1;
    return XDP_DROP;
  }
  if (config->stop) return answer(ctx, in.ack, in.seq + in.payload_octets, RST | ACK, 0);
  __u64* mine = bpf_map_lookup_elem(&connections, &index);
  if (mine) *mine += 1;
  count->turns += 1;
  return answer(ctx, in.ack, in.seq + in.payload_octets, PSH | ACK, 1);
}

char lab_license[] SEC("license") = "Dual BSD/GPL";
