// validate_route.h - the part of validation that looks at one route.
//
// Model     appends to a list; see validate.h.
// Errors    Problems.
#pragma once
#include <string>
#include <string_view>

#include "dataplane/core/result.h"
#include "l7/route/route_config.h"

namespace penstock::route {

void validate_route(const Route& route, const std::string& place, Problems& problems);

/// Octets of 0x21 to 0x7e only.
[[nodiscard]] bool is_visible_ascii(std::string_view text);
/// A token of RFC 9110 s5.6.2: methods, header names.
[[nodiscard]] bool is_token(std::string_view text);
/// "GET" of "get", which no client sends: methods have case (RFC 9110 s9.1); "" for all others.
[[nodiscard]] std::string meant_method(std::string_view method);

}  // namespace penstock::route
