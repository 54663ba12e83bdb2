// Any octets as a chunked body: the resumable decoder against a plain one that sees everything at once, and both under
// every segmentation.
#include <optional>
#include <string>

#include "l7/http1/chars.h"
#include "l7/http1/fuzz_test_support.h"

namespace {

using namespace penstock::http1;

/// The body of a well-formed chunked message and how many octets it took up to its trailer section; nothing when it is
/// malformed, incomplete, or its extensions are long (which the decoder bounds and this does not).
struct Plain {
  std::string body;
  std::size_t octets;
};
std::optional<Plain> plain_decode(std::string_view text) {
  Plain out{};
  while (true) {
    const std::size_t line_end = text.find("\r\n", out.octets);
    if (line_end == std::string_view::npos) return std::nullopt;
    const std::string_view line = text.substr(out.octets, line_end - out.octets);
    const std::string_view digits = line.substr(0, line.find(';'));
    if (digits.empty() || digits.size() > 15 || !all(digits, kHexDigit)) return std::nullopt;
    if (digits.size() + 1 == line.size() || !all(line, kValueChar)) return std::nullopt;
    if (line.size() > 200 || out.octets > 2000) return std::nullopt;
    const std::uint64_t size = std::stoull(std::string{digits}, nullptr, 16);
    out.octets = line_end + 2;
    if (size == 0) return out;
    if (size > text.size() - out.octets || text.substr(out.octets + size, 2) != "\r\n") return std::nullopt;
    out.body += text.substr(out.octets, size);
    out.octets += size + 2;
  }
}

/// Feeds everything in one piece and collects data; nothing when not complete.
std::optional<Plain> decode(std::string_view text) {
  const BodyLimits limits;
  std::array<char, 1024> trailers;
  static Marks marks;
  ChunkedDecoder decoder{limits, best_classifier(), trailers};
  Plain out{};
  while (true) {
    const BodyStep step = decoder.feed(text.substr(out.octets), marks);
    out.body += text.substr(out.octets + step.consumed - step.data_octets, step.data_octets);
    out.octets += step.consumed;
    if (step.status == BodyStatus::complete) return out;
    if (step.status != BodyStatus::data) return std::nullopt;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view octets{reinterpret_cast<const char*>(data), size};
  const std::optional<Plain> expected = plain_decode(octets);
  const std::optional<Plain> got = decode(octets);
  if (expected) {
    // An empty trailer section ends it; others are judged by the field parser.
    if (octets.substr(expected->octets).starts_with("\r\n"))
      penstock::require(got && got->body == expected->body && got->octets == expected->octets + 2, "bodies differ");
    else
      penstock::require(!got || got->body == expected->body, "bodies differ in front of trailers");
  } else {
    penstock::require(!got || octets.size() > 200, "a malformed chunked body was accepted");
  }
  const std::string message = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string{octets};
  static_cast<void>(test::require_one_result(message, [&](const test::Cuts& cuts, const Classifier& classifier) {
    return test::relay_requests(message, cuts, classifier, {});
  }));
  return 0;
}
