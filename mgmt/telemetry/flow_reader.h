// flow_reader.h - the connections of the workers' flow arenas, for people.
//
// Model     arenas are the dataplane's memory, mapped read-only and never trusted: the header is checked once, a
//           record is copied and its generation checked again; torn ones are read again a few times, then skipped.
// Units     ages in milliseconds.
// Limits    the caller's `limit` rows; counting goes on behind it.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dataplane/control/flow_layout.h"
#include "dataplane/core/clock.h"
#include "dataplane/core/result.h"

namespace penstock::telemetry {

struct FlowRow {
  std::uint32_t worker{};
  IpProto proto{IpProto::tcp};
  IpAddress client, service, source, endpoint;  ///< source: what the endpoint sees as its peer
  std::uint16_t client_port{}, service_port{}, source_port{}, endpoint_port{};
  control::FlowState state{control::FlowState::free};
  bool forwarded{};  ///< tier X: the XDP program forwards it
  bool proxied{};    ///< ends here; the rest of it is in connection_reader.h
  bool spliced{};    ///< a proxied one that became a spliced flow
  std::uint32_t listener_id{};
  std::uint32_t endpoint_id{};
  std::uint32_t out_port{};  ///< port index towards the client
  std::uint32_t age_ms{};
  std::uint32_t idle_ms{};
  std::uint64_t packets_forward{}, packets_reverse{}, octets_forward{}, octets_reverse{};
};

struct FlowFilter {
  std::optional<IpPrefix> client;
  std::optional<IpAddress> service;
  std::optional<std::uint16_t> service_port;
  std::optional<std::uint32_t> listener_id;
  std::optional<IpAddress> endpoint;
  std::optional<std::uint16_t> endpoint_port;
  std::size_t limit{100};
};
/// `row` is a FlowRow or a ConnectionRow.
template <typename Row>
[[nodiscard]] bool matches(const FlowFilter& filter, const Row& row) {
  if (filter.client && (filter.client->address.family() != row.client.family() || !filter.client->contains(row.client)))
    return false;
  if (filter.service && *filter.service != row.service) return false;
  if (filter.service_port && *filter.service_port != row.service_port) return false;
  if (filter.listener_id && *filter.listener_id != row.listener_id) return false;
  if (filter.endpoint && *filter.endpoint != row.endpoint) return false;
  return !filter.endpoint_port || *filter.endpoint_port == row.endpoint_port;
}

/// "10.0.0.1", "10.0.0.1:80", "fd00::1", "[fd00::1]:80"; nullopt when it is none of these.
struct HostPort {
  IpAddress address;
  std::optional<std::uint16_t> port;
};
[[nodiscard]] std::optional<HostPort> parse_host_port(std::string_view text);
/// The last form of the above: "10.0.0.1:80" or "[fd00::1]:80".
[[nodiscard]] std::string host_port_text(const IpAddress& address, std::uint16_t port);

struct FlowList {
  std::vector<FlowRow> rows;
  std::uint64_t matched{};  ///< rows that match, listed or not
  std::uint64_t active{};   ///< flows of all arenas
};

/// From one CoarseMs to another, 0 when `then_ms` is later.
[[nodiscard]] std::uint32_t elapsed_ms(std::uint32_t now_ms, std::uint32_t then_ms);

/// Looks through the arenas of all workers. `now_ms` is CoarseMs of CLOCK_MONOTONIC. An arena that is none is skipped.
[[nodiscard]] FlowList read_flows(std::span<const ByteView> arenas, const FlowFilter& filter, std::uint32_t now_ms);

}  // namespace penstock::telemetry
