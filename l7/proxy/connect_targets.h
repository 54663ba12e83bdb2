// connect_targets.h - which targets of CONNECT a listener lets through.
//
// Model     an allow-list in text, one pattern per line: host and port with a colon between. A host is exact, or
//           "*.suffix" for everything below, or "*"; a port is exact or "*". Lists are in lower case.
// Units     octets.
// Errors    what is no "host:port" is not allowed.
// Not here  the tunnel (connect.cpp).
#pragma once
#include <string_view>

namespace penstock::proxy {

[[nodiscard]] bool connect_allowed(std::string_view list, std::string_view target);

}  // namespace penstock::proxy
