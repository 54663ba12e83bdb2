// chunked.h - the chunked transfer coding: decoder and encoder (RFC 9112 s7.1).
//
// Model     the decoder can stop after any octet. feed() consumes up to the end of the next piece of data and says
//           where it lies; data is never copied. Extensions are bounded and dropped. Trailer lines are gathered in a
//           small lent buffer, since they are read as fields.
//
//             size ---> extension ---> size_lf ---> data ---> data_cr ---> data_lf ---> size ...
//               |                         | size 0
//               +-- CR -------------------+---> trailers ---> done
//
// Units     octets; sizes at most 2^63-1.
// Errors    chunk_*, trailer_too_large and the reasons of fields; the framing is lost then.
// Limits    BodyLimits; the trailer buffer.
// Not here  which trailer fields pass on (serialise.h).
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "l7/http1/head.h"
#include "l7/http1/head_scan.h"
#include "l7/http1/reject.h"
#include "l7/stream/writer.h"

namespace penstock::http1 {

struct BodyLimits {
  std::uint32_t extension_octets{256};           ///< of one chunk
  std::uint32_t message_extension_octets{4096};  ///< of all chunks of a message
  std::uint32_t trailer_fields{32};
};

enum class BodyStatus : std::uint8_t { more, data, complete, rejected };

/// What feed() did: `consumed` octets of its input are done; the last `data_octets` of them are body.
struct BodyStep {
  BodyStatus status;
  std::size_t consumed;
  std::size_t data_octets;
};

class ChunkedDecoder {
 public:
  ChunkedDecoder(const BodyLimits& limits, const Classifier& classifier, std::span<char> trailer_buffer)
      : limits_{&limits}, classifier_{&classifier}, buffer_{trailer_buffer}, scan_{trailer_limits()} {}

  /// `more`: all of it consumed. `data`: call again with the rest. `marks` is scratch for trailers.
  [[nodiscard]] BodyStep feed(std::string_view input, Marks& marks);
  /// After `complete`: the trailer section, without its empty line. Its fields are in `trailers` of the last feed.
  [[nodiscard]] std::string_view trailer_text() const { return {buffer_.data(), trailer_octets_}; }
  /// After `complete`: parses trailer_text(). NameRule as for heads.
  [[nodiscard]] RejectReason parse_trailers(const Marks& marks, NameRule underscore, FieldTable& out) const;
  [[nodiscard]] RejectReason reason() const { return reason_; }
  /// Data octets of the current chunk that have not come yet.
  [[nodiscard]] std::uint64_t remaining() const { return remaining_; }
  void reset();

 private:
  enum class State : std::uint8_t { size, extension, size_lf, data, data_cr, data_lf, trailers, done };
  [[nodiscard]] HeadScan::Limits trailer_limits() const {
    return {static_cast<std::uint32_t>(buffer_.size()), limits_->trailer_fields + 1};
  }
  [[nodiscard]] bool step(char octet);
  [[nodiscard]] bool size_octet(char octet);
  [[nodiscard]] BodyStep feed_trailers(std::string_view input, std::size_t consumed, Marks& marks);
  bool reject(RejectReason reason) {
    reason_ = reason;
    return false;
  }

  const BodyLimits* limits_;
  const Classifier* classifier_;
  std::span<char> buffer_;
  HeadScan scan_;
  State state_{State::size};
  std::uint8_t digits_{};
  RejectReason reason_{};
  std::uint32_t extension_octets_{}, message_extension_octets_{};
  std::uint32_t trailer_octets_{};
  std::uint64_t remaining_{};
};

/// Writes what stands around chunk data: begin_chunk(n), then n octets by reference, then the next begin_chunk or end.
class ChunkedEncoder {
 public:
  /// `octets` > 0.
  void begin_chunk(std::uint64_t octets, stream::Writer& out);
  /// The last chunk. The caller writes trailer lines and the empty line behind it (serialise.h).
  void last_chunk(stream::Writer& out);

 private:
  bool first_{true};
};

}  // namespace penstock::http1
