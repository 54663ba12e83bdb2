// Requests whose target is no path.
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

}  // namespace
}  // namespace penstock::proxy
