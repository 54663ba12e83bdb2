// body.h - finds the end of any body, whatever frames it (RFC 9112 s6.3).
//
// Model     one BodyReader per direction, started with the Framing of a head. feed() answers with the next run of body
//           octets as a Range of the stream; the octets stay where they are.
// Units     octets.
// Errors    the reasons of chunked bodies; body_truncated when the connection ends too early.
// Limits    BodyLimits.
// Not here  backpressure (stream/watermark.h): not feeding is how a body is paused.
#pragma once
#include <span>

#include "l7/http1/chunked.h"
#include "l7/stream/slice.h"

namespace penstock::http1 {

class BodyReader {
 public:
  BodyReader(const BodyLimits& limits, const Classifier& classifier, std::span<char> trailer_buffer)
      : chunked_{limits, classifier, trailer_buffer} {}

  void start(const Framing& framing);

  struct Step {
    BodyStatus status;
    std::size_t consumed;  ///< octets of the slice that are done
    stream::Range data;    ///< with status data: body octets, the last ones of what was consumed
  };
  /// Until `more`, `complete` or `rejected`; after `data` call again with slice.from(consumed). A body that is over
  /// answers `complete` and consumes nothing, so what stands behind it is the next message.
  [[nodiscard]] Step feed(const stream::Slice& slice, Marks& marks);
  /// The peer has closed: is that the end of this body, or a truncation?
  [[nodiscard]] BodyStatus end_of_stream();

  [[nodiscard]] bool complete() const { return complete_; }
  [[nodiscard]] RejectReason reason() const { return reason_; }
  [[nodiscard]] const Framing& framing() const { return framing_; }
  /// Of chunked bodies, after `complete`.
  [[nodiscard]] const ChunkedDecoder& chunked() const { return chunked_; }

 private:
  Framing framing_;
  ChunkedDecoder chunked_;
  std::uint64_t remaining_{};
  bool complete_{true};
  RejectReason reason_{};
};

}  // namespace penstock::http1
