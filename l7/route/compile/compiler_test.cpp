#include "l7/route/compile/compiler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "l7/route/compile/automaton_builder.h"
#include "l7/route/compile/verify.h"
#include "l7/route/match.h"

namespace penstock::route {
namespace {

using testing::HasSubstr;

Route regex_route(std::string pattern) {
  Route route;
  route.match.path = {PathKind::regex, std::move(pattern)};
  route.action = DirectResponse{};
  return route;
}
RouteTable two_hosts() {
  return {{{"a", {"a.example"}, {regex_route("/a[0-9]+")}}, {"b", {"b.example"}, {regex_route("/b[0-9]+")}}}};
}

TEST(Compiler, only_hosts_whose_expressions_changed_are_compiled_again) {
  Compiler compiler;
  RouteTable table = two_hosts();
  EXPECT_EQ(compiler.compile(table, Databases::all)->report.databases_compiled, 2u);
  table.virtual_hosts[1].routes.push_back(regex_route("/c+"));
  table.virtual_hosts[0].routes[0].action = DirectResponse{404, "no database depends on this"};
  const auto changed = compiler.compile(table, Databases::all);
  EXPECT_EQ(changed->report.databases_compiled, 1u);
  EXPECT_EQ(changed->report.databases_reused, 1u);
  EXPECT_EQ(changed->report.routes, 3u);
  // What two complete tables did not use is forgotten: going back compiles again.
  (void)compiler.compile(table, Databases::all);
  EXPECT_EQ(compiler.compile(two_hosts(), Databases::all)->report.databases_compiled, 1u);
}

TEST(Compiler, hosts_with_the_same_expressions_share_one_compilation) {
  RouteTable table = two_hosts();
  table.virtual_hosts[1].routes = table.virtual_hosts[0].routes;
  EXPECT_EQ(Compiler{}.compile(table, Databases::all)->report.databases_compiled, 1u);
}

TEST(Compiler, without_databases_a_table_is_ready_at_once_and_routes_the_same) {
  const RouteTable table = two_hosts();
  Compiler compiler;
  const auto first = compiler.compile(table, Databases::known);
  EXPECT_EQ(first->report.databases_missing, 2u);
  const auto linear = LoadedTable::load(first->image.bytes());
  EXPECT_EQ(linear->linear_hosts(), 2u);
  EXPECT_EQ(linear->database_state(0), DatabaseState::missing);
  const auto second = compiler.compile(table, Databases::all);
  const auto ready = LoadedTable::load(second->image.bytes());
  EXPECT_EQ(ready->linear_hosts(), 0u);
  for (const LoadedTable* loaded : {&*linear, &*ready}) EXPECT_TRUE(verify(table, *loaded, 1).ok());
}

TEST(Compiler, a_database_for_another_machine_is_refused_and_its_host_is_linear) {
  const RouteTable table = two_hosts();
  Image image = std::move(Compiler{}.compile(table, Databases::all)->image);
  const auto intact = LoadedTable::load(image.bytes());
  // The platform stands behind magic, version and length in a serialised database.
  const ByteView database = intact->view().hosts()[1].database;
  const auto at = static_cast<std::size_t>(database.data() - image.bytes().data());
  for (std::size_t i = 12; i < 20; ++i) image.bytes()[at + i] = std::byte{0xff};
  TableHeader header;
  std::memcpy(&header, image.bytes().data(), sizeof header);
  header.content_hash = control::hash64(ByteView{image.bytes()}.subspan(sizeof header));
  std::memcpy(image.bytes().data(), &header, sizeof header);
  const auto loaded = LoadedTable::load(image.bytes());
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded->database_state(0), DatabaseState::ready);
  EXPECT_EQ(loaded->database_state(1), DatabaseState::refused);
  EXPECT_TRUE(verify(table, *loaded, 1).ok());
}

TEST(Compiler, what_hyperscan_refuses_runs_as_a_program_beside_the_database) {
  const RouteTable table{
      {{"a", {"*"}, {regex_route("/a\\A."), regex_route("/[^\\x00-\\x7f]"), regex_route("/b[0-9]")}}}};
  const auto compiled = Compiler{}.compile(table, Databases::all);
  ASSERT_TRUE(compiled.ok());
  const auto loaded = LoadedTable::load(compiled->image.bytes());
  EXPECT_EQ(loaded->database_state(0), DatabaseState::ready);
  EXPECT_GE(loaded->view().hosts()[0].facts.program_only, 1u);
  EXPECT_TRUE(verify(table, *loaded, 1).ok());
}

TEST(Automaton, small_sets_of_expressions_are_decided_without_a_scan) {
  std::vector<Route> routes;
  for (int i = 0; i < 200; ++i)
    routes.push_back(regex_route("/[a-z]+/region" + std::to_string(i) + "/(list|get)/[0-9a-f]+"));
  const RouteTable table{{{"a", {"*"}, routes}}};
  const auto compiled = Compiler{}.compile(table, Databases::all);
  const auto loaded = LoadedTable::load(compiled->image.bytes());
  Scratch scratch;
  ASSERT_TRUE(scratch.grow(*loaded).ok());
  const auto ask = [&](std::string_view path) {
    return match(*loaded, {"h", path, {}, "GET", "http", {}}, scratch, 0).route;
  };
  for (const char* path :
       {"/", "/api/v1/status", "/store/", "/store/region999/list/0", "/store/region1/put/0", "/store/region1/get"})
    EXPECT_EQ(ask(path), kNoRoute) << path;
  EXPECT_EQ(scratch.counters().decided, 0u);
  EXPECT_EQ(ask("/store/region7/get/0a"), 7u);
  EXPECT_EQ(scratch.counters().decided, 1u);
  EXPECT_EQ(scratch.counters().scans, 0u);
}

TEST(Automaton, sets_that_are_too_large_ask_more_often_but_never_miss) {
  // Behind its second octet this set has more states than the automaton may have.
  std::vector<Route> routes;
  for (int i = 0; i < 60; ++i) {
    std::string pattern = "/.*";
    pattern += static_cast<char>('a' + i % 26);
    pattern += ".{" + std::to_string(i % 13 + 5) + "}x";
    routes.push_back(regex_route(std::move(pattern)));
  }
  const RouteTable table{{{"a", {"*"}, routes}}};
  const auto compiled = Compiler{}.compile(table, Databases::all);
  const auto loaded = LoadedTable::load(compiled->image.bytes());
  EXPECT_EQ(loaded->view().hosts()[0].automaton_states.size(), kAutomatonStateMax);
  const auto verified = verify(table, *loaded, 1);
  ASSERT_TRUE(verified.ok()) << verified.error().text();
  EXPECT_GT(verified->found, 100u);
}

TEST(Compiler, loading_shares_databases_with_the_table_before) {
  Compiler compiler;
  RouteTable table = two_hosts();
  const auto first = compiler.compile(table, Databases::all);
  const auto before = LoadedTable::load(first->image.bytes());
  EXPECT_EQ(before->deserialised(), 2u);
  table.virtual_hosts[1].routes.push_back(regex_route("/c+"));
  const auto second = compiler.compile(table, Databases::all);
  const auto after = LoadedTable::load(second->image.bytes(), &*before);
  EXPECT_EQ(after->deserialised(), 1u);
  EXPECT_EQ(after->database(0), before->database(0));
  EXPECT_NE(after->database(1), before->database(1));
}

TEST(Compiler, the_same_table_gives_the_same_octets) {
  const auto one = Compiler{}.compile(two_hosts(), Databases::known);
  const auto two = Compiler{}.compile(two_hosts(), Databases::known);
  EXPECT_TRUE(std::ranges::equal(one->image.bytes(), two->image.bytes()));
}

TEST(Compiler, a_bad_configuration_is_refused_with_all_its_problems) {
  RouteTable table = two_hosts();
  table.virtual_hosts[0].routes[0].match.path.value = "(";
  table.virtual_hosts[1].routes[0].match.path.value = "(?=a)";
  const auto compiled = Compiler{}.compile(table, Databases::all);
  ASSERT_FALSE(compiled.ok());
  EXPECT_EQ(compiled.error().size(), 2u);
}

TEST(Verify, a_table_that_answers_differently_is_found) {
  RouteTable table = two_hosts();
  const auto compiled = Compiler{}.compile(table, Databases::all);
  const auto loaded = LoadedTable::load(compiled->image.bytes());
  const auto verified = verify(table, *loaded, 1);
  ASSERT_TRUE(verified.ok());
  EXPECT_GT(verified->found, 3u);
  EXPECT_GT(verified->requests, verified->found);
  // The reference is asked about a configuration that differs a little from the compiled one.
  table.virtual_hosts[1].routes[0].match.path.value = "/bb?[0-9]+";
  const auto refused = verify(table, *loaded, 3);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().place, HasSubstr("b.example/b"));
}

}  // namespace
}  // namespace penstock::route
