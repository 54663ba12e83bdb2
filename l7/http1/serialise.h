// serialise.h - writes heads anew from what was parsed: request and status line, fields, framing, trailers.
//
// Model     nothing of the received framing survives: the start line, Host, Content-Length or Transfer-Encoding,
//           Connection, Upgrade, TE, Expect and Trailer are written from the parsed values, hop-by-hop fields are left
//           out, and every other field goes out as "name: value" CRLF in its order. A run of fields that already stand
//           in exactly that form is one copy.
// Units     octets.
// Errors    WriteStatus: the buffer is too small, or an edit would break the message. What was written is then void.
// Limits    kEditMax edits.
// Not here  which edits (l7/proxy); bodies (chunked.h).
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "l7/http1/head.h"
#include "l7/http1/reject.h"
#include "l7/stream/writer.h"

namespace penstock::http1 {

/// Changes one field of the forwarded head. Names that the serialiser owns (kOurs) are refused.
struct HeaderEdit {
  enum class Op : std::uint8_t { add, set, remove };  ///< set: all of that name go, one comes
  Op op{};
  std::string_view name;
  std::string_view value{};
};
inline constexpr std::size_t kEditMax = 32;

enum class WriteStatus : std::uint8_t { ok, no_room, bad_edit };

struct RequestRewrite {
  std::span<const HeaderEdit> edits{};
  std::string_view target{};  ///< path and query instead of the received; empty: as received, normalised by policy
  std::string_view host{};    ///< instead of the received authority
  std::string_view via{};     ///< pseudonym for Via (RFC 9110 s7.6.3); empty: none
  bool close{};               ///< this upstream connection ends after the response
};
[[nodiscard]] WriteStatus write_request(const RequestHead& head, const HttpValidationPolicy& policy,
                                        const RequestRewrite& rewrite, stream::Writer& out);

/// How a body goes on to a client: what it can read of what we can know (RFC 9112 s6.1, s6.3).
[[nodiscard]] Framing outgoing_framing(const Framing& received, std::uint8_t client_minor);

struct ResponseRewrite {
  std::span<const HeaderEdit> edits{};
  Framing framing{};  ///< outgoing_framing()
  std::string_view via{};
  std::string_view date{};  ///< for a final response that has none, and whose edits name none (RFC 9110 s6.6.1)
  std::uint8_t client_minor{1};
  bool keep_alive{true};  ///< the client may send another request
};
[[nodiscard]] WriteStatus write_response(const ResponseHead& head, const HttpValidationPolicy& policy,
                                         const ResponseRewrite& rewrite, stream::Writer& out);

/// Trailer lines that may pass (RFC 9110 s6.5.1), and the empty line. Returns how many were left out.
std::uint32_t write_trailers(std::string_view text, const FieldTable& trailers, stream::Writer& out);

/// The words of RFC 9110 s15, RFC 6585 and RFC 7725 for a final status; "" for one that has none.
[[nodiscard]] std::string_view status_phrase(std::uint16_t status);

/// A whole answer of our own without a body that ends the connection; `date` empty: nobody knows the time.
void write_error(std::uint16_t status, std::string_view date, stream::Writer& out);

/// Is the edit harmless to the framing? Configuration checks its edits with this.
[[nodiscard]] bool is_sound(const HeaderEdit& edit);

}  // namespace penstock::http1
