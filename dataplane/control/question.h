// question.h - what a worker asks, and what the daemon answers.
//
// Model     one question per parked flow on the worker's own ring; answers carry a source prefix and a lifetime,
//           so one answer serves a whole class of flows. A lost answer ends in the listener's default action.
// Units     nanoseconds of CLOCK_MONOTONIC where the name says _ns.
// Shape     128 and 64 octets, slots of control/spsc_ring rings in the shared segment.
#pragma once
#include <array>
#include <cstdint>

#include "dataplane/control/snapshot_layout.h"
#include "dataplane/core/addresses.h"

namespace penstock::control {

struct Question {
  std::uint64_t id;     ///< unique within one worker and boot epoch
  std::uint64_t epoch;  ///< snapshot under which it was asked
  std::uint64_t asked_ns;
  std::uint64_t deadline_ns;
  IpAddress source;
  IpAddress destination;
  Be16 source_port;
  Be16 destination_port;
  IpProto proto;
  std::uint8_t zero0;
  std::uint16_t worker;
  std::uint32_t listener_id;
  std::array<std::uint8_t, 52> zero;
};
static_assert(sizeof(Question) == 128);

struct Answer {
  std::uint64_t question_id;
  std::uint32_t listener_id;
  std::uint32_t lifetime_ms;  ///< 0 = this flow only, do not cache
  IpAddress source;           ///< prefix the answer holds for, host bits cleared
  std::uint8_t source_bits;   ///< in the address's own family
  Decision decision;
  std::uint16_t status;  ///< of requests that are denied; 0 = 403
  std::array<std::uint8_t, 28> zero;
};
static_assert(sizeof(Answer) == 64);

}  // namespace penstock::control
