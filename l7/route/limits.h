// limits.h - the bounds of routing.
//
// Model     every list, text and program has a bound; the compiler refuses beyond, the loader refuses beyond.
// Units     octets and counts.
// Not here  limits of the request head itself (the HTTP codecs).
#pragma once
#include <cstddef>
#include <cstdint>

namespace penstock::route {

// Of one table.
inline constexpr std::size_t kHostMax = 65'536;
inline constexpr std::size_t kDomainMax = 262'144;
inline constexpr std::size_t kClusterNameMax = 65'536;
inline constexpr std::size_t kTableOctetsMax = std::size_t{1} << 30;
// Of one virtual host.
inline constexpr std::size_t kHostRouteMax = 65'536;
inline constexpr std::size_t kHostRegexMax = 16'384;
// Of one route.
inline constexpr std::size_t kConditionMax = 64;   ///< header and query conditions together
inline constexpr std::size_t kMethodMax = 16;      ///< methods listed
inline constexpr std::size_t kHeaderEditMax = 64;  ///< per direction, removals included
inline constexpr std::size_t kWeightedClusterMax = 64;
inline constexpr std::uint32_t kClusterWeightMax = 1'000'000;
inline constexpr std::size_t kRetryStatusMax = 8;
inline constexpr std::uint32_t kTimeoutMsMax = 7 * 24 * 3600 * 1000u;
// Of texts.
inline constexpr std::size_t kDomainOctetsMax = 255;
inline constexpr std::size_t kNameOctetsMax = 256;    ///< names of hosts, routes, clusters, headers, parameters
inline constexpr std::size_t kTextOctetsMax = 4'096;  ///< paths, values, substitutions, bodies
// Of regular expressions.
inline constexpr std::size_t kRegexOctetsMax = 1'024;
inline constexpr std::size_t kRegexDepthMax = 64;  ///< nesting of groups
inline constexpr std::size_t kRegexRepeatMax = 1'000;
inline constexpr std::size_t kProgramInstMax = 4'096;  ///< states of one expression; bounds time and scratch
inline constexpr std::size_t kCaptureMax = 10;         ///< \0 to \9
// Of one request. Longer paths are answered with MatchStatus::bad_path.
inline constexpr std::size_t kPathOctetsMax = 8'192;
/// Steps (threads moved by one octet) that one regex rewrite may take; about 5 ns each. Without it a hostile path
/// and a careless expression could take length squared times program size.
inline constexpr std::size_t kRewriteStepMax = 1'000'000;

}  // namespace penstock::route
