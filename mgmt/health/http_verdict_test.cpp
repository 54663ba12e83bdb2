#include "mgmt/health/http_verdict.h"

#include <gtest/gtest.h>

namespace penstock::health {
namespace {

using Result = HttpVerdict::Result;

struct Told {
  Result result;
  std::string reason;
  friend bool operator==(const Told&, const Told&) = default;
};
std::ostream& operator<<(std::ostream& out, const Told& told) {
  return out << static_cast<int>(told.result) << " " << told.reason;
}
/// The whole answer, in pieces of `step`.
Told judge(std::string_view answer, std::size_t step, config::StatusRange expected = {200, 299}) {
  HttpVerdict verdict{expected};
  for (std::size_t at = 0; at < answer.size(); at += step) verdict.feed(answer.substr(at, step));
  const Result result = verdict.end();
  return {result, verdict.reason()};
}

struct Row {
  const char* name;
  std::string answer;
  Told told;
};
const Row kRows[] = {
    {"ok", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", {Result::healthy, "status 200"}},
    {"head alone", "HTTP/1.0 204 No Content\r\n\r\n", {Result::healthy, "status 204"}},
    {"other status", "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", {Result::unhealthy, "status 503"}},
    {"interim first", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", {Result::healthy, "status 200"}},
    {"switched", "HTTP/1.1 101 Switching\r\n\r\n", {Result::unhealthy, "status 101"}},
    {"nothing", "", {Result::unhealthy, "closed without an answer"}},
    {"half a head", "HTTP/1.1 200 OK\r\nServer: x\r\n", {Result::unhealthy, "closed within the response head"}},
    {"no HTTP", "SSH-2.0-OpenSSH\r\n\r\n", {Result::unhealthy, "no HTTP: bad version"}},
};

TEST(HttpVerdict, an_answer_is_judged_by_the_head_of_its_final_response) {
  for (const Row& row : kRows)
    for (const std::size_t step : {1u, 3u, 1000u}) EXPECT_EQ(judge(row.answer, step), row.told) << row.name << step;
}

TEST(HttpVerdict, the_range_of_statuses_is_inclusive) {
  EXPECT_EQ(judge("HTTP/1.1 302 F\r\n\r\n", 99, {200, 302}).result, Result::healthy);
  EXPECT_EQ(judge("HTTP/1.1 303 F\r\n\r\n", 99, {200, 302}).result, Result::unhealthy);
}

TEST(HttpVerdict, a_head_without_end_is_cut_off) {
  const std::string line = "X-Line: " + std::string(100, 'x') + "\r\n";
  std::string answer = "HTTP/1.1 200 OK\r\n";
  while (answer.size() <= 2 * kHeadOctetsMax) answer += line;
  for (const std::size_t step : {1000u, 100'000u}) EXPECT_EQ(judge(answer, step).result, Result::unhealthy);
}

TEST(HttpVerdict, interim_responses_are_counted) {
  std::string answer;
  for (int i = 0; i <= kInterimMax; ++i) answer += "HTTP/1.1 102 Processing\r\n\r\n";
  EXPECT_EQ(judge(answer, 10), (Told{Result::unhealthy, "too many interim responses"}));
}

}  // namespace
}  // namespace penstock::health
