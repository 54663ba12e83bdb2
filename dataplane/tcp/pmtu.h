// pmtu.h - how large a segment may be (RFC 9293 s3.7.1, RFC 6691, RFC 1191, RFC 8201, RFC 5927 s7, RFC 4821 s7.7).
//
// Model     the smaller of what the peer's MSS option allows and what the path takes. A too-big message counts only
//           when the quoted sequence number is in flight. Repeated timeouts of full segments look like a black hole:
//           a small size is tried. On a path that merely loses much that is wrong, and would stay so; so the full size
//           is tried again once the small one has worked for a while.
//
//               sure --timeouts--> small --acknowledgements--> trial --a full segment is acknowledged--> sure
//                                    ^---------one timeout-------' and no more trials after the last
//
// Units     octets; an MSS excludes IP and TCP headers but includes options.
// Shape     8 octets.
// Errors    absurd values: IPv4's are clamped to a minimum, a too-big message of IPv6 below 1280 is ignored.
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
  // Full segments that time out this often in a row. Lower mistakes plain loss for a black hole; higher adds seconds to
  // every real one.
  static constexpr std::uint8_t kTimeouts = 3;
  static constexpr std::uint8_t kTrials = 2;  ///< a real black hole costs a timeout for each
  static constexpr std::uint8_t kTrialAcks =
      16;  ///< before a trial: by then it costs those alone who have much to send

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
    if (!v4_ && mtu < kMtuMinV6) return false;  // to be discarded (RFC 8201 s4)
    const int believed = std::max<int>(mtu, kMtuMinV4);
    if (search_ == Search::trial) search_ = Search::sure;
    return shrink_to(static_cast<std::uint16_t>(believed - headers()));
  }
  /// Largest TCP payload plus options towards the peer.
  [[nodiscard]] std::uint16_t mss() const { return std::min(path_mss_, peer_mss_); }
  /// Neither the path nor the peer wants less than our device takes.
  [[nodiscard]] bool full() const { return mss() == offered_; }
  /// What our SYN tells the peer.
  [[nodiscard]] std::uint16_t offered() const { return offered_; }
  [[nodiscard]] bool v4() const { return v4_; }

  /// A full segment timed out, the `in_a_row`-th without progress. True when segments shrank, to `small`.
  bool timed_out(std::uint8_t in_a_row, std::uint16_t small) {
    if (small >= mss() || in_a_row < (search_ == Search::trial ? 1 : kTimeouts)) return false;
    if (search_ == Search::trial) --trials_;
    search_ = Search::small;
    acks_ = 0;
    return shrink_to(small);
  }
  [[nodiscard]] bool searching() const { return search_ != Search::sure; }
  /// New data was acknowledged, the largest segment of it with `octets` of payload and options.
  void acknowledged(std::uint32_t octets, std::uint16_t small) {
    if (search_ == Search::trial) {
      if (octets <= small) return;
      search_ = Search::sure;
      trials_ = kTrials;
    } else if (trials_ > 0 && ++acks_ == kTrialAcks) {
      search_ = Search::trial;
      path_mss_ = offered_;  // what a too-big message had said before, another will say again
    }
  }

 private:
  enum class Search : std::uint8_t { sure, small, trial };
  bool shrink_to(std::uint16_t mss) {
    if (mss >= this->mss()) return false;
    path_mss_ = mss;
    return true;
  }
  [[nodiscard]] int headers() const { return v4_ ? 40 : 60; }
  std::uint16_t path_mss_{};
  std::uint16_t peer_mss_{};
  std::uint16_t offered_{};
  bool v4_ : 1 {};
  Search search_ : 2 {Search::sure};
  std::uint8_t trials_ : 2 {kTrials};
  std::uint8_t acks_{};
};
static_assert(sizeof(Pmtu) == 8);

}  // namespace penstock::tcp
