#include "dataplane/control/snapshot_view.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "dataplane/control/snapshot_check.h"

namespace penstock::control {
namespace {

constexpr NodeRecord kNoNode{};

template <typename T>
std::span<const T> records(ByteView bytes, const SnapshotHeader& header, SnapshotSection section) {
  const SectionRef& ref = header.sections[static_cast<std::size_t>(section)];
  // The check has seen that offset, size and alignment fit.
  return {reinterpret_cast<const T*>(bytes.data() + ref.offset), ref.count};
}

HttpTables http_tables(ByteView bytes, const SnapshotHeader& header) {
  const auto texts = records<char>(bytes, header, SnapshotSection::texts);
  return {records<HttpListenerRecord>(bytes, header, SnapshotSection::http_listeners),
          records<std::uint32_t>(bytes, header, SnapshotSection::route_clusters),
          records<std::uint16_t>(bytes, header, SnapshotSection::route_slots),
          records<ClusterPolicyRecord>(bytes, header, SnapshotSection::cluster_policies),
          records<HashPolicyRecord>(bytes, header, SnapshotSection::hash_policies),
          records<RingPoint>(bytes, header, SnapshotSection::rings),
          {texts.data(), texts.size()},
          records<std::byte>(bytes, header, SnapshotSection::route_images),
          records<std::uint32_t>(bytes, header, SnapshotSection::route_policies),
          {records<HttpPolicyRecord>(bytes, header, SnapshotSection::http_policies),
           records<AuthorizationRule>(bytes, header, SnapshotSection::authorization_rules),
           records<PolicyTerm>(bytes, header, SnapshotSection::policy_terms),
           records<RateLimitRecord>(bytes, header, SnapshotSection::rate_limits),
           {texts.data(), texts.size()},
           records<QuestionTargetRecord>(bytes, header, SnapshotSection::question_targets),
           records<TextRef>(bytes, header, SnapshotSection::question_headers)}};
}

struct Halves {
  std::uint64_t high;
  std::uint64_t low;
};
Halves halves_of(const IpAddress& address) {
  Halves out;
  std::memcpy(&out.high, address.octets.data(), 8);
  std::memcpy(&out.low, address.octets.data() + 8, 8);
  return out;
}

/// Finalizer of SplitMix64.
constexpr std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

std::uint32_t service_hash(const IpAddress& address, Be16 port, IpProto proto) {
  const auto [high, low] = halves_of(address);
  const std::uint64_t rest = std::uint64_t{port.host()} << 8 | static_cast<std::uint64_t>(proto);
  return static_cast<std::uint32_t>(mix(mix(high + rest) ^ low));
}

std::uint32_t address_hash(const IpAddress& address) {
  const auto [high, low] = halves_of(address);
  return static_cast<std::uint32_t>(mix(mix(high) ^ low));
}

SnapshotView::SnapshotView() : node_{&kNoNode} {}

Result<SnapshotView> SnapshotView::open(ByteView bytes) {
  if (Status frame = check_frame(bytes); !frame) return frame.error();
  SnapshotHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  SnapshotView view;
  view.epoch_ = header.epoch;
  view.content_hash_ = header.content_hash;
  view.node_ = records<NodeRecord>(bytes, header, SnapshotSection::node).data();
  view.node_addresses_ = records<IpAddress>(bytes, header, SnapshotSection::node_addresses);
  view.listeners_ = records<ListenerRecord>(bytes, header, SnapshotSection::listeners);
  view.listener_slots_ = records<std::uint32_t>(bytes, header, SnapshotSection::listener_slots);
  view.address_slots_ = records<std::uint32_t>(bytes, header, SnapshotSection::address_slots);
  view.clusters_ = records<ClusterRecord>(bytes, header, SnapshotSection::clusters);
  view.endpoints_ = records<EndpointRecord>(bytes, header, SnapshotSection::endpoints);
  view.maglev_ = records<std::uint16_t>(bytes, header, SnapshotSection::maglev);
  view.http_ = http_tables(bytes, header);
  const SnapshotTables tables{*view.node_,          view.node_addresses_, view.listeners_,
                              view.listener_slots_, view.address_slots_,  view.clusters_,
                              view.endpoints_,      view.maglev_,         view.http_};
  if (Status relations = check_tables(tables); !relations) return relations.error();
  for (std::size_t i = 0; i < view.listeners_.size(); ++i) {
    const ListenerRecord& listener = view.listeners_[i];
    if (view.find_listener(listener.address, listener.port, listener.proto) != &listener)
      return snapshot_problem(SnapshotSection::listener_slots, i,
                              "listener is not found by its service; another has the same service, or the slots are "
                              "wrong");
    if (!view.serves_address(listener.address))
      return snapshot_problem(SnapshotSection::address_slots, i, "listener is not found by its address");
  }
  return view;
}

// Both probes end: the check has seen a power of two of slots with at least one of them empty.
const ListenerRecord* SnapshotView::find_listener(const IpAddress& address, Be16 port, IpProto proto) const {
  if (listener_slots_.empty()) return nullptr;
  const std::size_t mask = listener_slots_.size() - 1;
  for (std::size_t at = service_hash(address, port, proto) & mask;; at = (at + 1) & mask) {
    const std::uint32_t index = listener_slots_[at];
    if (index == kEmptySlot) return nullptr;
    const ListenerRecord& listener = listeners_[index];
    if (listener.address == address && listener.port == port && listener.proto == proto) return &listener;
  }
}

bool SnapshotView::serves_address(const IpAddress& address) const {
  if (address_slots_.empty()) return false;
  const std::size_t mask = address_slots_.size() - 1;
  for (std::size_t at = address_hash(address) & mask;; at = (at + 1) & mask) {
    const std::uint32_t index = address_slots_[at];
    if (index == kEmptySlot) return false;
    if (listeners_[index].address == address) return true;
  }
}

bool SnapshotView::owns_source(const IpAddress& address, Be16 port) const {
  return port.host() >= node_->source_port_low && port.host() <= node_->source_port_high &&
         std::find(node_addresses_.begin(), node_addresses_.end(), address) != node_addresses_.end();
}

}  // namespace penstock::control
