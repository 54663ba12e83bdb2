// response_parser.h - the head of a response, from octets to ResponseHead (RFC 9112 s4, s6.3).
//
// Model     as request_parser.h; how the body is framed depends on the request, so the caller says what it was.
// Units     octets.
// Errors    the reasons of reject.h; the client gets 502 and the upstream connection is closed.
// Limits    HeadLimits.
// Not here  how many interim responses are too many, and whether a 101 was asked for (exchange.h).
#pragma once
#include <string_view>

#include "l7/http1/classify.h"
#include "l7/http1/head.h"
#include "l7/http1/head_scan.h"

namespace penstock::http1 {

class ResponseParser {
 public:
  /// All three outlive the parser.
  ResponseParser(const HeadLimits& limits, const HttpValidationPolicy& policy, const Classifier& classifier);

  /// `method` is that of the request that this answers.
  [[nodiscard]] ParseStatus parse(std::string_view text, Method method, Marks& marks, ResponseHead& head);
  [[nodiscard]] RejectReason reason() const { return reason_; }
  void reset();

 private:
  [[nodiscard]] RejectReason read_line(const Marks& marks, ResponseHead& head) const;
  [[nodiscard]] RejectReason apply_rules(Method method, ResponseHead& head) const;

  const HeadLimits* limits_;
  const HttpValidationPolicy* policy_;
  const Classifier* classifier_;
  HeadScan scan_;
  RejectReason reason_{};
};

}  // namespace penstock::http1
