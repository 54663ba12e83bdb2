// Any answer, in any pieces: the verdict is the same and has a reason. The reason may differ: a fault in a first line
// is seen by its end, when that comes.
#include <cstdint>

#include "dataplane/core/require.h"
#include "mgmt/health/http_verdict.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using penstock::require;
  using penstock::health::HttpVerdict;
  if (size == 0) return 0;
  const std::string_view octets{reinterpret_cast<const char*>(data) + 1, size - 1};
  const std::size_t step = data[0] == 0 ? octets.size() + 1 : data[0];
  HttpVerdict whole{{200, 299}};
  whole.feed(octets);
  const auto expected = whole.end();
  require(expected != HttpVerdict::Result::more && !whole.reason().empty(), "no verdict, or one without a reason");
  HttpVerdict pieces{{200, 299}};
  for (std::size_t at = 0; at < octets.size(); at += step) pieces.feed(octets.substr(at, step));
  const auto result = pieces.end();
  // Only a head that is too long may end differently: it is noticed by whole pieces.
  if (octets.size() <= penstock::health::kHeadOctetsMax)
    require(result == expected && !pieces.reason().empty(), "pieces of an answer are judged differently");
  return 0;
}
