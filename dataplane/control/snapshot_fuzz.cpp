// Any bytes: open() refuses or yields a view whose every accessor stays inside. The hash is put right before, so
// that mutations reach the checks behind it.
#include <cstring>
#include <vector>

#include "dataplane/control/hash.h"
#include "dataplane/control/limits.h"
#include "dataplane/control/snapshot_view.h"

namespace penstock::control {
namespace {

std::uint64_t traverse_http(const SnapshotView& view, const HttpListenerRecord& http) {
  std::uint64_t sum = view.route_image_of(http).size();
  for (const std::byte octet : view.route_image_of(http)) sum += std::to_integer<std::uint64_t>(octet);
  for (const std::uint32_t cluster : view.route_clusters_of(http)) sum += view.clusters()[cluster].id;
  for (const std::uint16_t slot : view.route_slots_of(http)) require(slot < kHttpSlotMax, "route without a counter");
  return sum;
}

std::uint64_t traverse_policy(const SnapshotView& view, std::size_t index) {
  const ClusterPolicyRecord& policy = view.policy_of(index);
  const auto endpoints = view.endpoints_of(view.clusters()[index]);
  std::uint64_t sum = policy.max_requests;
  for (const HashPolicyRecord& hash : view.hash_policies_of(policy))
    for (const char c : view.text(hash.name)) sum += static_cast<unsigned char>(c);
  for (const RingPoint& point : view.ring_of(policy)) sum += endpoints[point.endpoint].id;
  return sum;
}

void traverse(const SnapshotView& view) {
  std::uint64_t sum = view.node().flow_max;
  for (const IpAddress& address : view.node_addresses())
    require(view.owns_source(address, Be16::from_host(view.node().source_port_low)), "node address is not owned");
  for (const ListenerRecord& listener : view.listeners()) {
    require(view.find_listener(listener.address, listener.port, listener.proto) == &listener, "listener not found");
    require(view.serves_address(listener.address), "address not served");
    if (listener.http != kNoIndex) sum += traverse_http(view, view.http_listeners()[listener.http]);
    if (listener.cluster == kNoIndex) continue;
    const ClusterRecord& cluster = view.clusters()[listener.cluster];
    const auto endpoints = view.endpoints_of(cluster);
    for (const std::uint16_t index : view.maglev_of(cluster)) {
      require(index < endpoints.size() && takes_flows(cluster, endpoints[index]), "Maglev value takes no flows");
      sum += endpoints[index].id;
    }
    // A near miss must end as well.
    (void)view.find_listener(listener.address, Be16::from_host(static_cast<std::uint16_t>(sum)), listener.proto);
  }
  for (const ClusterRecord& cluster : view.clusters())
    for (const EndpointRecord& endpoint : view.endpoints_of(cluster)) sum += endpoint.stat_slot;
  for (std::size_t i = 0; i < view.clusters().size(); ++i) sum += traverse_policy(view, i);
  (void)view.serves_address(IpAddress::v4(10, 0, 0, static_cast<std::uint8_t>(sum)));
}

}  // namespace
}  // namespace penstock::control

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock::control;
  std::vector<std::byte> bytes(size);
  if (size != 0) std::memcpy(bytes.data(), data, size);
  if (const auto as_it_is = SnapshotView::open(bytes); as_it_is.ok()) traverse(*as_it_is);
  if (size < sizeof(SnapshotHeader)) return 0;
  SnapshotHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  header.magic = kSnapshotMagic;
  header.layout = kSnapshotLayout;
  header.octets = size;
  header.content_hash = hash64(penstock::ByteView{bytes}.subspan(sizeof header));
  std::memcpy(bytes.data(), &header, sizeof header);
  if (const auto mended = SnapshotView::open(bytes); mended.ok()) traverse(*mended);
  return 0;
}
