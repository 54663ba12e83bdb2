// http_date.h - the wall clock in the words of HTTP (RFC 9110 s5.6.7), written once a second.
//
// Model     a worker's clock is monotonic; somebody outside keeps saying how far the wall clock is ahead of it. text()
//           is asked for every response and writes anew when the second has passed.
// Units     nanoseconds; instants are the worker's.
// Shape     29 octets of text; one object per worker.
// Errors    none: while the offset is 0 nobody knows the time, and text() is empty (RFC 9110 s6.6.1).
// Limits    a step of the wall clock is seen up to a second late. Years 0 to 9999.
// Not here  reading clocks (dataplane/app).
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string_view>

#include "dataplane/core/clock.h"

namespace penstock::proxy {

inline constexpr std::size_t kHttpDateOctets = 29;

/// "Sun, 06 Nov 1994 08:49:37 GMT" for 784111777 seconds after 1970.
void write_http_date(std::int64_t unix_seconds, std::span<char, kHttpDateOctets> out);

class DateText {
 public:
  /// `offset_ns`: wall clock less monotonic clock, written by another thread. It outlives this.
  void follow(const std::atomic<std::int64_t>* offset_ns) { offset_ns_ = offset_ns; }
  [[nodiscard]] std::string_view text(Instant now) {
    if (now >= until_) [[unlikely]]
      renew(now);
    return {text_.data(), octets_};
  }

 private:
  void renew(Instant now);

  const std::atomic<std::int64_t>* offset_ns_{};
  Instant until_{};
  std::size_t octets_{};
  std::array<char, kHttpDateOctets> text_{};
};

}  // namespace penstock::proxy
