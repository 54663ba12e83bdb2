// pair.h - a proxied connection: two ends of TCP that belong together.
//
// Model     the downstream leg talks to the client, the upstream leg to the endpoint. Addresses and ports of both
//           stand in the flow record (one direction per leg); this is what TCP needs beside them.
// Shape     at most 896 octets, asserted; lives in a slab, named by index, without pointers.
// Errors    none.
#pragma once
#include <cstdint>

#include "dataplane/flow/flow_table.h"
#include "dataplane/tcp/endpoint.h"

namespace penstock::relay {

using PairIndex = std::uint32_t;
inline constexpr PairIndex kNoPair = 0xffffffff;

/// Who takes what the legs receive.
enum class Serving : std::uint8_t {
  pair,        ///< the other leg
  downstream,  ///< an application (application.h); there is no upstream leg
  upstream     ///< an application; there is no downstream leg
};

/// Also the low bit of the flow direction whose packets arrive on the leg.
enum class Side : std::uint8_t { downstream = 0, upstream = 1 };
[[nodiscard]] constexpr Side other(Side side) { return side == Side::downstream ? Side::upstream : Side::downstream; }

struct Pair {
  tcp::Endpoint legs[2];
  flow::FlowIndex flow{flow::kNoFlow};
  PairIndex next_free{kNoPair};
  CoarseMs last_moved;         ///< payload came, or was acknowledged
  CoarseMs connect_until;      ///< upstream must be connected by then
  std::uint32_t budget_for{};  ///< Relay::budget_mark() that the legs' budgets follow
  std::uint16_t mtu[2]{};
  std::uint8_t sent_in[2]{};  ///< by leg: the period its peer was counted as sending in (ArrivalShare)
  bool half_open{};           ///< counted as half-open
  bool dirty{};               ///< on the list of those that may have something to send
  bool dialled{};             ///< the upstream leg was begun
  bool answered{};            ///< the endpoint has sent an octet
  bool failed{};              ///< a payload could not be kept: both legs are to be reset
  bool counted_end{};         ///< the reason of its end is in a counter
  bool by_cookie{};           ///< began with a cookie: its first data could open it again
  bool may_splice{};          ///< becomes a spliced flow when it is at rest
  std::uint16_t rests{};      ///< passed by (RelayConfig::rests_before_splice)
  bool in_use{};

  // Of served legs.
  Serving serving{Serving::pair};
  bool attached{};   ///< the application wants to hear of it; else it lingers
  bool blocked{};    ///< the application could not write
  bool app_timed{};  ///< app_deadline counts
  bool resting{};    ///< Relay::rest(), and not yet turned
  CoarseMs app_deadline;
  std::uint32_t token{0xffffffff};
  PairIndex peer{kNoPair};  ///< coupled leg: where its octets go and come from
  tcp::Index inbox_head{tcp::kNoIndex}, inbox_tail{tcp::kNoIndex};
  std::uint32_t inbox_octets{};

  [[nodiscard]] bool served() const { return serving != Serving::pair; }
  [[nodiscard]] Side served_side() const { return serving == Serving::upstream ? Side::upstream : Side::downstream; }
  [[nodiscard]] tcp::Endpoint& leg(Side side) { return legs[static_cast<std::size_t>(side)]; }
  [[nodiscard]] const tcp::Endpoint& leg(Side side) const { return legs[static_cast<std::size_t>(side)]; }
};
static_assert(sizeof(Pair) <= 896);

}  // namespace penstock::relay
