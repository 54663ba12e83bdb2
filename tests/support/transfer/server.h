// server.h - accepts connections and does with each what its request says.
//
// Model     prints "ready"; on SIGUSR1, and at the end (SIGTERM), one JSON line with what became of all connections.
#pragma once
#include <vector>

#include "tests/support/transfer/address.h"

namespace penstock::transfer {

/// `greets`: every connection begins with kGreeting from this side.
int run_server(const std::vector<SocketAddress>& addresses, bool greets);

}  // namespace penstock::transfer
