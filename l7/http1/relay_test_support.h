// relay_test_support.h - the codec as a proxy uses it, with everything that it does written down as text.
//
// Model     octets of a connection, cut into slices, go through HeadGather, parser, BodyReader and serialiser. The
//           result is what would be forwarded, and how it ended: "end", "more" (incomplete) or "reject <reason>".
//           The same octets must give the same result however they are cut and at each SIMD level.
// Not here  the real relay (l7/proxy).
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "l7/http1/body.h"
#include "l7/http1/request_parser.h"
#include "l7/http1/response_parser.h"

namespace penstock::http1::test {

struct RelayOptions {
  HeadLimits limits{};
  HttpValidationPolicy policy{};
  BodyLimits body{};
  std::size_t trailer_octets{1024};
  Method method{Method::get};  ///< responses: of the request that they answer
};

struct Relayed {
  std::vector<std::string> messages;  ///< each forwarded, body and trailers included; the last may be cut off
  std::string end;
  friend bool operator==(const Relayed&, const Relayed&) = default;
  [[nodiscard]] std::string text() const;
};

/// Cut points inside `octets`, ascending.
using Cuts = std::vector<std::size_t>;

[[nodiscard]] Relayed relay_requests(std::string_view octets, const Cuts& cuts, const Classifier& classifier,
                                     const RelayOptions& options = {});
/// `closed`: the upstream closes behind the last octet.
[[nodiscard]] Relayed relay_responses(std::string_view octets, const Cuts& cuts, const Classifier& classifier,
                                      const RelayOptions& options = {}, bool closed = false);

/// All levels that this processor has.
[[nodiscard]] std::vector<const Classifier*> classifiers();
/// Whole, octet by octet, and each single cut (of long inputs: every n-th).
[[nodiscard]] std::vector<Cuts> segmentations(std::size_t octets);

/// The one result of all segmentations and levels; differences are returned as text in `problem`.
[[nodiscard]] Relayed relay_requests_all_ways(std::string_view octets, const RelayOptions& options,
                                              std::string& problem);
[[nodiscard]] Relayed relay_responses_all_ways(std::string_view octets, const RelayOptions& options, bool closed,
                                               std::string& problem);

/// CR, LF and other octets that do not print as escapes.
[[nodiscard]] std::string escaped(std::string_view text);

}  // namespace penstock::http1::test
