// request_parser.h - the head of a request, from octets to RequestHead (RFC 9112 s3, RFC 9110).
//
// Model     feed it the contiguous head as far as it has come (stream/head_gather.h); stage 1 goes on where it stopped,
//           stage 2 runs once when the empty line is there.
//
//             parse(text) -> more | complete: RequestHead | rejected: reason()
//
// Units     octets.
// Shape     about 80 octets and the lent Marks; nothing is allocated.
// Errors    the reasons of reject.h. After `rejected` the connection cannot be read on: it has no next message.
// Limits    HeadLimits.
// Not here  bodies (body.h), the order of messages (exchange.h).
#pragma once
#include <string_view>

#include "l7/http1/classify.h"
#include "l7/http1/head.h"
#include "l7/http1/head_scan.h"
#include "l7/http1/policy.h"
#include "l7/http1/reject.h"

namespace penstock::http1 {

class RequestParser {
 public:
  /// All three outlive the parser.
  RequestParser(const HeadLimits& limits, const HttpValidationPolicy& policy, const Classifier& classifier);

  /// `text` begins with the first octet of the message and holds all of it that has come; more may stand behind it.
  [[nodiscard]] ParseStatus parse(std::string_view text, Marks& marks, RequestHead& head);
  /// After `rejected`.
  [[nodiscard]] RejectReason reason() const { return reason_; }
  /// Ready for the next message.
  void reset();

 private:
  [[nodiscard]] ParseStatus reject(RejectReason reason);
  [[nodiscard]] RejectReason read_line(const Marks& marks, RequestHead& head) const;

  const HeadLimits* limits_;
  const HttpValidationPolicy* policy_;
  const Classifier* classifier_;
  HeadScan scan_;
  std::uint32_t skipped_{};  // octets of a leading empty line (RFC 9112 s2.2)
  RejectReason reason_{};
};

}  // namespace penstock::http1
