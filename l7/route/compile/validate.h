// validate.h - is this configuration one that can be compiled?
//
// Model     everything that is wrong is found in one pass; what passes compiles without further failure.
// Units     places read: virtual host "shop": route 3 "checkout": match.path
// Errors    a list of Problems with place, reason and remedy; empty = valid.
// Limits    limits.h.
// Not here  whether clusters exist, whether a route can ever be reached (shadow.h).
#pragma once
#include "dataplane/core/result.h"
#include "l7/route/route_config.h"

namespace penstock::route {

[[nodiscard]] Problems validate(const RouteTable& table);

/// One expression: nullopt-like empty text, or why it is refused.
[[nodiscard]] std::string regex_problem(const std::string& pattern);

}  // namespace penstock::route
