#include "mgmt/telemetry/flow_reader.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstring>

namespace penstock::telemetry {
namespace {

using control::FlowArenaHeader;
using control::FlowCold;
using control::FlowDirection;

constexpr int kTornRetries = 3;

struct Arena {
  ByteView bytes;
  FlowArenaHeader header;
  [[nodiscard]] const std::byte* directions(std::size_t i) const {
    return bytes.data() + sizeof(FlowArenaHeader) + i * 2 * sizeof(FlowDirection);
  }
  [[nodiscard]] const std::byte* cold(std::size_t i) const {
    return bytes.data() + sizeof(FlowArenaHeader) + std::size_t{header.capacity} * 2 * sizeof(FlowDirection) +
           i * sizeof(FlowCold);
  }
};

std::optional<Arena> open_arena(ByteView bytes) {
  Arena arena{bytes, {}};
  if (bytes.size() < sizeof(FlowArenaHeader)) return std::nullopt;
  std::memcpy(&arena.header, bytes.data(), sizeof arena.header);
  if (arena.header.magic != control::kFlowArenaMagic || arena.header.layout != control::kFlowArenaLayout)
    return std::nullopt;
  if (bytes.size() < control::flow_arena_octets(arena.header.capacity)) return std::nullopt;
  return arena;
}

struct Record {
  FlowDirection forward;
  FlowDirection reverse;
  FlowCold cold;
};

std::uint32_t generation_of(const std::byte* cold) {
  std::uint32_t out;
  std::memcpy(&out, cold + offsetof(FlowCold, generation), sizeof out);
  return out;
}

/// A whole copy of record `i`, or nothing when it is free or stays torn.
std::optional<Record> copy_record(const Arena& arena, std::size_t i) {
  for (int attempt = 0; attempt < kTornRetries; ++attempt) {
    const std::uint32_t before = generation_of(arena.cold(i));
    std::atomic_thread_fence(std::memory_order_acquire);
    if ((before & 1u) != 0) return std::nullopt;
    Record record;
    std::memcpy(&record.forward, arena.directions(i), sizeof record.forward);
    std::memcpy(&record.reverse, arena.directions(i) + sizeof(FlowDirection), sizeof record.reverse);
    std::memcpy(&record.cold, arena.cold(i), sizeof record.cold);
    std::atomic_thread_fence(std::memory_order_acquire);
    if (generation_of(arena.cold(i)) == before) return record;
  }
  return std::nullopt;
}

FlowRow row_of_record(const Record& record, std::uint32_t worker, std::uint32_t now_ms) {
  const auto& [forward, reverse, cold] = record;
  FlowRow row;
  row.worker = worker;
  row.proto = forward.proto;
  row.client = control::source_of(forward);
  row.client_port = forward.src_port.host();
  row.service = control::destination_of(forward);
  row.service_port = forward.dst_port.host();
  row.endpoint = control::source_of(reverse);
  row.endpoint_port = reverse.src_port.host();
  row.source = control::destination_of(reverse);
  row.source_port = reverse.dst_port.host();
  row.state = forward.state;
  row.forwarded = (forward.flags & control::kFlowForwarded) != 0;
  row.spliced = control::is_spliced(forward, reverse);
  row.proxied = (forward.flags & control::kFlowProxy) != 0 && !row.spliced;
  row.listener_id = cold.listener_id;
  row.endpoint_id = cold.endpoint_id;
  row.out_port = reverse.out_port;
  row.age_ms = elapsed_ms(now_ms, cold.created_ms);
  row.idle_ms = std::min(elapsed_ms(now_ms, forward.last_seen_ms), elapsed_ms(now_ms, reverse.last_seen_ms));
  row.packets_forward = cold.packets[0] + forward.packets;
  row.packets_reverse = cold.packets[1] + reverse.packets;
  row.octets_forward = cold.octets[0] + forward.octets;
  row.octets_reverse = cold.octets[1] + reverse.octets;
  return row;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return port;
}

}  // namespace

std::uint32_t elapsed_ms(std::uint32_t now_ms, std::uint32_t then_ms) {
  const std::int32_t since = CoarseMs{now_ms}.since(CoarseMs{then_ms});
  return since < 0 ? 0 : static_cast<std::uint32_t>(since);
}

std::optional<HostPort> parse_host_port(std::string_view text) {
  if (const auto address = IpAddress::parse(text)) return HostPort{*address, std::nullopt};
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const auto port = parse_port(text.substr(colon + 1));
  if (!port) return std::nullopt;
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto address = IpAddress::parse(host);
  if (!address || bracketed == address->is_v4()) return std::nullopt;
  return HostPort{*address, port};
}

std::string host_port_text(const IpAddress& address, std::uint16_t port) {
  const std::string host = address.text();
  return (address.is_v4() ? host : "[" + host + "]") + ":" + std::to_string(port);
}

FlowList read_flows(std::span<const ByteView> arenas, const FlowFilter& filter, std::uint32_t now_ms) {
  FlowList list;
  for (const ByteView bytes : arenas) {
    const auto arena = open_arena(bytes);
    if (!arena) continue;
    const std::size_t used = std::min(arena->header.capacity, arena->header.high_water);
    for (std::size_t i = 0; i < used; ++i) {
      const auto record = copy_record(*arena, i);
      if (!record || record->forward.state == control::FlowState::free ||
          record->forward.state >= control::FlowState::count)
        continue;
      ++list.active;
      const FlowRow row = row_of_record(*record, arena->header.worker, now_ms);
      if (!matches(filter, row)) continue;
      ++list.matched;
      if (list.rows.size() < filter.limit) list.rows.push_back(row);
    }
  }
  return list;
}

}  // namespace penstock::telemetry
