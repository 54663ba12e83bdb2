// snapshot_writer.h - lays records out as a snapshot.
//
// Model     plain records in, bytes out; content_hash and listener_slots are computed here, so that every
//           producer (mgmt/compile, tests, benches) makes the same bytes from the same records.
// Errors    relations are the caller's duty; SnapshotView::open() checks them all again.
#pragma once
#include <string_view>
#include <vector>

#include "dataplane/control/http_layout.h"
#include "dataplane/control/snapshot_layout.h"
#include "dataplane/core/result.h"

namespace penstock::control {

struct SnapshotContent {
  NodeRecord node{};
  std::vector<IpAddress> node_addresses;
  std::vector<ListenerRecord> listeners;
  std::vector<ClusterRecord> clusters;
  std::vector<EndpointRecord> endpoints;
  std::vector<std::uint16_t> maglev;
  // For listeners of HTTP.
  std::vector<HttpListenerRecord> http_listeners;
  std::vector<std::uint32_t> route_clusters;
  std::vector<std::uint16_t> route_slots;
  std::vector<ClusterPolicyRecord> cluster_policies;  ///< clusters beyond its end get the defaults
  std::vector<HashPolicyRecord> hash_policies;
  std::vector<RingPoint> rings;
  std::vector<char> texts;
  std::vector<std::byte> route_images;
  std::vector<std::uint32_t> route_policies;  ///< routes beyond its end have none
  std::vector<HttpPolicyRecord> http_policies;
  std::vector<AuthorizationRule> authorization_rules;
  std::vector<PolicyTerm> policy_terms;
  std::vector<RateLimitRecord> rate_limits;
  std::vector<QuestionTargetRecord> question_targets;
  std::vector<TextRef> question_headers;
};

/// Appends a text to `texts`.
[[nodiscard]] TextRef add_text(SnapshotContent& content, std::string_view text);
/// Appends a route table's image at a multiple of 64 and tells `http` where it is.
void add_route_image(SnapshotContent& content, ByteView image, HttpListenerRecord& http);

/// The snapshot's bytes. Storage is aligned to 64 octets when copied to a mapping.
[[nodiscard]] std::vector<std::byte> write_snapshot(const SnapshotContent& content, std::uint64_t epoch);

/// NodeRecord with the documented default times and limits.
[[nodiscard]] NodeRecord default_node_record();

}  // namespace penstock::control
