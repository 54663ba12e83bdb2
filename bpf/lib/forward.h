// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// forward.h - tier X: whether a packet of a forwarded flow can be translated here, and its translation in place.
//
// Model     two steps. penstock_can_forward() decides and changes nothing; penstock_translate() changes. The same
//           semantics as dataplane/l4/rewrite.h, with sequence numbers, window and timestamps for spliced flows. Calls
//           no BPF helper, so user space compiles it too.
// Checksums updated (RFC 1624), not recomputed: damage on the way in stays visible at the end. A partial one, only the
//           sum of the pseudo-header, is completed: a whole segment's sum is the complement of its checksum, and that
//           is then updated like any other. The caller takes the sum: that needs helpers.
// Errors    0 = the old way; the frame is untouched.
// Not here  which flow, heartbeats, devices (xdp/steer.bpf.c).
#pragma once
#include "bpf/abi/steer.h"
#include "bpf/lib/parse.h"

#ifdef __cplusplus
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wconversion"
#endif

// Segments with a partial checksum that are larger go to the dataplane.
enum { PENSTOCK_FORWARD_SUM_MAX = 4096 };

// The transport segment of a packet that can be forwarded.
struct penstock_segment {
  __u32 l4;           // offset in the frame
  __u32 octets;       // covered by the checksum
  __u32 ip_octets;    // of the whole packet
  __u16 sum;          // one's complement of the checksum; of a partial one to be set by the caller
  __u8 partial;       // the checksum is only the sum of the pseudo-header
  __u8 unchecked;     // UDP without a checksum
  __u8 udp;           // else TCP
  __u8 timestamps;    // the TCP options are NOP, NOP, timestamps
  __u8 acknowledges;  // ACK is set
  __u8 zero;
};

static inline __attribute__((always_inline)) void penstock_store16(__u8* p, __u16 v) {
#ifdef __bpf__
  *(__u16*)p = v;
#else
  __builtin_memcpy(p, &v, sizeof v);
#endif
}
static inline __attribute__((always_inline)) __u32 penstock_host32(__u32 wire) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  return __builtin_bswap32(wire);
#else
  return wire;
#endif
}

// A sum of words as they stand in memory, as one 16-bit one's complement number; not 0 unless the sum is.
static inline __attribute__((always_inline)) __u16 penstock_fold(__u64 sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return (__u16)((sum & 0xffff) + (sum >> 16));
}

static inline __attribute__((always_inline)) __u64 penstock_sum_words(const __u8* p, int words) {
  __u64 sum = 0;
#pragma GCC unroll 8
  for (int i = 0; i < words; ++i) sum += penstock_load32(p + 4 * i);
  return sum;
}

// What the sequence numbers of a spliced flow allow: no options, or exactly NOP, NOP, timestamps (RFC 7323 app. A).
static inline __attribute__((always_inline)) int penstock_splice_options(const __u8* l4, const __u8* end,
                                                                         struct penstock_segment* out) {
  const __u32 header = l4[12] >> 4;
  if (header == 5) return 1;
  if (header != 8 || l4 + 32 > end) return 0;
  if (penstock_host32(penstock_load32(l4 + 20)) != 0x0101080a) return 0;
  out->timestamps = 1;
  return 1;
}

// Transport header at `l4`, already accepted by parse.h. `octets`: what the IP header promises from there on. `pseudo`:
// sum of the addresses.
static inline __attribute__((always_inline)) int penstock_find_segment(const __u8* l4, const __u8* end, __u32 octets,
                                                                       __u8 proto, __u64 pseudo, __u16 flags,
                                                                       struct penstock_segment* out) {
  __u16 field;
  if (proto == PENSTOCK_PROTO_UDP) {
    if (l4 + 8 > end) return 0;
    octets = penstock_host16(penstock_load16(l4 + 4));
    field = penstock_load16(l4 + 6);
    out->udp = 1;
    out->unchecked = field == 0;
  } else {
    if (l4 + 20 > end) return 0;
    field = penstock_load16(l4 + 16);
    out->acknowledges = (l4[13] & PENSTOCK_TCP_ACK) != 0;
    if ((flags & PENSTOCK_FORWARD_SPLICE) && !penstock_splice_options(l4, end, out)) return 0;
  }
  pseudo += (__u64)penstock_host16((__u16)octets) + penstock_host16(proto);
  out->octets = octets;
  out->sum = (__u16)~field;
  out->partial = field == penstock_fold(pseudo);
  return !out->partial || octets <= PENSTOCK_FORWARD_SUM_MAX;
}

// A frame that parse.h accepted as a TCP or UDP packet. 1 when it can be translated as `to` says; `out`, zeroed by the
// caller, describes it then.
static inline __attribute__((always_inline)) int penstock_can_forward(const __u8* data, const __u8* end,
                                                                      const struct penstock_forward_slot* to,
                                                                      struct penstock_segment* out) {
  const __u8* l3 = data + 14;
  if (l3 + 20 > end) return 0;
  const __u16 type = penstock_host16(penstock_load16(data + 12));
  if (type == 0x0800 && !(to->flags & PENSTOCK_FORWARD_V6)) {
    const __u32 header = (l3[0] & 0x0fu) * 4u;
    const __u32 total = penstock_host16(penstock_load16(l3 + 2));
    if (l3[8] <= 1 || total > to->mtu) return 0;
    out->l4 = 14 + header;
    out->ip_octets = total;
    return penstock_find_segment(l3 + header, end, total - header, l3[9], penstock_sum_words(l3 + 12, 2), to->flags,
                                 out);
  }
  if (type == 0x86dd && (to->flags & PENSTOCK_FORWARD_V6) && l3 + 40 <= end) {
    const __u32 payload = penstock_host16(penstock_load16(l3 + 4));
    if (l3[7] <= 1 || 40 + payload > to->mtu) return 0;
    out->l4 = 14 + 40;
    out->ip_octets = 40 + payload;
    return penstock_find_segment(l3 + 40, end, payload, l3[6], penstock_sum_words(l3 + 8, 8), to->flags, out);
  }
  return 0;  // tagged, or of the other family
}

// Adds `by` to the number at `p`. Returns what that adds to a sum.
static inline __attribute__((always_inline)) __u64 penstock_add32(__u8* p, __u32 by) {
  const __u32 before = penstock_load32(p);
  const __u32 after = penstock_host32(penstock_host32(before) + by);
  penstock_store32(p, after);
  return (__u64)(__u32)~before + after;
}

static inline __attribute__((always_inline)) __u64 penstock_shift_window(__u8* p, int shift) {
  const __u16 before = penstock_load16(p);
  __u32 window = penstock_host16(before);
  window = shift < 0 ? window >> (-shift & 15) : window << (shift & 15);
  const __u16 after = penstock_host16((__u16)(window > 0xffff ? 0xffff : window));
  penstock_store16(p, after);
  return (__u64)(__u16)~before + after;
}

// Sequence number, acknowledgement, window, timestamps of a spliced flow. Returns what that adds to the sum.
static inline __attribute__((always_inline)) __u64 penstock_translate_numbers(__u8* l4, const __u8* end,
                                                                              const struct penstock_forward_slot* to,
                                                                              const struct penstock_segment* segment) {
  __u64 change = penstock_add32(l4 + 4, to->seq_delta);
  if (segment->acknowledges) change += penstock_add32(l4 + 8, to->ack_delta);
  change += penstock_shift_window(l4 + 14, to->window_shift);
  if (segment->timestamps && l4 + 32 <= end) {
    change += penstock_add32(l4 + 24, to->tsval_delta);
    if (penstock_load32(l4 + 28) != 0) change += penstock_add32(l4 + 28, to->tsecr_delta);
  }
  return change;
}

static inline __attribute__((always_inline)) void penstock_copy_words(__u8* to, const __u8* from, int words) {
#pragma GCC unroll 4
  for (int i = 0; i < words; ++i) penstock_store32(to + 4 * i, penstock_load32(from + 4 * i));
}

static inline __attribute__((always_inline)) void penstock_translate_ipv4(__u8* l3,
                                                                          const struct penstock_forward_slot* to) {
  const __u32 src = penstock_load32(to->src.octets + 12);
  const __u32 dst = penstock_load32(to->dst.octets + 12);
  const __u64 sum = (__u64)(__u16)~penstock_load16(l3 + 10) + (__u32)~penstock_load32(l3 + 12) + src +
                    (__u32)~penstock_load32(l3 + 16) + dst + penstock_host16(0xfeff);  // TTL less one
  l3[8] -= 1;
  penstock_store16(l3 + 10, (__u16)~penstock_fold(sum));
  penstock_store32(l3 + 12, src);
  penstock_store32(l3 + 16, dst);
}

// Translates the frame that `segment` describes. 0 and untouched if it does not fit the description after all.
static inline __attribute__((always_inline)) int penstock_translate(__u8* data, const __u8* end,
                                                                    const struct penstock_forward_slot* to,
                                                                    const struct penstock_segment* segment) {
  __u8* l3 = data + 14;
  __u8* l4 = data + (segment->l4 & 127);
  const int v6 = (to->flags & PENSTOCK_FORWARD_V6) != 0;
  if (l3 + 20 > end || l4 + 8 > end || (v6 && l3 + 40 > end) || (!segment->udp && l4 + 20 > end)) return 0;
  penstock_copy_words(data, to->dst_mac, 3);  // both addresses, in the frame's order
  if (v6) {
    l3[7] -= 1;
    penstock_copy_words(l3 + 8, to->src.octets, 4);
    penstock_copy_words(l3 + 24, to->dst.octets, 4);
  } else {
    penstock_translate_ipv4(l3, to);
  }
  __u64 change = to->l4_delta;
  penstock_store16(l4, to->src_port.wire);
  penstock_store16(l4 + 2, to->dst_port.wire);
  if (segment->udp) {
    if (segment->unchecked) return 1;
    const __u16 checksum = (__u16)~penstock_fold(segment->sum + change);
    penstock_store16(l4 + 6, checksum == 0 ? 0xffff : checksum);
    return 1;
  }
  if (to->flags & PENSTOCK_FORWARD_SPLICE) change += penstock_translate_numbers(l4, end, to, segment);
  penstock_store16(l4 + 16, (__u16)~penstock_fold(segment->sum + change));
  return 1;
}

#ifdef __cplusplus
#pragma GCC diagnostic pop
#endif
