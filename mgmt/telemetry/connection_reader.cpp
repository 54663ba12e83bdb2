#include "mgmt/telemetry/connection_reader.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>

namespace penstock::telemetry {
namespace {

using control::ConnectionArenaHeader;
using control::ConnectionRecord;

constexpr int kTornRetries = 3;

std::optional<ConnectionArenaHeader> header_of(ByteView bytes) {
  ConnectionArenaHeader header;
  if (bytes.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != control::kConnectionArenaMagic || header.layout != control::kConnectionArenaLayout)
    return std::nullopt;
  if (bytes.size() < control::connection_arena_octets(header.capacity)) return std::nullopt;
  return header;
}

std::uint32_t generation_of(const std::byte* record) {
  std::uint32_t out;
  std::memcpy(&out, record + offsetof(ConnectionRecord, generation), sizeof out);
  return out;
}

/// A whole copy of record `i`, or nothing when it is free or stays torn.
std::optional<ConnectionRecord> copy_record(ByteView arena, std::size_t i) {
  const std::byte* at = arena.data() + sizeof(ConnectionArenaHeader) + i * sizeof(ConnectionRecord);
  for (int attempt = 0; attempt < kTornRetries; ++attempt) {
    const std::uint32_t before = generation_of(at);
    std::atomic_thread_fence(std::memory_order_acquire);
    if ((before & 1u) != 0) return std::nullopt;
    ConnectionRecord record;
    std::memcpy(&record, at, sizeof record);
    std::atomic_thread_fence(std::memory_order_acquire);
    if (generation_of(at) == before) return record;
  }
  return std::nullopt;
}

ConnectionRow row_of_record(const ConnectionRecord& record, std::uint32_t worker, std::uint32_t now_ms) {
  ConnectionRow row;
  row.worker = worker;
  row.client = record.client;
  row.client_port = record.client_port.host();
  row.service = record.service;
  row.service_port = record.service_port.host();
  row.source = record.node;
  row.source_port = record.node_port.host();
  row.endpoint = record.endpoint;
  row.endpoint_port = record.endpoint_port.host();
  row.listener_id = record.listener_id;
  row.endpoint_id = record.endpoint_id;
  row.age_ms = elapsed_ms(now_ms, record.created_ms);
  row.updated_ms = elapsed_ms(now_ms, record.updated_ms);
  row.downstream = record.downstream;
  row.upstream = record.upstream;
  return row;
}

}  // namespace

ConnectionList read_connections(std::span<const ByteView> arenas, const FlowFilter& filter, std::uint32_t now_ms) {
  ConnectionList list;
  for (const ByteView bytes : arenas) {
    const auto header = header_of(bytes);
    if (!header) continue;
    const std::size_t used = std::min(header->capacity, header->high_water);
    for (std::size_t i = 0; i < used; ++i) {
      const auto record = copy_record(bytes, i);
      if (!record) continue;
      ++list.active;
      const ConnectionRow row = row_of_record(*record, header->worker, now_ms);
      if (!matches(filter, row)) continue;
      ++list.matched;
      if (list.rows.size() < filter.limit) list.rows.push_back(row);
    }
  }
  return list;
}

std::uint64_t connection_room(std::span<const ByteView> arenas, std::uint32_t per_worker_max) {
  std::uint64_t out = 0;
  for (const ByteView bytes : arenas)
    if (const auto header = header_of(bytes)) out += std::min(header->capacity, per_worker_max);
  return out;
}

ProxyReport proxy_report(const control::NodeRecord& node, std::span<const ByteView> arenas) {
  return {connection_room(arenas, ~std::uint32_t{0}), arenas.size() * std::uint64_t{node.proxy_connections_max},
          connection_room(arenas, node.proxy_connections_max), node.proxy_half_open_max, node.proxy_buffer_octets};
}

}  // namespace penstock::telemetry
