// steer_cases.h - one frame per protocol and per way to be malformed, with what the steering program must count.
//
// Model     frames refer to the fixed configuration below. With the fast path alive and a socket bound, `reason` is
//           counted, and the frame is redirected exactly when that reason says so.
// Also      the seeds of the fuzz target parse_fuzz: tests/corpus/parse_fuzz/<name>.
#pragma once
#include <string>
#include <vector>

#include "bpf/abi/steer.h"
#include "tests/support/packet_builder.h"

namespace penstock::test {

// The services, addresses and ranges that tests/bpf configures.
inline constexpr const char* kVip4 = "10.96.0.10";
inline constexpr const char* kVip6 = "fd00:96::10";
inline constexpr const char* kClient4 = "10.1.0.2";
inline constexpr const char* kClient6 = "fd10:1::2";
inline constexpr const char* kNode4 = "10.10.2.1";
inline constexpr const char* kNode6 = "fd10:2::1";
inline constexpr const char* kEndpoint4 = "10.10.2.11";  ///< behind DNAT listeners: kEndpointPort TCP, kDnsPort UDP
inline constexpr const char* kEndpoint6 = "fd10:2::11";
inline constexpr std::uint16_t kServicePort = 80;  ///< TCP
inline constexpr std::uint16_t kDnsPort = 53;      ///< UDP
inline constexpr std::uint16_t kEndpointPort = 8080;
inline constexpr std::uint16_t kRangeLow = 16384;
inline constexpr std::uint16_t kRangeHigh = 29999;

struct SteerCase {
  std::string name;  ///< also a file name
  Bytes frame;
  penstock_steer_reason reason;
};
[[nodiscard]] std::vector<SteerCase> steer_cases();

}  // namespace penstock::test
