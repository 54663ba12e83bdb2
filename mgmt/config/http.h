// http.h - what a listener with protocol http does beside routing.
//
// Model     plain values, as the rest of config.h. Virtual hosts and routes are l7/route's own values
//           (route_config.h), so that they reach its compiler as they are.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/control/http_layout.h"
#include "l7/route/policy_config.h"
#include "mgmt/config/durations.h"

namespace penstock::config {

/// Tunnels of CONNECT.
struct Connect {
  std::vector<std::string> allow;  ///< "host:port", with "*" or "*.suffix" for the host, "*" for the port
  std::string cluster;
  friend bool operator==(const Connect&, const Connect&) = default;
};

struct Http {
  milliseconds header_timeout{seconds{10}};
  milliseconds idle_timeout{seconds{60}};
  milliseconds stream_idle_timeout{minutes{5}};
  std::uint32_t max_requests_per_connection{0};  ///< 0 = any number
  std::uint32_t access_log_samples{0};           ///< of a million requests
  control::SenderList x_forwarded_for{control::SenderList::append};
  control::SenderList forwarded{control::SenderList::off};
  std::uint32_t xff_num_trusted_hops{0};
  bool trace_context{true};
  std::uint32_t trace_samples{1'000'000};           ///< of a million traces begun here
  std::optional<std::uint32_t> max_request_body{};  ///< octets
  std::string via{};                                ///< empty = none
  std::optional<route::RateLimit> rate_limit{}, client_rate_limit{};
  std::optional<Connect> connect{};
  friend bool operator==(const Http&, const Http&) = default;
};

enum class AccessFormat : std::uint8_t { text, json };
/// Where sampled requests are logged, and how.
struct AccessLog {
  std::string file;  ///< empty = standard output
  AccessFormat format{AccessFormat::json};
  friend bool operator==(const AccessLog&, const AccessLog&) = default;
};

/// What the payload of a listener's connections is taken for.
enum class Application : std::uint8_t { none, http };

}  // namespace penstock::config
