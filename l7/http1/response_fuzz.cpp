// Any octets as an upstream's responses to GET, HEAD and CONNECT, with and without its closing behind them.
#include "l7/http1/fuzz_test_support.h"

namespace {

using namespace penstock::http1;

void check(std::string_view octets, const test::RelayOptions& options, bool closed) {
  const test::Relayed result =
      test::require_one_result(octets, [&](const test::Cuts& cuts, const Classifier& classifier) {
        return test::relay_responses(octets, cuts, classifier, options, closed);
      });
  for (std::size_t i = 0; i < test::whole_messages(result); ++i) {
    // What went on to a client of HTTP/1.1 ends by itself, unless it is a tunnel.
    const test::Relayed again = test::relay_responses(result.messages[i], {}, best_classifier(), options, closed);
    penstock::require(again.messages.size() == 1 && again.end == "end", "forwarded octets are not one response");
    penstock::require(again.messages[0] == result.messages[i], "forwarding twice changes a response");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view octets{reinterpret_cast<const char*>(data), size};
  const std::uint64_t seed = test::hash_of(octets);
  constexpr std::array kMethods{Method::get, Method::head, Method::connect, Method::get};
  test::RelayOptions options = (seed & 4) != 0 ? test::lenient_options() : test::RelayOptions{};
  options.method = kMethods[seed & 3];
  check(octets, options, false);
  options.method = Method::get;
  check(octets, options, true);
  return 0;
}
