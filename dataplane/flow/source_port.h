// source_port.h - the node's own address and port for a FullNAT flow.
//
// Model     a port is free towards an endpoint when the reverse key {endpoint -> node address:port} is not in the
//           flow table. Cursors, picked by hash of the endpoint, walk the whole space (all node addresses times
//           this worker's share of the ports) so that a port is used again as late as possible (RFC 6056 s3.3.3
//           in spirit; every cursor starts at a random place).
// Share     port % worker_count == worker: replies find their worker from the port alone, whatever the range is.
// Limits    kSourcePortTries probes (kSourcePortWalk in a row, then at random), then the first closing or reset flow
// met on the way is given up, if any. Errors    none: Choice::found is false (source_ports_exhausted).
#pragma once
#include <array>
#include <cstdint>
#include <span>

#include "dataplane/flow/flow_table.h"

namespace penstock::flow {

inline constexpr std::uint32_t kSourcePortTries = 64;
inline constexpr std::uint32_t kSourcePortWalk = 32;  ///< tries in a row; the rest at random places

/// The source addresses of one family and the ports of this worker.
struct SourceSpace {
  std::span<const IpAddress> addresses;
  std::uint16_t low{};   ///< host order, inclusive
  std::uint16_t high{};  ///< host order, inclusive
  std::uint16_t worker{};
  std::uint16_t worker_count{1};
  /// Ports of the share.
  [[nodiscard]] std::uint32_t ports() const;
  /// The n-th port of the share.
  [[nodiscard]] std::uint16_t port(std::uint32_t n) const;
};

class SourcePorts {
 public:
  explicit SourcePorts(std::uint64_t seed);
  struct Choice {
    bool found{};
    FlowKey reverse;               ///< endpoint -> node address:port
    FlowIndex take_over{kNoFlow};  ///< erase this flow first
  };
  [[nodiscard]] Choice choose(FlowTable& table, const SourceSpace& space, const IpAddress& endpoint, Be16 endpoint_port,
                              IpProto proto);

 private:
  [[nodiscard]] std::uint32_t random_below(std::uint32_t n);

  static constexpr std::size_t kCursors = 1024;
  std::array<std::uint32_t, kCursors> cursors_;
  FlowHasher hasher_;
  std::uint64_t random_;
};

}  // namespace penstock::flow
