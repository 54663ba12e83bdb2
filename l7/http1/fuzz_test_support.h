// fuzz_test_support.h - what must hold for any octets, shared by the fuzz targets.
//
// Model     the result does not depend on cuts or SIMD level, and what was forwarded whole is one message that is
//           forwarded again as it stands.
// Errors    a violation ends the process, which is what a fuzzer looks for.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "dataplane/core/require.h"
#include "l7/http1/relay_test_support.h"

namespace penstock::http1::test {

/// Everything that a policy can let in.
[[nodiscard]] inline RelayOptions lenient_options() {
  static constexpr std::array<std::string_view, 2> kUpgrades{"websocket", "foo/2"};
  static constexpr std::array<std::string_view, 2> kTargets{"a:443", "*:8443"};
  return {.policy = {.underscore_in_names = NameRule::drop,
                     .encoded_slash = PathRule::normalise,
                     .encoded_backslash = PathRule::normalise,
                     .dot_segments = PathRule::normalise,
                     .allow_non_uri_target_octets = true,
                     .allow_sub_delims_in_host = true,
                     .allow_http10_without_host = true,
                     .allow_identical_content_lengths = true,
                     .allow_connection_naming_end_to_end = true,
                     .allow_status_line_without_reason_space = true,
                     .upgrade_tokens = kUpgrades,
                     .connect_targets = kTargets}};
}

/// Two to five cuts from a seed; the same seed gives the same cuts.
[[nodiscard]] Cuts seeded_cuts(std::size_t octets, std::uint64_t seed);
[[nodiscard]] std::uint64_t hash_of(std::string_view octets);

/// Ends the process when the relay's answer depends on cuts or level; else that answer.
template <typename Relay>
Relayed require_one_result(std::string_view octets, Relay relay) {
  constexpr std::size_t kEachOctetMax = 2048;
  const Relayed expected = relay(Cuts{}, *classifier_of(SimdLevel::scalar));
  const std::uint64_t seed = hash_of(octets);
  std::vector<Cuts> all{{}, seeded_cuts(octets.size(), seed), seeded_cuts(octets.size(), seed * 31 + 7)};
  if (octets.size() <= kEachOctetMax) all.push_back(segmentations(octets.size()).back());
  for (const Classifier* classifier : classifiers())
    for (const Cuts& cuts : all)
      require(relay(cuts, *classifier) == expected, "the result depends on cuts or SIMD level");
  return expected;
}

/// All but a last message that was cut off.
[[nodiscard]] inline std::size_t whole_messages(const Relayed& result) {
  return result.messages.empty() ? 0 : result.messages.size() - (result.end == "end" ? 0 : 1);
}

}  // namespace penstock::http1::test
