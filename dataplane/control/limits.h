// limits.h - every bound that both processes share, with its name.
//
// Model     compile-time ceilings; what can be configured below them is in mgmt/config. docs/guide/limits.md
//           says what happens at each.
#pragma once
#include <cstddef>
#include <cstdint>

#include "bpf/abi/steer.h"

namespace penstock::control {

inline constexpr std::size_t kWorkerMax = PENSTOCK_WORKER_MAX;
inline constexpr std::size_t kPortMax = PENSTOCK_PORT_MAX;
inline constexpr std::size_t kQueueMax = PENSTOCK_QUEUE_MAX;
inline constexpr std::size_t kListenerMax = 4096;         ///< listeners of one snapshot
inline constexpr std::size_t kClusterMax = 4096;          ///< clusters of one snapshot
inline constexpr std::size_t kEndpointMax = 32768;        ///< endpoints of one snapshot, all clusters
inline constexpr std::size_t kClusterEndpointMax = 1024;  ///< endpoints of one cluster
inline constexpr std::size_t kNodeAddressMax = PENSTOCK_NODE_ADDRESS_MAX;
inline constexpr std::uint16_t kWeightMax = 1000;               ///< weight of an endpoint; 0 drains it
inline constexpr std::size_t kMaglevSizeMax = 65537;            ///< slots of one cluster's Maglev table, prime
inline constexpr std::size_t kMaglevTotalMax = 1u << 26;        ///< Maglev slots of one snapshot, all clusters
inline constexpr std::uint32_t kFlowMax = 16u << 20;            ///< connections of one worker
inline constexpr std::uint32_t kParkedMax = 65536;              ///< parked flows of one worker
inline constexpr std::uint32_t kProxyConnectionMax = 1u << 20;  ///< proxied connections of one worker
inline constexpr std::uint32_t kSpliceMax = 65536;              ///< spliced flows of one worker
inline constexpr std::uint32_t kProxyBufferMin = 16u << 10;     ///< octets per direction of one of them
inline constexpr std::uint32_t kProxyBufferMax = 16u << 20;
inline constexpr std::uint32_t kTimeoutMsMax = 7u * 24 * 3600 * 1000;  ///< idle times and deadlines, one week
inline constexpr std::size_t kStatSlotMax = 16384;       ///< counters slots for listeners and endpoints together
inline constexpr std::size_t kNextHopMax = 32768;        ///< distinct endpoint addresses
inline constexpr std::size_t kQuestionRingSlots = 1024;  ///< open questions of one worker, power of two
inline constexpr std::size_t kAnswerRingSlots = 1024;    ///< answers under way to one worker, power of two
inline constexpr std::size_t kForwardPairMax = PENSTOCK_FORWARD_MAX / 2;  ///< flows in tier X, all workers
inline constexpr std::uint32_t kForwardPackets = 8;      ///< both directions, between two folds: makes a flow hot
inline constexpr std::uint32_t kForwardIdleMs = 10'000;  ///< a flow in tier X that is silent this long is lifted
// Of listeners of HTTP; numbers are of one snapshot, all listeners or clusters.
inline constexpr std::size_t kHttpListenerMax = 1024;
inline constexpr std::size_t kRouteClusterMax = 65536;  ///< cluster names of all route tables
inline constexpr std::size_t kRouteMax = 1u << 20;      ///< routes of all route tables
inline constexpr std::size_t kRouteImageOctetsMax = std::size_t{1} << 30;
inline constexpr std::size_t kHashPolicyMax = 16384;
inline constexpr std::size_t kClusterHashPolicyMax = 8;      ///< hash policies of one cluster
inline constexpr std::size_t kRingPointMax = 1u << 22;       ///< points of all hash rings
inline constexpr std::size_t kClusterRingPointMax = 262144;  ///< points of one cluster's ring
inline constexpr std::size_t kTextOctetsMax = 1u << 20;
inline constexpr std::size_t kHttpSlotMax = 2048;     ///< counter blocks for routes, clusters and listeners of HTTP
inline constexpr std::size_t kHttpPolicyMax = 65536;  ///< policies of routes and listeners of HTTP
inline constexpr std::size_t kAuthorizationRuleMax = 65536;      ///< rules of all policies
inline constexpr std::size_t kPolicyTermMax = 262144;            ///< terms of all rules
inline constexpr std::size_t kRateLimitMax = 8192;               ///< rate limits of all policies
inline constexpr std::size_t kQuestionTargetMax = 4096;          ///< deciders that policies ask
inline constexpr std::size_t kQuestionHeaderMax = 65536;         ///< header names that they want to know
inline constexpr std::size_t kHttpQuestionRingSlots = 256;       ///< questions about requests under way, power of two
inline constexpr std::uint32_t kClientBucketMax = 65536;         ///< clients with a rate limit that a worker remembers
inline constexpr std::uint64_t kTokenNsMax = 3'600'000'000'000;  ///< one request an hour is the lowest rate
inline constexpr std::uint64_t kBucketNsMax = std::uint64_t{7} * 24 * 3600 * 1'000'000'000;  ///< until it is full
inline constexpr std::size_t kAccessRingSlots = 1024;     ///< access records under way from one worker, power of two
inline constexpr std::uint32_t kConnectTargetMax = 64;    ///< targets of CONNECT that a listener lists
inline constexpr std::uint32_t kConnectPatternMax = 255;  ///< octets of one of them
inline constexpr std::uint32_t kConnectAllowMax = kConnectTargetMax * (kConnectPatternMax + 1);  ///< of the whole list
inline constexpr std::uint32_t kAffinityTextMax = 128;   ///< octets of a cookie's name, and of its path
inline constexpr std::uint8_t kTrustedHopsMax = 16;      ///< elements of x-forwarded-for that are believed
inline constexpr std::uint32_t kPerMillion = 1'000'000;  ///< unit of sampling

}  // namespace penstock::control
