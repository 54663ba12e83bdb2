// http_ends.h - what the XDP programs of http_ends.bpf.c share with http_ends.cpp.
//
// Model     plain C11 that is also C++20. One instance of the programs per end.
// Limits    a payload must fit a frame's headroom.
// Units     ports of `service` in network order, the others in host order; octets.
#pragma once
#include <linux/types.h>

enum { HTTP_ENDS_PAYLOAD_MAX = 200, HTTP_ENDS_CONNECTIONS_MAX = 1024 };

// Single entry of `setup`.
struct http_ends_setup {
  __u16 service;         // network order: the port that is asked, or that answers
  __u16 low;             // first port of the client
  __u32 connections;     // its ports are low .. low + connections - 1
  __u32 payload_octets;  // of `payload`: the request, or the answer
  __u32 payload_sum;     // its one's complement sum, folded, as loaded in host order
  __u32 stop;            // the client answers with a reset from now on
};

// Single entry of `payload`.
struct http_ends_payload {
  __u8 octets[HTTP_ENDS_PAYLOAD_MAX];
};

// Single entry of `counts`, per CPU. `connections` counts answers per connection beside it.
struct http_ends_counts {
  __u64 turns;   // requests answered, or answers received
  __u64 odd;     // segments with payload that begin neither a request nor an answer of 200
  __u64 resets;  // RST or FIN of the other end
};
