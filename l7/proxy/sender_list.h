// sender_list.h - lists of senders in x-forwarded-for and Forwarded: read from the right, and written.
//
// Model     each proxy on the way appends whom it got the request from; what stands on the left was said by somebody
//           further away. Pure functions over a field's value.
// Units     octets.
// Errors    nullopt: there are fewer elements, or the wanted one is no address.
// Not here  which fields go out (forwarding.cpp).
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "dataplane/core/addresses.h"
#include "l7/stream/writer.h"

namespace penstock::proxy {

/// Takes the last element off a comma-separated list; empty when there is none left. Empty elements are passed over.
[[nodiscard]] std::string_view take_last(std::string_view& list);
/// An element of x-forwarded-for: an address, perhaps with a port, a v6 one perhaps in brackets.
[[nodiscard]] std::optional<IpAddress> sender_address(std::string_view element);
/// In text, v6 in the form of RFC 5952, as servers write and compare it.
void put_address(const IpAddress& address, stream::Writer& out);
/// One element of Forwarded (RFC 7239 s4): for, host, proto. `host` may be empty.
void put_forwarded(const IpAddress& client, std::string_view host, stream::Writer& out);

}  // namespace penstock::proxy
