// pmtu.h - how large a segment may be (RFC 9293 s3.7.1, RFC 6691, RFC 1191, RFC 8201, RFC 5927 s7).
//
// Model     the smaller of what the peer's MSS option allows and what the path takes. A too-big message counts only
//           when the quoted sequence number is in flight; repeated timeouts of full segments try a small size.
// Units     octets; an MSS excludes IP and TCP headers but includes options.
// Shape     8 octets.
// Errors    absurd values are clamped to the family's minimum.
#pragma once
#include <algorithm>
#include <cstdint>

#include "dataplane/core/addresses.h"

namespace penstock::tcp {

inline constexpr std::uint16_t kMssDefaultV4 = 536;  // RFC 9293 s3.7.1, without an MSS option
inline constexpr std::uint16_t kMssDefaultV6 = 1220;
inline constexpr std::uint16_t kMssMin = 88;     // a hostile option may not make us send tinygrams
inline constexpr std::uint16_t kMtuMinV4 = 552;  // below this a too-big message is not believed
inline constexpr std::uint16_t kMtuMinV6 = 1280;

class Pmtu {
 public:
  void open(bool v4, std::uint16_t mtu) {
    v4_ = v4;
    path_mss_ = offered_ = static_cast<std::uint16_t>(std::max<int>(mtu - headers(), kMssMin));
    peer_mss_ = v4 ? kMssDefaultV4 : kMssDefaultV6;
  }
  /// From the peer's SYN; zero when it had no option.
  void peer_offered(std::uint16_t mss) {
    if (mss != 0) peer_mss_ = std::max(mss, kMssMin);
  }
  /// True when the path turned out smaller.
  bool too_big(std::uint16_t mtu) {
    const int believed = std::max<int>(mtu, v4_ ? kMtuMinV4 : kMtuMinV6);
    return shrink_to(static_cast<std::uint16_t>(believed - headers()));
  }
  bool shrink_to(std::uint16_t mss) {
    if (mss >= this->mss()) return false;
    path_mss_ = mss;
    return true;
  }
  /// Largest TCP payload plus options towards the peer.
  [[nodiscard]] std::uint16_t mss() const { return std::min(path_mss_, peer_mss_); }
  /// What our SYN tells the peer.
  [[nodiscard]] std::uint16_t offered() const { return offered_; }
  [[nodiscard]] bool v4() const { return v4_; }

 private:
  [[nodiscard]] int headers() const { return v4_ ? 40 : 60; }
  std::uint16_t path_mss_{};
  std::uint16_t peer_mss_{};
  std::uint16_t offered_{};
  bool v4_{};
};
static_assert(sizeof(Pmtu) == 8);

}  // namespace penstock::tcp
