#include "l7/route/match.h"

#include <gtest/gtest.h>

#include <random>

#include "l7/route/compile/compiler.h"
#include "l7/route/text_fold.h"

namespace penstock::route {
namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

/// A table ready for questions. Answers are numbers of routes within their host; -1 none.
class Table {
 public:
  explicit Table(RouteTable table) : table_{std::move(table)} {
    auto compiled = Compiler{}.compile(table_, Databases::all);
    if (!compiled)
      for (const Problem& problem : compiled.error()) ADD_FAILURE() << problem.text();
    image_ = std::move(compiled->image);
    loaded_.emplace_back(*LoadedTable::load(image_.bytes()));
    EXPECT_TRUE(scratch_.grow(loaded_[0]).ok());
  }
  MatchResult ask(std::string_view host, std::string_view path, const Headers& headers = {},
                  std::string_view query = {}, std::string_view method = "GET", std::uint64_t random = 0) {
    std::vector<HeaderField> fields;
    for (const auto& [name, value] : headers) fields.push_back(HeaderField::of(name, value));
    return match(loaded_[0], {host, path, query, method, "http", fields}, scratch_, random);
  }
  int route(std::string_view path, const Headers& headers = {}, std::string_view query = {},
            std::string_view method = "GET") {
    const MatchResult result = ask("h", path, headers, query, method);
    return result.status == MatchStatus::found ? static_cast<int>(result.route) : -1;
  }
  int host(std::string_view name) {
    const MatchResult result = ask(name, "/");
    return result.status == MatchStatus::no_host ? -1 : static_cast<int>(result.host);
  }
  const LoadedTable& loaded() { return loaded_[0]; }

 private:
  RouteTable table_;
  Image image_;
  std::vector<LoadedTable> loaded_;
  Scratch scratch_;
};

Route with_path(PathKind kind, std::string value, bool ignore_case = false) {
  Route route;
  route.match.path = {kind, std::move(value), ignore_case};
  route.action = DirectResponse{};
  return route;
}
Route with_header(ValueMatch match) {
  Route route = with_path(PathKind::prefix, "/");
  route.match.headers = {std::move(match)};
  return route;
}
RouteTable one_host(std::vector<Route> routes) { return {{{"h", {"*"}, std::move(routes)}}}; }
VirtualHost host_of(std::string name, std::vector<std::string> domains) {
  return {std::move(name), std::move(domains), {with_path(PathKind::prefix, "/")}};
}

TEST(TextFold, words_are_compared_as_octets_are) {
  std::mt19937 random{11};
  const auto below = [&](std::size_t end) { return random() % end; };
  std::size_t equal = 0;
  for (int round = 0; round < 200'000; ++round) {
    std::string any(below(30), ' '), lower;
    // Octets beside the letters, with the high bit and without.
    for (char& c : any) c = static_cast<char>(below(2) == 0 ? below(256) : "@AZ[`az{"[below(8)]);
    for (const char c : any) lower += fold(c);
    if (!lower.empty() && below(2) == 0) {
      char& one = lower[below(lower.size())];
      one = static_cast<char>(one ^ (1 << below(8)));
    }
    bool expected = true;
    for (std::size_t i = 0; i < any.size(); ++i) expected &= fold(any[i]) == lower[i];
    ASSERT_EQ(equals_folded(any, lower), expected) << any << " and " << lower;
    equal += expected;
  }
  EXPECT_GT(equal, 50'000u);
}

TEST(HostMatch, exact_then_longest_suffix_then_longest_prefix_then_any) {
  Table table{{{host_of("0", {"a.example", "A.Example:8080"}), host_of("1", {"*.example"}),
                host_of("2", {"*.b.example"}), host_of("3", {"a.*"}), host_of("4", {"a.b.*"}), host_of("5", {"*"})}}};
  EXPECT_EQ(table.host("a.example"), 0);
  EXPECT_EQ(table.host("A.EXAMPLE"), 0);
  EXPECT_EQ(table.host("a.example:8080"), 0);
  EXPECT_EQ(table.host("x.example"), 1);
  EXPECT_EQ(table.host("x.b.example"), 2);
  EXPECT_EQ(table.host("a.b.example"), 2);  // a suffix beats any prefix
  EXPECT_EQ(table.host("a.net"), 3);
  EXPECT_EQ(table.host("a.b.net"), 4);
  EXPECT_EQ(table.host("z.net"), 5);
  EXPECT_EQ(table.host(".example"), 5);  // '*' stands for at least one octet
  EXPECT_EQ(table.host(""), 5);
  EXPECT_EQ(table.host("\xc3\xa4.example"), 5);
  EXPECT_EQ(table.host(std::string(300, 'a')), 5);
}

TEST(HostMatch, an_unknown_host_is_told_apart_from_an_unknown_path) {
  Table table{{{{"h", {"h"}, {with_path(PathKind::exact, "/a")}}}}};
  EXPECT_EQ(table.ask("other", "/a").status, MatchStatus::no_host);
  EXPECT_EQ(table.ask("h", "/b").status, MatchStatus::no_route);
  EXPECT_EQ(table.ask("h", "/a").status, MatchStatus::found);
}

TEST(PathMatch, exact_prefix_segment_and_regex) {
  Table table{one_host({with_path(PathKind::exact, "/exact"), with_path(PathKind::prefix, "/pre"),
                        with_path(PathKind::segment_prefix, "/seg"), with_path(PathKind::regex, "/re/[0-9]+"),
                        with_path(PathKind::exact, "*")})};
  EXPECT_EQ(table.route("/exact"), 0);
  EXPECT_EQ(table.route("/exact/"), -1);
  EXPECT_EQ(table.route("/pre"), 1);
  EXPECT_EQ(table.route("/prefix/x"), 1);
  EXPECT_EQ(table.route("/pr"), -1);
  EXPECT_EQ(table.route("/seg"), 2);
  EXPECT_EQ(table.route("/seg/x"), 2);
  EXPECT_EQ(table.route("/segment"), -1);
  EXPECT_EQ(table.route("/re/42"), 3);
  EXPECT_EQ(table.route("/re/42/"), -1);
  EXPECT_EQ(table.route("/re/42\n"), -1);
  EXPECT_EQ(table.route("*"), 4);
  EXPECT_EQ(table.route("/Exact"), -1);
}

TEST(PathMatch, case_is_ignored_only_where_the_route_says_so) {
  Table table{one_host({with_path(PathKind::exact, "/API", true), with_path(PathKind::prefix, "/Pre", true),
                        with_path(PathKind::regex, "(?i)/Re.*")})};
  EXPECT_EQ(table.route("/api"), 0);
  EXPECT_EQ(table.route("/aPi"), 0);
  EXPECT_EQ(table.route("/pREfix"), 1);
  EXPECT_EQ(table.route("/rEx"), 2);
}

TEST(PathMatch, the_first_declared_wins_whatever_its_kind) {
  const auto exact = with_path(PathKind::exact, "/a/1"), prefix = with_path(PathKind::prefix, "/a"),
             regex = with_path(PathKind::regex, "/a/.*"), folded = with_path(PathKind::prefix, "/A", true);
  std::vector<Route> routes{exact, prefix, regex, folded};
  for (int rotation = 0; rotation < 4; ++rotation) {
    Table table{one_host(routes)};
    EXPECT_EQ(table.route("/a/1"), 0) << rotation;
    std::rotate(routes.begin(), routes.begin() + 1, routes.end());
  }
}

TEST(PathMatch, a_route_whose_conditions_fail_gives_way_to_the_next_of_any_kind) {
  Route guarded_exact = with_path(PathKind::exact, "/a/1"), guarded_regex = with_path(PathKind::regex, "/a/[0-9]");
  guarded_exact.match.headers = {{"x", ValueKind::exact, "1"}};
  guarded_regex.match.headers = {{"x", ValueKind::exact, "2"}};
  Table table{one_host(
      {guarded_exact, guarded_regex, with_path(PathKind::regex, "/a/[0-9]+"), with_path(PathKind::prefix, "/")})};
  EXPECT_EQ(table.route("/a/1", {{"x", "1"}}), 0);
  EXPECT_EQ(table.route("/a/1", {{"x", "2"}}), 1);
  EXPECT_EQ(table.route("/a/1"), 2);
  EXPECT_EQ(table.route("/a/x"), 3);
}

TEST(PathMatch, long_labels_and_wide_nodes_are_walked) {
  std::vector<Route> routes;
  const std::string shared = "/" + std::string(100, 's') + "/";
  for (char c = 'a'; c <= 'z'; ++c) routes.push_back(with_path(PathKind::exact, shared + c));
  Table table{one_host(routes)};
  for (char c = 'a'; c <= 'z'; ++c) EXPECT_EQ(table.route(shared + c), c - 'a');
  EXPECT_EQ(table.route(shared), -1);
  EXPECT_EQ(table.route(shared + "~"), -1);
  EXPECT_EQ(table.route(shared.substr(0, 60)), -1);
}

TEST(PathMatch, paths_that_routing_refuses_say_so) {
  Table table{one_host({with_path(PathKind::prefix, "/")})};
  EXPECT_EQ(table.ask("h", "/\xc3\xa4").status, MatchStatus::bad_path);
  EXPECT_EQ(table.ask("h", "/aaaaaaaaaaaaaaaa\x80").status, MatchStatus::bad_path);
  EXPECT_EQ(table.ask("h", std::string(kPathOctetsMax, '/')).status, MatchStatus::found);
  EXPECT_EQ(table.ask("h", std::string(kPathOctetsMax + 1, '/')).status, MatchStatus::bad_path);
}

TEST(HeaderMatch, each_kind) {
  const auto holds = [](ValueMatch match, const Headers& headers) {
    Table table{one_host({with_header(std::move(match))})};
    return table.route("/", headers) == 0;
  };
  EXPECT_TRUE(holds({"X-A", ValueKind::present}, {{"x-a", ""}}));
  EXPECT_FALSE(holds({"x-a", ValueKind::present}, {{"x-b", ""}}));
  EXPECT_TRUE(holds({"x-a", ValueKind::exact, "Abc"}, {{"X-A", "Abc"}}));
  EXPECT_FALSE(holds({"x-a", ValueKind::exact, "Abc"}, {{"x-a", "abc"}}));
  EXPECT_TRUE(holds({"x-a", ValueKind::exact, "Abc", 0, 0, true}, {{"x-a", "aBC"}}));
  EXPECT_TRUE(holds({"x-a", ValueKind::prefix, "ab"}, {{"x-a", "abc"}}));
  EXPECT_FALSE(holds({"x-a", ValueKind::prefix, "ab"}, {{"x-a", "a"}}));
  EXPECT_TRUE(holds({"x-a", ValueKind::regex, "[0-9]{3}"}, {{"x-a", "123"}}));
  EXPECT_FALSE(holds({"x-a", ValueKind::regex, "[0-9]{3}"}, {{"x-a", "1234"}}));
  EXPECT_TRUE(holds({"x-a", ValueKind::range, "", -10, 0}, {{"x-a", "-1"}}));
  EXPECT_TRUE(holds({"x-a", ValueKind::range, "", -10, 0}, {{"x-a", "-10"}}));
  EXPECT_FALSE(holds({"x-a", ValueKind::range, "", -10, 0}, {{"x-a", "0"}}));
  for (const char* text : {"", "-", "+1", " 1", "1 ", "1x", "0x1", "99999999999999999999"})
    EXPECT_FALSE(holds({"x-a", ValueKind::range, "", -100, 100}, {{"x-a", text}})) << text;
}

TEST(HeaderMatch, lines_of_one_name_are_one_value_joined_by_commas) {
  const Headers lines{{"x-a", "1"}, {"other", "z"}, {"X-A", "2"}};
  Table table{one_host({with_header({"x-a", ValueKind::exact, "1"}), with_header({"x-a", ValueKind::range, "", 0, 9}),
                        with_header({"x-a", ValueKind::regex, "1,2"}), with_header({"x-a", ValueKind::exact, "1,2"})})};
  EXPECT_EQ(table.route("/", lines), 2);
  Table prefix{
      one_host({with_header({"x-a", ValueKind::prefix, "1,23"}), with_header({"x-a", ValueKind::prefix, "1,"})})};
  EXPECT_EQ(prefix.route("/", lines), 1);
}

TEST(HeaderMatch, a_missing_header_fulfils_only_what_asks_for_its_absence) {
  const auto holds = [](ValueMatch match) {
    Table table{one_host({with_header(std::move(match))})};
    return table.route("/") == 0;
  };
  EXPECT_TRUE(holds({"x-a", ValueKind::present, "", 0, 0, false, true}));
  EXPECT_FALSE(holds({"x-a", ValueKind::exact, "1", 0, 0, false, true}));
  EXPECT_TRUE(holds({"x-a", ValueKind::exact, "1", 0, 0, false, true, true}));
  EXPECT_TRUE(holds({"x-a", ValueKind::exact, "", 0, 0, false, false, true}));
  EXPECT_FALSE(holds({"x-a", ValueKind::present, "", 0, 0, false, true, true}));
}

TEST(QueryMatch, the_first_of_a_name_counts_as_it_stands) {
  Route route = with_path(PathKind::prefix, "/");
  route.match.query_params = {{"a", ValueKind::exact, "1"}};
  Table table{one_host({route})};
  EXPECT_EQ(table.route("/", {}, "?a=1"), 0);
  EXPECT_EQ(table.route("/", {}, "?b=2&a=1&a=2"), 0);
  EXPECT_EQ(table.route("/", {}, "?a=2&a=1"), -1);
  EXPECT_EQ(table.route("/", {}, "?A=1"), -1);
  EXPECT_EQ(table.route("/", {}, "?aa=1"), -1);
  EXPECT_EQ(table.route("/", {}, "?a=%31"), -1);
  EXPECT_EQ(table.route("/", {}, "?"), -1);
  EXPECT_EQ(table.route("/"), -1);
  route.match.query_params = {{"a", ValueKind::present}};
  Table present{one_host({route})};
  EXPECT_EQ(present.route("/", {}, "?x&a"), 0);
  EXPECT_EQ(present.route("/", {}, "?x&a="), 0);
}

TEST(MethodMatch, known_and_other_methods) {
  Route get = with_path(PathKind::prefix, "/"), purge = get, any = get;
  get.match.methods = {"GET", "HEAD"};
  purge.match.methods = {"PURGE", "POST"};
  Table table{one_host({get, purge, any})};
  EXPECT_EQ(table.route("/", {}, {}, "HEAD"), 0);
  EXPECT_EQ(table.route("/", {}, {}, "POST"), 1);
  EXPECT_EQ(table.route("/", {}, {}, "PURGE"), 1);
  EXPECT_EQ(table.route("/", {}, {}, "get"), 2);
  EXPECT_EQ(table.route("/", {}, {}, "DELETE"), 2);
}

TEST(Clusters, weights_divide_the_random_numbers_exactly) {
  Route route = with_path(PathKind::prefix, "/");
  route.action = Forward{{{"a", 1}, {"never", 0}, {"b", 3}}};
  Table table{one_host({route})};
  int of_a = 0;
  for (std::uint64_t i = 0; i < 400; ++i) {
    const MatchResult result = table.ask("h", "/", {}, {}, "GET", (i << 32) * ((std::uint64_t{1} << 32) / 400));
    const std::string_view name = table.loaded().view().cluster_name(result.cluster);
    EXPECT_TRUE(name == "a" || name == "b");
    of_a += name == "a" ? 1 : 0;
  }
  EXPECT_NEAR(of_a, 100, 1);
  EXPECT_EQ(table.loaded().view().cluster_count(), 2u);
}

}  // namespace
}  // namespace penstock::route
