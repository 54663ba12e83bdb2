// Any octets as a connection's requests, read strictly and leniently: one result for every segmentation and SIMD level,
// and what is forwarded is exactly one request, now and when it is read again.
#include "l7/http1/fuzz_test_support.h"

namespace {

using namespace penstock::http1;

void check(std::string_view octets, const test::RelayOptions& options) {
  const test::Relayed result =
      test::require_one_result(octets, [&](const test::Cuts& cuts, const Classifier& classifier) {
        return test::relay_requests(octets, cuts, classifier, options);
      });
  for (std::size_t i = 0; i < test::whole_messages(result); ++i) {
    const test::Relayed again = test::relay_requests(result.messages[i], {}, best_classifier(), options);
    penstock::require(again.messages.size() == 1 && again.end == "end", "forwarded octets are not one request");
    penstock::require(again.messages[0] == result.messages[i], "forwarding twice changes a request");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view octets{reinterpret_cast<const char*>(data), size};
  check(octets, {});
  check(octets, test::lenient_options());
  return 0;
}
