// policy.h - limits of a head, and every leniency of the codec by name.
//
// Model     HttpValidationPolicy{} is the strict reading of RFC 9110 and 9112. Each field is one way to accept more,
//           with the section that it bends; nothing else in the codec is lenient.
// Units     octets, counts.
// Errors    none: plain values; head_octets and fields may not exceed the ceilings (the parsers require it).
// Limits    kHeadOctetsMax because spans are 16 bit; kFieldMax because a field's index is 8 bit.
// Not here  limits of chunked bodies (chunked.h).
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace penstock::http1 {

inline constexpr std::size_t kHeadOctetsMax = 65535;
inline constexpr std::size_t kFieldMax = 256;
inline constexpr std::size_t kMethodOctetsMax = 32;
inline constexpr std::size_t kConnectionOptionMax = 16;
inline constexpr std::size_t kUpgradeTokenMax = 16;

struct HeadLimits {
  std::uint32_t head_octets{16 * 1024};   ///< start line, fields, empty line and one leading CRLF
  std::uint32_t fields{100};              ///< field lines
  std::uint32_t target_octets{8 * 1024};  ///< request target (RFC 9112 s3 asks for at least 8000)
};

/// What to do with something in a path that servers read differently.
enum class PathRule : std::uint8_t { reject, normalise, keep };
enum class NameRule : std::uint8_t { reject, drop, keep };

struct HttpValidationPolicy {
  NameRule underscore_in_names{NameRule::reject};       ///< RFC 9110 s5.1 permits them; CGI reads X_A as X-A
  PathRule encoded_slash{PathRule::reject};             ///< %2f, RFC 3986 s2.2; normalise: becomes /
  PathRule encoded_backslash{PathRule::reject};         ///< %5c; normalise: becomes /
  PathRule dot_segments{PathRule::reject};              ///< /./ and /../, RFC 3986 s5.2.4, also as %2e
  bool absolute_form{true};                             ///< RFC 9112 s3.2.2 demands it; false refuses it
  bool allow_non_uri_target_octets{false};              ///< " < > \ ^ ` { | }, which some browsers send; RFC 3986 s2
  bool allow_sub_delims_in_host{false};                 ///< ! $ & ' ( ) * + , ; = and %xx, RFC 3986 s3.2.2
  bool allow_http10_without_host{false};                ///< RFC 9112 s3.2: Host is only mandatory in HTTP/1.1
  bool allow_identical_content_lengths{false};          ///< RFC 9112 s6.3: "5, 5" or two equal lines are one
  bool allow_connection_naming_end_to_end{false};       ///< RFC 9110 s7.6.1: the field is stripped instead
  bool allow_status_line_without_reason_space{false};   ///< RFC 9112 s4: "HTTP/1.1 200" CRLF
  std::span<const std::string_view> upgrade_tokens{};   ///< lower case; RFC 9110 s7.8; empty: none
  std::span<const std::string_view> connect_targets{};  ///< "host:port" lower case, "*:port", or "*"; empty: none
};

}  // namespace penstock::http1
