// Requests whose target is no path, and requests that may not be forwarded any further.
#include <gtest/gtest.h>

#include "l7/proxy/setting_test_support.h"

namespace penstock::proxy {
namespace {

/// `*` is forwarded when `takes`, everything else is answered with 401.
struct AsteriskSetting : test::Setting {
  explicit AsteriskSetting(bool takes) {
    route::Route star{.action = route::Forward{.clusters = {{"c"}}}};
    star.match.path = {route::PathKind::exact, takes ? "*" : "/other", false};
    const route::Route rest{.action = route::DirectResponse{401, {}}};
    route::Compiler compiler;
    auto compiled =
        compiler.compile({{{.name = "v", .domains = {"*"}, .routes = {star, rest}}}}, route::Databases::all);
    image = std::move(compiled->image);
    tables[0] = *route::LoadedTable::load(image.bytes());
    require(scratch.grow(tables[0]).ok(), "scratch");
    config.listeners[0].route_slots = both_slots;
    config.listeners[0].route_policies = both_policies;
    proxy.begin_round(now);
    configure();
  }
  std::array<std::uint16_t, 2> both_slots{0, 0};
  std::array<std::uint32_t, 2> both_policies{control::kNoPolicy, control::kNoPolicy};
};
const std::string kOptions = "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n";

TEST(Asterisk, goes_by_a_route_of_its_own_and_stays_as_it_is) {
  AsteriskSetting s{true};
  s.send(kOptions);
  ASSERT_TRUE(s.legs.legs.back().upstream);
  s.tell(static_cast<Leg>(s.legs.legs.size() - 1), {.connected = true});
  EXPECT_EQ(s.legs.legs.back().out.substr(0, 28), "OPTIONS * HTTP/1.1\r\nHost: a\r");
}

TEST(Asterisk, is_no_path_that_begins_with_a_slash) {
  AsteriskSetting s{false};
  const Leg client = s.send(kOptions + "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string& out = s.legs.at(client).out;
  EXPECT_EQ(out.substr(0, 12), "HTTP/1.1 404");
  EXPECT_NE(out.find("HTTP/1.1 401 Unauthorized\r\n"), std::string::npos) << out;
}

struct MaxForwards : testing::Test {
  MaxForwards() {
    s.proxy.begin_round(s.now);
    s.configure();
  }
  /// What the client hears at once; empty when the request was forwarded.
  std::string out(const std::string& request) { return s.legs.at(s.send(request)).out; }
  /// What the endpoint gets.
  std::string forwarded(const std::string& request) {
    s.send(request);
    return s.legs.legs.back().upstream ? s.legs.legs.back().out : "";
  }
  test::Setting s;
};

TEST_F(MaxForwards, counts_down_for_trace_and_options) {
  for (const std::string method : {"TRACE", "OPTIONS"}) {
    const auto passed_on = [&](const std::string& value) {
      const std::string got = forwarded(method + " /a HTTP/1.1\r\nHost: a\r\nMax-Forwards: " + value + "\r\n\r\n");
      const std::size_t at = got.find("max-forwards: ");
      EXPECT_EQ(got.find("Max-Forwards"), std::string::npos) << "one line of it";
      return at == std::string::npos ? "none" : got.substr(at + 14, got.find('\r', at) - at - 14);
    };
    EXPECT_EQ(passed_on("1"), "0");
    EXPECT_EQ(passed_on("010"), "9");
    EXPECT_EQ(passed_on("65536"), "65535");
    EXPECT_EQ(passed_on("99999999999999999999"), "65535");
  }
  EXPECT_NE(forwarded("GET / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n").find("Max-Forwards: 0\r\n"),
            std::string::npos)
      << "other methods ignore it";
}

TEST_F(MaxForwards, at_0_the_request_is_answered_here) {
  EXPECT_EQ(out("OPTIONS /a HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(out("TRACE /a?b HTTP/1.1\r\nHost: a\r\nCookie: c\r\nX-A:1\r\nAuthorization: Basic x\r\n"
                "Max-Forwards: 00\r\n\r\n"),
            "HTTP/1.1 200 OK\r\ncontent-type: message/http\r\nContent-Length: 58\r\n\r\n"
            "TRACE /a?b HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nMax-Forwards: 00\r\n\r\n");
  EXPECT_TRUE(s.legs.dialled.empty());
  EXPECT_EQ(s.proxy.buffers(), 0u);
}

TEST_F(MaxForwards, that_is_no_number_is_refused) {
  for (const std::string value : {"", "-1", "+1", "1x", "0x1", "1, 2", "1\r\nMax-Forwards: 1"})
    EXPECT_EQ(out("TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: " + value + "\r\n\r\n").substr(0, 12), "HTTP/1.1 400")
        << value;
  EXPECT_TRUE(s.legs.dialled.empty());
}

}  // namespace
}  // namespace penstock::proxy
