// head.h - what a parsed head is: spans into its octets, flags, and how its body is framed.
//
// Model     nothing is copied: a Span is offset and length in `text`, which the caller keeps while it reads the head.
//           Fields that end here (hop-by-hop) or that we write anew carry a use flag; all others pass.
// Units     octets.
// Shape     about 3.2 KiB, reused for every head of a worker; only what was parsed is initialised.
// Errors    none: a head that exists is valid.
// Not here  how heads are parsed (request_parser.h, response_parser.h) and written (serialise.h).
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "l7/http1/known_fields.h"
#include "l7/http1/policy.h"

namespace penstock::http1 {

struct Span {
  std::uint16_t at, octets;
  [[nodiscard]] std::string_view in(std::string_view text) const { return {text.data() + at, octets}; }
};

struct Field {
  Span name, value;  // value without the white space around it
  KnownField known;
  std::uint8_t use;  // FieldUse of its name; kHopByHop also when Connection names it; kDropped
};
/// Field::use bit: policy leaves it out (underscore_in_names).
inline constexpr std::uint8_t kDropped = 128;

/// The field lines of a head or trailer section, in order.
struct FieldTable {
  std::uint32_t count{};
  std::uint64_t seen{};                              ///< bit(KnownField) of every known name that occurred
  std::uint64_t repeated{};                          ///< of those that occurred more than once
  std::array<std::uint8_t, kKnownFieldCount> first;  ///< index of the first one; only where seen
  std::array<Field, kFieldMax> fields;               ///< only the first `count`

  FieldTable() {}  // NOLINT: the arrays stay as they are, parsing fills what counts
  [[nodiscard]] bool has(KnownField field) const { return (seen & bit(field)) != 0; }
  /// The first field of that name; has() must hold.
  [[nodiscard]] const Field& at(KnownField field) const { return fields[first[static_cast<std::size_t>(field)]]; }
};

/// How the length of a body is known (RFC 9112 s6.3).
enum class BodyKind : std::uint8_t { none, content_length, chunked, until_close, tunnel };
struct Framing {
  BodyKind kind{BodyKind::none};
  std::uint64_t content_length{};  ///< of kind content_length; with kind none, what the head says about HEAD or 304
  bool has_content_length{};       ///< the head had the field
};

enum class Method : std::uint8_t { other, get, head, post, put, delete_, patch, options, connect, trace };
enum class TargetForm : std::uint8_t { origin, absolute, authority, asterisk };

struct RequestHead {
  std::string_view text;  ///< the head's octets, without a leading CRLF
  std::uint32_t octets;   ///< of the received text that it took, with a leading CRLF
  Method method;
  TargetForm form;
  std::uint8_t minor;              ///< 0 or 1
  bool keep_alive;                 ///< the client permits another request
  bool expect_continue;            ///< RFC 9110 s10.1.1
  bool te_trailers;                ///< RFC 9110 s10.1.4
  bool path_needs_normalising;     ///< policy says normalise: forward and route on normalise_path()
  std::uint8_t upgrade;            ///< 1 + index of the token in the policy that is asked for; 0: none
  Span method_text, target, path;  ///< path without query; of authority form and "*": empty
  Span query;                      ///< with its question mark; may be empty
  Span authority;                  ///< host and port: of the target if it has one, else of Host; may be empty (policy)
  Framing framing;
  FieldTable fields;
};

struct ResponseHead {
  std::string_view text;
  std::uint32_t octets;
  std::uint16_t status;
  std::uint8_t minor;
  bool keep_alive;       ///< the upstream connection may be used again after the body
  std::uint8_t upgrade;  ///< of a 101: 1 + index of the policy's token it switches to
  Span reason;           ///< may be empty
  Framing framing;
  FieldTable fields;
};

}  // namespace penstock::http1
