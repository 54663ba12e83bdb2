#include "dataplane/control/snapshot_writer.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>

#include "dataplane/control/hash.h"
#include "dataplane/control/snapshot_view.h"

namespace penstock::control {
namespace {

constexpr std::size_t kSectionAlign = 64;

constexpr std::size_t aligned(std::size_t octets) { return (octets + kSectionAlign - 1) & ~(kSectionAlign - 1); }

/// Slots for `entries` at a load of at most one half, so that probes are short and at least one slot is empty.
std::vector<std::uint32_t> empty_slots(std::size_t entries) {
  return std::vector<std::uint32_t>(std::bit_ceil(entries * 2 + 1), kEmptySlot);
}

std::vector<std::uint32_t> listener_slots(const std::vector<ListenerRecord>& listeners) {
  std::vector<std::uint32_t> slots = empty_slots(listeners.size());
  for (std::uint32_t i = 0; i < listeners.size(); ++i) {
    const ListenerRecord& listener = listeners[i];
    std::size_t at = service_hash(listener.address, listener.port, listener.proto) & (slots.size() - 1);
    while (slots[at] != kEmptySlot) at = (at + 1) & (slots.size() - 1);
    slots[at] = i;
  }
  return slots;
}

/// As listener_slots, but only the first listener of each address.
std::vector<std::uint32_t> address_slots(const std::vector<ListenerRecord>& listeners) {
  std::vector<std::uint32_t> slots = empty_slots(listeners.size());
  for (std::uint32_t i = 0; i < listeners.size(); ++i) {
    std::size_t at = address_hash(listeners[i].address) & (slots.size() - 1);
    while (slots[at] != kEmptySlot && listeners[slots[at]].address != listeners[i].address)
      at = (at + 1) & (slots.size() - 1);
    if (slots[at] == kEmptySlot) slots[at] = i;
  }
  return slots;
}

struct SectionBytes {
  ByteView bytes;
  std::size_t entry_octets;
};

template <typename T>
SectionBytes section_of(const std::vector<T>& records) {
  return {std::as_bytes(std::span{records}), sizeof(T)};
}

}  // namespace

TextRef add_text(SnapshotContent& content, std::string_view text) {
  const TextRef ref{static_cast<std::uint32_t>(content.texts.size()), static_cast<std::uint32_t>(text.size())};
  content.texts.insert(content.texts.end(), text.begin(), text.end());
  return ref;
}

void add_route_image(SnapshotContent& content, ByteView image, HttpListenerRecord& http) {
  content.route_images.resize(aligned(content.route_images.size()));
  http.table_offset = content.route_images.size();
  http.table_octets = image.size();
  content.route_images.insert(content.route_images.end(), image.begin(), image.end());
}

std::vector<std::byte> write_snapshot(const SnapshotContent& content, std::uint64_t epoch) {
  const std::vector<NodeRecord> node{content.node};
  const std::vector<std::uint32_t> services = listener_slots(content.listeners);
  const std::vector<std::uint32_t> addresses = address_slots(content.listeners);
  std::vector<ClusterPolicyRecord> policies = content.cluster_policies;
  policies.resize(std::max(policies.size(), content.clusters.size()));
  std::vector<std::uint32_t> route_policies = content.route_policies;
  route_policies.resize(std::max(route_policies.size(), content.route_slots.size()), kNoPolicy);
  // In the order of SnapshotSection.
  const std::array<SectionBytes, kSnapshotSectionCount> sections{section_of(node),
                                                                 section_of(content.node_addresses),
                                                                 section_of(content.listeners),
                                                                 section_of(services),
                                                                 section_of(content.clusters),
                                                                 section_of(content.endpoints),
                                                                 section_of(content.maglev),
                                                                 section_of(addresses),
                                                                 section_of(content.http_listeners),
                                                                 section_of(content.route_clusters),
                                                                 section_of(content.route_slots),
                                                                 section_of(policies),
                                                                 section_of(content.hash_policies),
                                                                 section_of(content.rings),
                                                                 section_of(content.texts),
                                                                 section_of(content.route_images),
                                                                 section_of(route_policies),
                                                                 section_of(content.http_policies),
                                                                 section_of(content.authorization_rules),
                                                                 section_of(content.policy_terms),
                                                                 section_of(content.rate_limits),
                                                                 section_of(content.question_targets),
                                                                 section_of(content.question_headers)};

  SnapshotHeader header{};
  header.magic = kSnapshotMagic;
  header.layout = kSnapshotLayout;
  header.epoch = epoch;
  std::size_t offset = aligned(sizeof header);
  for (std::size_t i = 0; i < sections.size(); ++i) {
    header.sections[i] = {offset, static_cast<std::uint32_t>(sections[i].bytes.size() / sections[i].entry_octets),
                          static_cast<std::uint32_t>(sections[i].entry_octets)};
    offset += aligned(sections[i].bytes.size());
  }
  header.octets = offset;

  std::vector<std::byte> out(offset);
  for (std::size_t i = 0; i < sections.size(); ++i)
    if (!sections[i].bytes.empty())
      std::memcpy(out.data() + header.sections[i].offset, sections[i].bytes.data(), sections[i].bytes.size());
  header.content_hash = hash64(ByteView{out}.subspan(sizeof header));
  std::memcpy(out.data(), &header, sizeof header);
  return out;
}

NodeRecord default_node_record() {
  NodeRecord node{};
  node.source_port_low = 16384;
  node.source_port_high = 29999;
  node.flow_max = 262144;
  node.tcp_syn_ms = 30'000;
  node.tcp_established_ms = 3'600'000;
  node.tcp_fin_ms = 60'000;
  node.tcp_closed_ms = 10'000;
  node.udp_unreplied_ms = 30'000;
  node.udp_stream_ms = 120'000;
  node.parked_max = 1024;
  node.proxy_connections_max = 16384;
  node.proxy_half_open_max = 1024;
  node.proxy_idle_ms = 3'600'000;
  node.proxy_connect_ms = 5'000;
  node.proxy_keepalive_ms = 600'000;
  node.proxy_buffer_octets = 256 * 1024;
  node.proxy_time_wait_ms = 60'000;
  node.proxy_congestion = Congestion::cubic;
  return node;
}

}  // namespace penstock::control
