#include "l7/proxy/http_date.h"

#include <chrono>

namespace penstock::proxy {
namespace {

constexpr std::string_view kDays = "SunMonTueWedThuFriSat";
constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
constexpr std::int64_t kSecondNs = 1'000'000'000;

}  // namespace

void write_http_date(std::int64_t unix_seconds, std::span<char, kHttpDateOctets> out) {
  using namespace std::chrono;
  const sys_seconds at{seconds{unix_seconds}};
  const sys_days day = floor<days>(at);
  const year_month_day date{day};
  const hh_mm_ss time{at - day};
  char* to = out.data();
  const auto put = [&to](std::string_view text) {
    for (const char c : text) *to++ = c;
  };
  const auto put_two = [&to](unsigned number) {
    *to++ = static_cast<char>('0' + number / 10 % 10);
    *to++ = static_cast<char>('0' + number % 10);
  };
  put(kDays.substr(3 * weekday{day}.c_encoding(), 3));
  put(", ");
  put_two(unsigned{date.day()});
  put(" ");
  put(kMonths.substr(3 * (unsigned{date.month()} - 1), 3));
  put(" ");
  const auto year = static_cast<unsigned>(int{date.year()} % 10'000);
  put_two(year / 100);
  put_two(year % 100);
  put(" ");
  put_two(static_cast<unsigned>(time.hours().count()));
  put(":");
  put_two(static_cast<unsigned>(time.minutes().count()));
  put(":");
  put_two(static_cast<unsigned>(time.seconds().count()));
  put(" GMT");
}

void DateText::renew(Instant now) {
  const std::int64_t offset = offset_ns_ == nullptr ? 0 : offset_ns_->load(std::memory_order_relaxed);
  const std::int64_t wall_ns = static_cast<std::int64_t>(to_nanoseconds(now)) + offset;
  octets_ = 0;
  until_ = now + std::chrono::seconds{1};
  if (offset == 0 || wall_ns < 0) return;
  write_http_date(wall_ns / kSecondNs, text_);
  octets_ = text_.size();
  until_ = now + Duration{kSecondNs - wall_ns % kSecondNs};
}

}  // namespace penstock::proxy
