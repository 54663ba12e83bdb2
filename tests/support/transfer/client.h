// client.h - opens connections, moves octets both ways, checks every one, and says how each connection ended.
//
// Limits    `timeout` ends the run; what is open then counts as "open" and fails it.
#pragma once
#include <cstdint>

#include "tests/support/transfer/address.h"
#include "tests/support/transfer/request.h"

namespace penstock::transfer {

struct ClientPlan {
  SocketAddress to;
  std::uint64_t connections{1};
  std::uint64_t connections_per_second{};  ///< 0: all at once
  std::uint64_t up{}, down{};              ///< octets of payload per connection
  Turn turn{}, server_turn{};
  bool expects_greeting{};
  bool report{true};
  Manners mine, servers;
  double timeout_seconds{60};
  double progress_seconds{};  ///< a line on the standard error stream so often; 0: never
};

/// Prints one JSON line. 0 when every connection ended as planned: ok, or reset by us on purpose.
int run_client(const ClientPlan& plan);

}  // namespace penstock::transfer
