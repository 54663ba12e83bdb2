// Dates as RFC 9110 writes them, and how long one holds.
#include "l7/proxy/http_date.h"

#include <gtest/gtest.h>

#include <ctime>
#include <string>

#include "l7/proxy/setting_test_support.h"

namespace penstock::proxy {
namespace {

std::string date_of(std::int64_t seconds) {
  std::array<char, kHttpDateOctets> out;
  write_http_date(seconds, out);
  return {out.data(), out.size()};
}

TEST(HttpDate, is_written_as_the_rfc_does) {
  EXPECT_EQ(date_of(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(date_of(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(date_of(951'782'400), "Tue, 29 Feb 2000 00:00:00 GMT");
  EXPECT_EQ(date_of(253'402'300'799), "Fri, 31 Dec 9999 23:59:59 GMT");
}

TEST(HttpDate, agrees_with_the_library_on_every_kind_of_day) {
  for (std::int64_t at = 0; at < 8'000'000'000; at += 86'399 * 13 + 7) {
    const std::time_t time = at;
    std::tm parts{};
    ::gmtime_r(&time, &parts);
    std::array<char, 64> text;
    const std::size_t octets = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    ASSERT_EQ(date_of(at), (std::string{text.data(), octets}));
  }
}

TEST(HttpDate, is_written_anew_when_the_wall_clocks_second_ends_and_is_empty_without_a_clock) {
  using std::chrono::milliseconds;
  std::atomic<std::int64_t> offset{0};
  DateText date;
  const Instant start{std::chrono::seconds{1000}};
  EXPECT_EQ(date.text(start), "");
  date.follow(&offset);
  EXPECT_EQ(date.text(start + milliseconds{1000}), "") << "nobody has told the time";
  offset = (784111777ll - 1002) * 1'000'000'000 + 400'000'000;
  EXPECT_EQ(date.text(start + milliseconds{1500}), "") << "looked at once a second";
  EXPECT_EQ(date.text(start + milliseconds{2000}), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(date.text(start + milliseconds{2599}), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(date.text(start + milliseconds{2600}), "Sun, 06 Nov 1994 08:49:38 GMT");
  offset = offset - 3'600'000'000'000;
  EXPECT_EQ(date.text(start + milliseconds{3600}), "Sun, 06 Nov 1994 07:49:39 GMT") << "the wall clock was set back";
}

/// What a client gets for one request to endpoint 1, which answers so.
std::string answer_of(test::Setting& s, const std::string& answer, const std::string& request = "GET / HTTP/1.1\r\n") {
  const Leg client = s.send(request + "Host: a\r\n\r\n");
  const auto upstream = static_cast<Leg>(s.legs.legs.size() - 1);
  if (s.legs.legs[upstream].upstream) {
    s.legs.at(upstream).in = answer;
    s.tell(upstream, {.connected = true, .received = true});
  }
  return s.legs.legs[client].out;
}

TEST(HttpDate, responses_without_one_get_it_and_others_keep_theirs) {
  test::Setting s;
  std::atomic<std::int64_t> offset{(784111777ll - 1000) * 1'000'000'000};
  s.proxy.date_by(&offset);
  s.proxy.begin_round(s.now);
  s.configure();
  const std::string line = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
  EXPECT_EQ(answer_of(s, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            "HTTP/1.1 200 OK\r\n" + line + "Content-Length: 0\r\n\r\n");
  const std::string dated = "HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 01:00:00 GMT\r\nContent-Length: 0\r\n\r\n";
  EXPECT_EQ(answer_of(s, dated), dated) << "it says when the endpoint answered";
  const std::string hints = "HTTP/1.1 103 Early Hints\r\n\r\n";
  EXPECT_EQ(answer_of(s, hints + dated), hints + dated);
  s.legs.refuse = true;
  for (control::EndpointRecord& endpoint : s.endpoints) endpoint.weight = 0;
  EXPECT_EQ(answer_of(s, ""), "HTTP/1.1 503 Service Unavailable\r\n" + line + "Content-Length: 0\r\n\r\n");
  EXPECT_EQ(answer_of(s, "", "GET /%00 HTTP/1.1\r\n"),
            "HTTP/1.1 400 Bad Request\r\n" + line + "Content-Length: 0\r\nConnection: close\r\n\r\n");
}

}  // namespace
}  // namespace penstock::proxy
