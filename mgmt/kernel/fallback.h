// fallback.h - the kernel path: what serves service addresses while the fast path is away.
//
// Model     desired state in, one nftables table `inet penstock-fallback` replaced in one transaction: weighted DNAT
//           for new connections (prerouting, output), masquerade of FullNAT services to ports outside the reserved
//           range, and a guard that drops stray packets of fast-path connections instead of letting the kernel
//           answer RST. The kernel also owns the service addresses: local routes, and proxy neighbours for IPv6 on
//           every port. Connections in conntrack survive apply(). docs/architecture/fallback.md has the rules.
// Units     ports in host order.
// Errors    Problem with the failing rule, route or sysctl; a failed apply() leaves the table as it was.
// Limits    one network namespace, the caller's. Weights above zero of a service sum up to at most 2^31.
// Undo      originals of changed sysctls are kept in `state_file`, so that a later process can restore them.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/core/addresses.h"
#include "dataplane/core/result.h"

namespace penstock::kernel {

struct FallbackEndpoint {
  IpAddress address;
  std::uint16_t port;
  std::uint16_t weight;  ///< 0: no new connections
};
struct FallbackService {
  IpAddress address;
  std::uint16_t port;
  IpProto proto;
  bool masquerade;  ///< FullNAT: endpoints see a node address
  /// Of the same family as `address`. Empty, or all weights 0: new connections are dropped. The daemon passes
  /// no endpoints for listeners whose policy the kernel cannot enforce (deny, ask with default deny).
  std::vector<FallbackEndpoint> endpoints;
};
struct FallbackState {
  std::vector<FallbackService> services;
  std::vector<IpAddress> node_addresses;  ///< FullNAT sources: stray packets to their reserved range are dropped
  std::uint16_t source_port_low{16384};
  std::uint16_t source_port_high{29999};
  std::vector<std::string> interfaces;  ///< ports in this namespace: IPv6 services are proxied there
};

struct FallbackOptions {
  std::string table{"penstock-fallback"};
  std::string state_file{"/run/penstock/fallback.state"};
  bool enable_forwarding{true};  ///< set ip_forward and, with IPv6 services, conf.all.forwarding
  bool reserve_ports{true};      ///< add the source port range to ip_local_reserved_ports
};

class Fallback {
 public:
  [[nodiscard]] static Result<Fallback> open(const FallbackOptions& options = {});
  Fallback(Fallback&&) noexcept;
  Fallback& operator=(Fallback&&) noexcept;
  ~Fallback();  ///< leaves everything in place

  /// Table, routes, proxy neighbours and sysctls become those of `wanted`, whoever made the present ones.
  [[nodiscard]] Status apply(const FallbackState& wanted);
  /// Takes everything away and restores sysctls, also what a predecessor left. Done when nothing is there.
  [[nodiscard]] Status remove();

 private:
  struct Impl;
  explicit Fallback(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock::kernel
