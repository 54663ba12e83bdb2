// connection_reader.h - the proxied connections of the workers' connection arenas, for people.
//
// Model     as flow_reader.h: the arenas are the dataplane's memory, mapped read-only and never trusted. The header is
//           checked once, a record is copied and its generation checked again; torn ones are read again a few times,
//           then skipped.
// Units     ages in milliseconds; legs as in control/connection_layout.h.
// Limits    the caller's `limit` rows; counting goes on behind it.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/control/connection_layout.h"
#include "dataplane/control/snapshot_layout.h"
#include "mgmt/telemetry/flow_reader.h"
#include "mgmt/telemetry/report.h"

namespace penstock::telemetry {

struct ConnectionRow {
  std::uint32_t worker{};
  IpAddress client, service, source, endpoint;  ///< source: the node's address towards the endpoint
  std::uint16_t client_port{}, service_port{}, source_port{}, endpoint_port{};
  std::uint32_t listener_id{};
  std::uint32_t endpoint_id{};
  std::uint32_t age_ms{};
  std::uint32_t updated_ms{};  ///< how old the values are
  control::LegRecord downstream{};
  control::LegRecord upstream{};
};

struct ConnectionList {
  std::vector<ConnectionRow> rows;
  std::uint64_t matched{};  ///< rows that match, listed or not
  std::uint64_t active{};   ///< connections of all arenas
};

/// Looks through the arenas of all workers. `now_ms` is CoarseMs of CLOCK_MONOTONIC. An arena that is none is skipped.
[[nodiscard]] ConnectionList read_connections(std::span<const ByteView> arenas, const FlowFilter& filter,
                                              std::uint32_t now_ms);
/// What all arenas together have room for, at most `per_worker_max` each.
[[nodiscard]] std::uint64_t connection_room(std::span<const ByteView> arenas, std::uint32_t per_worker_max);
/// The bounds of `node` against what these arenas reserve.
[[nodiscard]] ProxyReport proxy_report(const control::NodeRecord& node, std::span<const ByteView> arenas);

}  // namespace penstock::telemetry
