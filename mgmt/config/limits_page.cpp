#include <array>
#include <cstdint>

#include "bpf/abi/steer.h"
#include "dataplane/control/http_question.h"
#include "dataplane/control/limits.h"
#include "dataplane/core/drop_reason.h"
#include "mgmt/config/fields_cluster.h"
#include "mgmt/config/fields_policy.h"
#include "mgmt/config/loader.h"
#include "mgmt/config/reference.h"

namespace penstock::config {
namespace {

struct Limit {
  std::string_view what;
  std::uint64_t value;
  std::string_view name;
  std::string_view at_it;
};

using namespace control;
constexpr std::string_view kRefused = "the configuration is refused";

constexpr std::array kConfigLimits{
    Limit{"listeners", kListenerMax, "kListenerMax", kRefused},
    Limit{"clusters", kClusterMax, "kClusterMax", kRefused},
    Limit{"endpoints of all clusters", kEndpointMax, "kEndpointMax", kRefused},
    Limit{"endpoints of one cluster", kClusterEndpointMax, "kClusterEndpointMax", kRefused},
    Limit{"weight of an endpoint", kWeightMax, "kWeightMax", kRefused},
    Limit{"slots of a Maglev table", kMaglevSizeMax, "kMaglevSizeMax", kRefused},
    Limit{"slots of all Maglev tables", kMaglevTotalMax, "kMaglevTotalMax",
          "the configuration is not applied; lower maglev_table_size"},
    Limit{"node addresses", kNodeAddressMax, "kNodeAddressMax", kRefused},
    Limit{"ports", kPortMax, "kPortMax", kRefused},
    Limit{"receive queues of a port", kQueueMax, "kQueueMax", kRefused},
    Limit{"workers", kWorkerMax, "kWorkerMax", kRefused},
    Limit{"frames of a receive queue", kReceiveRingMax, "kReceiveRingMax",
          "`limits.receive_ring` cannot be set higher; a frame that finds the ring full is lost "
          "and repeated by its sender"},
    Limit{"connections per worker", kFlowMax, "kFlowMax",
          "`limits.flows_per_worker` cannot be set higher; at the set number new flows are dropped (flow_table_full)"},
    Limit{"proxied connections per worker", kProxyConnectionMax, "kProxyConnectionMax",
          "`proxy.connections_per_worker` cannot be set higher; at the set number new connections are refused "
          "(refused_full)"},
    Limit{"half-open proxied connections per worker", kProxyConnectionMax, "kProxyConnectionMax",
          "`proxy.half_open_max` cannot be set higher; at the set number SYN cookies answer (cookies_sent)"},
    Limit{"spliced flows per worker", kSpliceMax, "kSpliceMax",
          "with all records in use proxied connections at rest stay proxied (splice_refused_full)"},
    Limit{"payload held per direction of a proxied connection (octets)", kProxyBufferMax, "kProxyBufferMax",
          "`proxy.buffer` cannot be set higher; at the set amount the sender's window is closed"},
    Limit{"parked flows per worker", kParkedMax, "kParkedMax",
          "`limits.parked_flows` cannot be set higher; at the set number the default action decides (parked_full)"},
    Limit{"idle time, deadline, lifetime (ms)", kTimeoutMsMax, "kTimeoutMsMax", kRefused},
    Limit{"listeners of HTTP", kHttpListenerMax, "kHttpListenerMax", kRefused},
    Limit{"routes of all listeners", kRouteMax, "kRouteMax", kRefused},
    Limit{"clusters named by routes, each listener's counted", kRouteClusterMax, "kRouteClusterMax", kRefused},
    Limit{"octets of all compiled route tables", kRouteImageOctetsMax, "kRouteImageOctetsMax", kRefused},
    Limit{"hash policies of a cluster", kClusterHashPolicyMax, "kClusterHashPolicyMax", kRefused},
    Limit{"hash policies of all clusters", kHashPolicyMax, "kHashPolicyMax", kRefused},
    Limit{"points of all hash rings", kRingPointMax, "kRingPointMax", "the configuration is refused; lower ring_size"},
    Limit{"policies of routes and listeners", kHttpPolicyMax, "kHttpPolicyMax", kRefused},
    Limit{"authorization rules of all policies", kAuthorizationRuleMax, "kAuthorizationRuleMax", kRefused},
    Limit{"authorization rules of one policy", kAuthorizationMax, "kAuthorizationMax", kRefused},
    Limit{"conditions of all rules and faults", kPolicyTermMax, "kPolicyTermMax", kRefused},
    Limit{"values of one kind in a rule", kRuleTermMax, "kRuleTermMax", kRefused},
    Limit{"deciders that policies ask", kQuestionTargetMax, "kQuestionTargetMax", kRefused},
    Limit{"header names that they are told", kQuestionHeaderMax, "kQuestionHeaderMax", kRefused},
    Limit{"rate limits", kRateLimitMax, "kRateLimitMax", kRefused},
    Limit{"targets of CONNECT of a listener", kConnectTargetMax, "kConnectTargetMax", kRefused},
    Limit{"octets of one of them", kConnectPatternMax, "kConnectPatternMax", kRefused},
    Limit{"octets of the path of a session's cookie", kAffinityTextMax, "kAffinityTextMax", kRefused},
    Limit{"health checks of a cluster", kHealthCheckMax, "kHealthCheckMax", kRefused},
    Limit{"characters of a name", kConfigNameMax, "kConfigNameMax", kRefused},
    Limit{"octets of the file", kConfigOctetsMax, "kConfigOctetsMax", kRefused},
    Limit{"values in the file", kConfigNodesMax, "kConfigNodesMax", kRefused},
    Limit{"nesting of the file", kConfigDepthMax, "kConfigDepthMax", kRefused},
    Limit{"problems listed at once", kProblemMax, "kProblemMax", "the rest is counted in a last line"},
};

constexpr std::array kRuntimeLimits{
    Limit{"counter slots of listeners and endpoints", kStatSlotMax, "kStatSlotMax",
          "the configuration is not applied; removed listeners and endpoints keep theirs until their flows have ended"},
    Limit{"counter blocks of HTTP listeners, routes and clusters", kHttpSlotMax, "kHttpSlotMax",
          "what finds none free counts in the shared block 0, shown as kind `other`"},
    Limit{"access records under way from a worker", kAccessRingSlots, "kAccessRingSlots",
          "further ones are left out (access_dropped)"},
    Limit{"questions about requests of a worker", kHttpQuestionRingSlots, "kHttpQuestionRingSlots",
          "the default decides (authorization_overflow)"},
    Limit{"octets of facts about a request", kHttpQuestionTextOctets, "kHttpQuestionTextOctets",
          "the default decides (authorization_overflow)"},
    Limit{"clients of rate limits that a worker remembers", kClientBucketMax, "kClientBucketMax",
          "the client that has used the least is forgotten and may use its burst again (rate_evicted)"},
    Limit{"distinct endpoint addresses", kNextHopMax, "kNextHopMax", "further ones stay unresolved (no_next_hop)"},
    Limit{"open questions of a worker", kQuestionRingSlots, "kQuestionRingSlots",
          "the default action decides (question_ring_full)"},
    Limit{"answers under way to a worker", kAnswerRingSlots, "kAnswerRingSlots",
          "the daemon retries; the deadline decides otherwise"},
    Limit{"packets of a flow, both directions, in half a second before it sinks into the XDP program", kForwardPackets,
          "kForwardPackets", "it sinks, if its listener and ports allow it"},
    Limit{"silence of a flow in the XDP program (ms)", kForwardIdleMs, "kForwardIdleMs", "it is its worker's again"},
    Limit{"drop reasons", kDropReasonMax, "kDropReasonMax", "room of the counters segment"},
};

constexpr std::array kSteeringLimits{
    Limit{"entries of steer_services and of steer_sources", PENSTOCK_SERVICE_MAX, "PENSTOCK_SERVICE_MAX",
          "the configuration is not applied"},
    Limit{"entries of steer_addresses", PENSTOCK_ADDRESS_MAX, "PENSTOCK_ADDRESS_MAX",
          "the configuration is not applied"},
    Limit{"entries of steer_nodes", PENSTOCK_NODE_ADDRESS_MAX, "PENSTOCK_NODE_ADDRESS_MAX", kRefused},
    Limit{"flows that the kernel path keeps", PENSTOCK_KERNEL_FLOW_MAX, "PENSTOCK_KERNEL_FLOW_MAX",
          "the least recently used is forgotten and comes to the fast path"},
    Limit{"clients of DNAT services (address and port)", PENSTOCK_DNAT_FLOW_MAX, "PENSTOCK_DNAT_FLOW_MAX",
          "the least recently used is forgotten; replies to it pass to the kernel until its next packet"},
    Limit{"directions of flows that the program forwards by itself, two per flow, each worker an equal share",
          PENSTOCK_FORWARD_MAX, "PENSTOCK_FORWARD_MAX", "further hot flows stay with their worker (forward_full)"},
};

template <std::size_t N>
std::string table(std::string_view title, const std::array<Limit, N>& limits) {
  std::string out = "\n## " + std::string{title} + "\n\n| what | at most | name | at the limit |\n|---|---|---|---|\n";
  for (const Limit& limit : limits)
    out += "| " + std::string{limit.what} + " | " + std::to_string(limit.value) + " | `" + std::string{limit.name} +
           "` | " + std::string{limit.at_it} + " |\n";
  return out;
}

}  // namespace

std::string limits_page() {
  return "# Limits\n\nMade by `config_reference` from the constants (`mgmt/config/limits_page.cpp`); do not edit.\n"
         "Every table, ring and list has a bound, and the bound has a name. Bounds of single values stand in "
         "[config.md](config.md).\n" +
         table("Configuration", kConfigLimits) + table("At run time", kRuntimeLimits) +
         table("Steering maps", kSteeringLimits);
}

}  // namespace penstock::config
