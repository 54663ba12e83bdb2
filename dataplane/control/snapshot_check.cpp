#include "dataplane/control/snapshot_check.h"

#include <algorithm>
#include <bit>
#include <bitset>
#include <cstring>
#include <optional>
#include <vector>

#include "dataplane/control/hash.h"
#include "dataplane/control/limits.h"

namespace penstock::control {
namespace {

using Section = SnapshotSection;
using Trouble = std::optional<Problem>;

constexpr std::size_t kSectionAlign = 64;
constexpr std::size_t kSlotsMax = 4 * kListenerMax;

struct SectionRule {
  const char* name;
  std::uint32_t entry_octets;
  std::size_t count_min;
  std::size_t count_max;
};
// In the order of SnapshotSection.
constexpr std::array<SectionRule, kSnapshotSectionCount> kSectionRules{{
    {"node", sizeof(NodeRecord), 1, 1},
    {"node_addresses", sizeof(IpAddress), 0, kNodeAddressMax},
    {"listeners", sizeof(ListenerRecord), 0, kListenerMax},
    {"listener_slots", sizeof(std::uint32_t), 1, kSlotsMax},
    {"clusters", sizeof(ClusterRecord), 0, kClusterMax},
    {"endpoints", sizeof(EndpointRecord), 0, kEndpointMax},
    {"maglev", sizeof(std::uint16_t), 0, kMaglevTotalMax},
    {"address_slots", sizeof(std::uint32_t), 1, kSlotsMax},
    {"http_listeners", sizeof(HttpListenerRecord), 0, kHttpListenerMax},
    {"route_clusters", sizeof(std::uint32_t), 0, kRouteClusterMax},
    {"route_slots", sizeof(std::uint16_t), 0, kRouteMax},
    {"cluster_policies", sizeof(ClusterPolicyRecord), 0, kClusterMax},
    {"hash_policies", sizeof(HashPolicyRecord), 0, kHashPolicyMax},
    {"rings", sizeof(RingPoint), 0, kRingPointMax},
    {"texts", 1, 0, kTextOctetsMax},
    {"route_images", 1, 0, kRouteImageOctetsMax},
    {"route_policies", sizeof(std::uint32_t), 0, kRouteMax},
    {"http_policies", sizeof(HttpPolicyRecord), 0, kHttpPolicyMax},
    {"authorization_rules", sizeof(AuthorizationRule), 0, kAuthorizationRuleMax},
    {"policy_terms", sizeof(PolicyTerm), 0, kPolicyTermMax},
    {"rate_limits", sizeof(RateLimitRecord), 0, kRateLimitMax},
    {"question_targets", sizeof(QuestionTargetRecord), 0, kQuestionTargetMax},
    {"question_headers", sizeof(TextRef), 0, kQuestionHeaderMax},
}};

Problem header_problem(std::string what) { return {"snapshot: header", std::move(what), ""}; }

std::uint64_t end_of(const SectionRef& ref) { return ref.offset + std::uint64_t{ref.count} * ref.entry_octets; }

Trouble check_section(const SnapshotHeader& header, std::size_t index) {
  const SectionRef& ref = header.sections[index];
  const SectionRule& rule = kSectionRules[index];
  const auto bad = [&](std::string what) {
    return Problem{std::string{"snapshot: "} + rule.name, std::move(what), ""};
  };
  if (ref.entry_octets != rule.entry_octets)
    return bad("records of " + std::to_string(ref.entry_octets) + " octets, expected " +
               std::to_string(rule.entry_octets));
  if (ref.count < rule.count_min || ref.count > rule.count_max)
    return bad(std::to_string(ref.count) + " records, allowed are " + std::to_string(rule.count_min) + " to " +
               std::to_string(rule.count_max));
  if (ref.offset % kSectionAlign != 0) return bad("offset is not a multiple of 64");
  if (ref.offset < sizeof(SnapshotHeader)) return bad("begins inside the header");
  // count and entry_octets are bounded by now, so only the offset could make end_of() wrap.
  if (ref.offset > header.octets || end_of(ref) > header.octets) return bad("ends behind the snapshot");
  for (std::size_t other = 0; other < index; ++other) {
    const SectionRef& before = header.sections[other];
    if (ref.count != 0 && before.count != 0 && ref.offset < end_of(before) && before.offset < end_of(ref))
      return bad(std::string{"overlaps section "} + kSectionRules[other].name);
  }
  return std::nullopt;
}

Trouble check_proxy_limits(const NodeRecord& node) {
  const auto bad = [](std::string what) { return snapshot_problem(Section::node, 0, std::move(what)); };
  if (node.proxy_connections_max == 0 || node.proxy_connections_max > kProxyConnectionMax)
    return bad("proxy_connections_max is not 1.." + std::to_string(kProxyConnectionMax));
  if (node.proxy_half_open_max > kProxyConnectionMax)
    return bad("proxy_half_open_max is above " + std::to_string(kProxyConnectionMax));
  for (const std::uint32_t ms : {node.proxy_idle_ms, node.proxy_connect_ms, node.proxy_time_wait_ms})
    if (ms == 0 || ms > kTimeoutMsMax) return bad("a time of proxy is not 1.." + std::to_string(kTimeoutMsMax) + " ms");
  if (node.proxy_keepalive_ms > kTimeoutMsMax)
    return bad("proxy_keepalive_ms is above " + std::to_string(kTimeoutMsMax));
  if (node.proxy_buffer_octets < kProxyBufferMin || node.proxy_buffer_octets > kProxyBufferMax)
    return bad("proxy_buffer_octets is not " + std::to_string(kProxyBufferMin) + ".." +
               std::to_string(kProxyBufferMax));
  if (node.proxy_congestion > Congestion::cubic) return bad("proxy_congestion is unknown");
  return std::nullopt;
}

Trouble check_node(const NodeRecord& node) {
  const auto bad = [](std::string what) { return snapshot_problem(Section::node, 0, std::move(what)); };
  if (node.source_port_low == 0 || node.source_port_low > node.source_port_high)
    return bad("source port range is empty or begins at 0");
  if (node.flow_max == 0 || node.flow_max > kFlowMax) return bad("flow_max is not 1.." + std::to_string(kFlowMax));
  if (node.parked_max > kParkedMax) return bad("parked_max is above " + std::to_string(kParkedMax));
  for (const std::uint32_t ms : {node.tcp_syn_ms, node.tcp_established_ms, node.tcp_fin_ms, node.tcp_closed_ms,
                                 node.udp_unreplied_ms, node.udp_stream_ms})
    if (ms == 0 || ms > kTimeoutMsMax) return bad("an idle time is not 1.." + std::to_string(kTimeoutMsMax) + " ms");
  if (auto trouble = check_proxy_limits(node)) return trouble;
  if (node.zero != 0) return bad("reserved field is not 0");
  return std::nullopt;
}

Trouble check_node_addresses(std::span<const IpAddress> addresses) {
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    if (!is_host_address(addresses[i])) return snapshot_problem(Section::node_addresses, i, "is no host address");
    for (std::size_t k = 0; k < i; ++k)
      if (addresses[k] == addresses[i])
        return snapshot_problem(Section::node_addresses, i, "is listed twice: " + addresses[i].text());
  }
  return std::nullopt;
}

Trouble check_endpoint(const EndpointRecord& endpoint, std::size_t index) {
  const auto bad = [&](std::string what) { return snapshot_problem(Section::endpoints, index, std::move(what)); };
  if (!is_host_address(endpoint.address)) return bad("is no host address: " + endpoint.address.text());
  if (endpoint.port.host() == 0) return bad("port is 0");
  if (endpoint.weight > kWeightMax)
    return bad("weight " + std::to_string(endpoint.weight) + " is above " + std::to_string(kWeightMax));
  if (endpoint.stat_slot >= kStatSlotMax)
    return bad("stat_slot " + std::to_string(endpoint.stat_slot) + " is not below " + std::to_string(kStatSlotMax));
  if (endpoint.health > EndpointHealth::unhealthy) return bad("health is unknown");
  return std::nullopt;
}

/// `next_endpoint` is where the cluster's endpoints must begin: clusters share them out without gap or overlap.
Trouble check_cluster(const SnapshotTables& tables, std::size_t index, std::size_t next_endpoint) {
  const ClusterRecord& cluster = tables.clusters[index];
  const auto bad = [&](std::string what) { return snapshot_problem(Section::clusters, index, std::move(what)); };
  if ((cluster.flags & ~std::uint32_t{kClusterPanic}) != 0) return bad("flag is unknown");
  if (cluster.first_endpoint != next_endpoint)
    return bad("first_endpoint is " + std::to_string(cluster.first_endpoint) + ", expected " +
               std::to_string(next_endpoint));
  if (cluster.endpoint_count > kClusterEndpointMax)
    return bad("more than " + std::to_string(kClusterEndpointMax) + " endpoints");
  if (cluster.endpoint_count > tables.endpoints.size() - next_endpoint)
    return bad("endpoints end behind their section");
  const auto endpoints = tables.endpoints.subspan(next_endpoint, cluster.endpoint_count);
  const auto usable = [&](const EndpointRecord& endpoint) { return takes_flows(cluster, endpoint); };
  const bool any_usable = std::any_of(endpoints.begin(), endpoints.end(), usable);
  if (any_usable != (cluster.maglev_size != 0))
    return bad(any_usable ? "endpoints that take flows but no Maglev table"
                          : "Maglev table without endpoints that take flows");
  if (cluster.maglev_offset > tables.maglev.size() ||
      cluster.maglev_size > tables.maglev.size() - cluster.maglev_offset)
    return bad("Maglev table ends behind its section");
  if (cluster.maglev_size == 0) return std::nullopt;
  if (cluster.maglev_size > kMaglevSizeMax || !is_prime(cluster.maglev_size))
    return bad("Maglev size " + std::to_string(cluster.maglev_size) + " is not a prime up to " +
               std::to_string(kMaglevSizeMax));
  const auto table = tables.maglev.subspan(cluster.maglev_offset, cluster.maglev_size);
  for (std::size_t i = 0; i < table.size(); ++i)
    if (table[i] >= endpoints.size() || !usable(endpoints[table[i]]))
      return snapshot_problem(Section::maglev, cluster.maglev_offset + i,
                              "value " + std::to_string(table[i]) + " is no endpoint that takes flows of clusters[" +
                                  std::to_string(index) + "]");
  return std::nullopt;
}

Trouble check_clusters(const SnapshotTables& tables) {
  for (std::size_t i = 0; i < tables.endpoints.size(); ++i)
    if (auto trouble = check_endpoint(tables.endpoints[i], i)) return trouble;
  std::size_t next_endpoint = 0;
  for (std::size_t i = 0; i < tables.clusters.size(); ++i) {
    if (auto trouble = check_cluster(tables, i, next_endpoint)) return trouble;
    next_endpoint += tables.clusters[i].endpoint_count;
  }
  if (next_endpoint != tables.endpoints.size())
    return snapshot_problem(Section::endpoints, next_endpoint, "belongs to no cluster");
  return std::nullopt;
}

/// What the families of a cluster's endpoints are, for comparison with its listeners.
struct Families {
  bool v4{};
  bool v6{};
};
std::vector<Families> families_of(const SnapshotTables& tables) {
  std::vector<Families> out(tables.clusters.size());
  for (std::size_t i = 0; i < out.size(); ++i)
    for (const EndpointRecord& endpoint :
         tables.endpoints.subspan(tables.clusters[i].first_endpoint, tables.clusters[i].endpoint_count))
      (endpoint.address.is_v4() ? out[i].v4 : out[i].v6) = true;
  return out;
}

Trouble check_listener_values(const ListenerRecord& listener, std::size_t index) {
  const auto bad = [&](std::string what) { return snapshot_problem(Section::listeners, index, std::move(what)); };
  if (!is_host_address(listener.address)) return bad("is no host address: " + listener.address.text());
  if (listener.port.host() == 0) return bad("port is 0");
  if (listener.proto != IpProto::tcp && listener.proto != IpProto::udp) return bad("protocol is neither TCP nor UDP");
  if (listener.policy > Policy::ask) return bad("policy is unknown");
  if (listener.forwarding > Forwarding::dnat) return bad("forwarding is unknown");
  if (listener.ask_default > Decision::deny) return bad("ask_default is unknown");
  if ((listener.flags & ~unsigned{kListenerDraining | kListenerProxyProtocol | kListenerTunnel | kListenerForward |
                                  kListenerSplice}) != 0)
    return bad("flag is unknown");
  const bool tunnel = (listener.flags & kListenerTunnel) != 0;
  if (tunnel && (listener.mode != ListenerMode::proxy || listener.http != kNoIndex))
    return bad("a tunnel without mode proxy, or with HTTP");
  if ((listener.flags & kListenerProxyProtocol) != 0 && !is_served(listener))
    return bad("PROXY headers without HTTP or a tunnel");
  if ((listener.flags & kListenerForward) != 0 && listener.mode != ListenerMode::l4)
    return bad("forwarding in XDP without mode l4");
  if ((listener.flags & kListenerSplice) != 0 && (listener.mode != ListenerMode::proxy || is_served(listener)))
    return bad("splice without mode proxy, or with HTTP or a tunnel");
  if (listener.mode > ListenerMode::proxy) return bad("mode is unknown");
  if (listener.mode == ListenerMode::proxy && listener.proto != IpProto::tcp) return bad("mode proxy without TCP");
  if (listener.mode == ListenerMode::proxy && listener.forwarding != Forwarding::fullnat)
    return bad("mode proxy without FullNAT");
  if (listener.stat_slot >= kStatSlotMax)
    return bad("stat_slot " + std::to_string(listener.stat_slot) + " is not below " + std::to_string(kStatSlotMax));
  if (listener.ask_deadline_ms > kTimeoutMsMax) return bad("ask_deadline_ms is above one week");
  if (listener.policy == Policy::ask && listener.ask_deadline_ms == 0) return bad("policy ask without a deadline");
  return std::nullopt;
}

Trouble check_listeners(const SnapshotTables& tables) {
  const std::vector<Families> families = families_of(tables);
  Families node{};
  for (const IpAddress& address : tables.node_addresses) (address.is_v4() ? node.v4 : node.v6) = true;
  for (std::size_t i = 0; i < tables.listeners.size(); ++i) {
    const ListenerRecord& listener = tables.listeners[i];
    if (auto trouble = check_listener_values(listener, i)) return trouble;
    const auto bad = [&](std::string what) { return snapshot_problem(Section::listeners, i, std::move(what)); };
    const bool http = listener.http != kNoIndex;
    if (http && listener.http >= tables.http.listeners.size())
      return bad("http " + std::to_string(listener.http) + " does not exist");
    if (http && listener.mode != ListenerMode::proxy) return bad("HTTP without mode proxy");
    if (http && listener.cluster == kNoIndex) continue;  // its routes name the clusters (http_check.cpp)
    if (listener.cluster >= tables.clusters.size())
      return bad("cluster " + std::to_string(listener.cluster) + " does not exist");
    if ((listener.flags & kListenerDraining) != 0) continue;  // opens no flow: its cluster no longer matters
    const Families& theirs = families[listener.cluster];
    const bool v4 = listener.address.is_v4();
    if (v4 ? theirs.v6 : theirs.v4) return bad("cluster has endpoints of the other address family");
    if (listener.forwarding == Forwarding::fullnat && tables.clusters[listener.cluster].maglev_size != 0 &&
        !(v4 ? node.v4 : node.v6))
      return bad("FullNAT without a node address of its family");
  }
  return std::nullopt;
}

/// Ids are unique per kind; stat slots are unique over listeners and endpoints.
Trouble check_identities(const SnapshotTables& tables) {
  std::bitset<kStatSlotMax> slots;
  std::vector<std::uint32_t> ids;
  const auto twice = [&](Section section, const auto& records) -> Trouble {
    ids.clear();
    for (std::size_t i = 0; i < records.size(); ++i) {
      if (slots.test(records[i].stat_slot))
        return snapshot_problem(section, i, "stat_slot " + std::to_string(records[i].stat_slot) + " is used twice");
      slots.set(records[i].stat_slot);
      ids.push_back(records[i].id);
    }
    std::sort(ids.begin(), ids.end());
    const auto same = std::adjacent_find(ids.begin(), ids.end());
    if (same == ids.end()) return std::nullopt;
    const auto at = std::find_if(records.begin(), records.end(), [&](const auto& r) { return r.id == *same; });
    return snapshot_problem(section, static_cast<std::size_t>(at - records.begin()),
                            "id " + std::to_string(*same) + " is used twice");
  };
  if (auto trouble = twice(Section::listeners, tables.listeners)) return trouble;
  return twice(Section::endpoints, tables.endpoints);
}

/// Power of two, at least one empty, indices in range. Each listener once at most, so a probe sees no stranger.
Trouble check_slots(std::span<const std::uint32_t> slots, Section section, std::size_t listener_count,
                    bool all_listed) {
  if (!std::has_single_bit(slots.size())) return snapshot_problem(section, 0, "number of slots is not a power of two");
  std::vector<bool> seen(listener_count);
  std::size_t used = 0;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (slots[i] == kEmptySlot) continue;
    if (slots[i] >= listener_count) return snapshot_problem(section, i, "points to no listener");
    if (seen[slots[i]]) return snapshot_problem(section, i, "points to a listener that another slot has");
    seen[slots[i]] = true;
    ++used;
  }
  if (used == slots.size()) return snapshot_problem(section, 0, "no slot is empty");
  if (all_listed && used != listener_count) return snapshot_problem(section, 0, "some listener has no slot");
  return std::nullopt;
}

}  // namespace

const char* name_of(SnapshotSection section) { return kSectionRules[static_cast<std::size_t>(section)].name; }

Problem snapshot_problem(SnapshotSection section, std::size_t record, std::string what) {
  return {std::string{"snapshot: "} + name_of(section) + "[" + std::to_string(record) + "]", std::move(what), ""};
}

bool is_host_address(const IpAddress& address) {
  if (address.is_v4()) {
    const std::uint8_t first = address.octets[12];
    return first != 0 && first < 224;  // 0.0.0.0/8, 224.0.0.0/4 and 240.0.0.0/4 are no hosts (RFC 6890)
  }
  return address != IpAddress{} && address.octets[0] != 0xff;
}

bool is_prime(std::uint32_t n) {
  if (n < 2) return false;
  for (std::uint32_t divisor = 2; std::uint64_t{divisor} * divisor <= n; ++divisor)
    if (n % divisor == 0) return false;
  return true;
}

Status check_frame(ByteView bytes) {
  if (bytes.size() < sizeof(SnapshotHeader)) return header_problem("shorter than its header");
  if (std::bit_cast<std::uintptr_t>(bytes.data()) % alignof(SnapshotHeader) != 0)
    return header_problem("bytes are not aligned to 8 octets");
  SnapshotHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != kSnapshotMagic) return header_problem("magic is wrong: this is no snapshot");
  if (header.layout != kSnapshotLayout)
    return Problem{"snapshot: header",
                   "layout " + std::to_string(header.layout) + ", expected " + std::to_string(kSnapshotLayout),
                   "use a daemon and a dataplane of the same version"};
  if (header.zero != 0) return header_problem("reserved field is not 0");
  if (header.octets != bytes.size())
    return header_problem("says " + std::to_string(header.octets) + " octets, there are " +
                          std::to_string(bytes.size()));
  for (std::size_t i = 0; i < kSnapshotSectionCount; ++i)
    if (auto trouble = check_section(header, i)) return *std::move(trouble);
  if (hash64(bytes.subspan(sizeof header)) != header.content_hash)
    return header_problem("content_hash does not match the content: the snapshot is damaged");
  return Done{};
}

Status check_tables(const SnapshotTables& tables) {
  if (auto trouble = check_node(tables.node)) return *std::move(trouble);
  if (auto trouble = check_node_addresses(tables.node_addresses)) return *std::move(trouble);
  if (auto trouble = check_clusters(tables)) return *std::move(trouble);
  if (auto trouble = check_listeners(tables)) return *std::move(trouble);
  if (auto trouble = check_http(tables)) return *std::move(trouble);
  if (auto trouble = check_policies(tables)) return *std::move(trouble);
  if (auto trouble = check_identities(tables)) return *std::move(trouble);
  const std::size_t listeners = tables.listeners.size();
  if (auto trouble = check_slots(tables.listener_slots, Section::listener_slots, listeners, true))
    return *std::move(trouble);
  if (auto trouble = check_slots(tables.address_slots, Section::address_slots, listeners, false))
    return *std::move(trouble);
  return Done{};
}

}  // namespace penstock::control
