// affinity.h - the numbers by which cookies name endpoints.
//
// Model     SipHash of cluster, address and port under a secret: the same as long as the secret is, whatever else of
//           the configuration changes. The secret is the cluster's own (session_affinity.key), so that several nodes
//           agree, or the daemon's, drawn at its first start and saved with its ids.
// Errors    none.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "l7/policy/keyed_hash.h"
#include "mgmt/config/cluster.h"

namespace penstock::compile {

[[nodiscard]] policy::Hash128 random_secret();
[[nodiscard]] policy::Hash128 secret_of(std::string_view key);
/// Never 0.
[[nodiscard]] std::uint64_t affinity_of(const policy::Hash128& secret, std::string_view cluster,
                                        const IpAddress& address, std::uint16_t port);

[[nodiscard]] std::string secret_text(const policy::Hash128& secret);
[[nodiscard]] std::optional<policy::Hash128> read_secret(std::string_view text);

}  // namespace penstock::compile
