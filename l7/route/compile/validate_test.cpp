#include "l7/route/compile/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

namespace penstock::route {
namespace {

using testing::HasSubstr;

RouteTable good() {
  Route route;
  route.name = "r";
  route.match.path = {PathKind::prefix, "/"};
  route.action = Forward{{{"web", 1}}};
  return {{{"shop", {"shop.example", "*.shop.example"}, {route}}}};
}
Route& only_route(RouteTable& table) { return table.virtual_hosts[0].routes[0]; }
Forward& forward(RouteTable& table) { return std::get<Forward>(only_route(table).action); }

TEST(Validate, a_good_table_has_no_problem) { EXPECT_TRUE(validate(good()).empty()); }

TEST(Validate, each_fault_is_found_at_its_place_with_a_remedy) {
  struct Row {
    std::function<void(RouteTable&)> spoil;
    const char* place;
    const char* what;
  };
  const auto path = [](PathKind kind, const char* text, bool fold = false) {
    return [=](RouteTable& t) { only_route(t).match.path = {kind, text, fold}; };
  };
  const auto header = [](ValueMatch match) {
    return [match](RouteTable& t) { only_route(t).match.headers = {match}; };
  };
  const auto query = [](ValueMatch match) {
    return [match](RouteTable& t) { only_route(t).match.query_params = {match}; };
  };
  const auto action = [](auto value) { return [value](RouteTable& t) { only_route(t).action = value; }; };
  const auto edit = [](const char* name, const char* value) {
    return [=](RouteTable& t) { only_route(t).request.edits = {{name, value}}; };
  };
  const Row kRows[] = {
      {[](RouteTable& t) { t.virtual_hosts[0].name = ""; }, "virtual host 0", "name is empty"},
      {[](RouteTable& t) {
         t.virtual_hosts.push_back({"shop", {"b"}, {}});
       },
       "\"shop\"", "second virtual host"},
      {[](RouteTable& t) { t.virtual_hosts[0].domains.clear(); }, "\"shop\"", "no domains"},
      {[](RouteTable& t) {
         t.virtual_hosts.push_back({"b", {"SHOP.example"}, {}});
       },
       "\"b\"", "belongs to virtual host \"shop\""},
      {[](RouteTable& t) { t.virtual_hosts[0].domains = {"a.*.b"}; }, "\"shop\"", "not a host name"},
      {[](RouteTable& t) { t.virtual_hosts[0].domains = {"**"}; }, "\"shop\"", "not a host name"},
      {path(PathKind::exact, "a"), "route 0 \"r\": match.path", "does not begin with '/'"},
      {path(PathKind::prefix, "/a?b"), "match.path", "no path has"},
      {path(PathKind::prefix, "/\xc3"), "match.path", "no path has"},
      {path(PathKind::segment_prefix, "/a/"), "match.path", "ends with '/'"},
      {path(PathKind::regex, "/(?=a)"), "match.path", "look-around"},
      {path(PathKind::regex, "/a", true), "match.path", "ignore_case"},
      {header({":path"}), "match.headers \":path\"", "pseudo"},
      {header({"a b"}), "match.headers", "not the name"},
      {header({"a", ValueKind::regex, "("}), "match.headers \"a\"", "missing ')'"},
      {header({"a", ValueKind::range, "", 5, 5}), "match.headers \"a\"", "range is empty"},
      {header({"a", ValueKind::exact, "x\n"}), "match.headers \"a\"", "control"},
      {header({"a", ValueKind::present, "", 0, 0, true}), "match.headers \"a\"", "ignore_case"},
      {query({"a&b"}), "match.query_params", "not the name"},
      {[](RouteTable& t) { only_route(t).match.methods = {"G T"}; }, "match.methods", "not a method"},
      {[](RouteTable& t) { forward(t).clusters.clear(); }, "clusters", "add up to 0"},
      {[](RouteTable& t) {
         forward(t).clusters = {{"a", 0}, {"b", 0}};
       },
       "clusters", "add up to 0"},
      {[](RouteTable& t) {
         forward(t).clusters = {{"", 1}};
       },
       "clusters", "name is empty"},
      {[](RouteTable& t) {
         forward(t).clusters = {{"a", 2'000'000}};
       },
       "clusters", "above"},
      {[](RouteTable& t) { forward(t).host_rewrite = "a/b"; }, "host_rewrite", "not a host name"},
      {[](RouteTable& t) { forward(t).timeout_ms = ~0u; }, "timeouts", "week"},
      {[](RouteTable& t) {
         forward(t).rewrite = {"/a", RegexRewrite{"b", "c"}};
       },
       "rewrite", "both"},
      {[](RouteTable& t) { forward(t).rewrite.prefix = "a"; }, "rewrite.prefix", "begin with '/'"},
      {[](RouteTable& t) {
         forward(t).rewrite.regex = {"(a", "b"};
       },
       "rewrite.regex", "missing ')'"},
      {[](RouteTable& t) {
         forward(t).rewrite.regex = {"(a)", "\\2"};
       },
       "rewrite.substitution", "1 groups"},
      {[](RouteTable& t) {
         forward(t).rewrite.regex = {"(a)", "x\\"};
       },
       "rewrite.substitution", "backslash"},
      {[](RouteTable& t) {
         forward(t).rewrite.regex = {"(a)", "x y"};
       },
       "rewrite.substitution", "no path has"},
      {[](RouteTable& t) {
         forward(t).retry = {kRetry5xx, 0, 0, {}};
       },
       "retry.retries", "0"},
      {[](RouteTable& t) {
         forward(t).retry = {kRetryStatuses, 1, 0, {}};
       },
       "retry.statuses", "together"},
      {[](RouteTable& t) {
         forward(t).retry = {kRetryStatuses, 1, 0, {99}};
       },
       "retry.statuses", "no status"},
      {action(Redirect{200, "https"}), "redirect.status", "does not redirect"},
      {action(Redirect{301, "ftp"}), "redirect.scheme", "ftp"},
      {action(Redirect{}), "redirect", "same place"},
      {action(Redirect{301, "", "", 0, "/a", {"/b", {}}}), "redirect", "both"},
      {action(Redirect{301, "", "", 0, "/a b"}), "redirect.path", "no path"},
      {action(DirectResponse{100, ""}), "direct_response.status", "no final status"},
      {action(DirectResponse{204, "x"}), "direct_response.body", "no body"},
      {edit("Content-Length", "1"), "request headers", "delimits"},
      {edit("Host", "a"), "request headers", "delimits"},
      {edit(":path", "a"), "request headers", "not the name"},
      {edit("x", "a\r\nb: c"), "request headers \"x\"", "control"},
      {edit("x", " a"), "request headers \"x\"", "space"},
      {[](RouteTable& t) { only_route(t).response.remove = {"Transfer-Encoding"}; }, "response headers", "delimits"},
  };
  for (const Row& row : kRows) {
    RouteTable table = good();
    row.spoil(table);
    const Problems problems = validate(table);
    ASSERT_EQ(problems.size(), 1u) << row.what << (problems.size() > 1 ? problems[1].text() : "");
    EXPECT_THAT(problems[0].place, HasSubstr(row.place));
    EXPECT_THAT(problems[0].what, HasSubstr(row.what));
    EXPECT_FALSE(problems[0].remedy.empty()) << problems[0].text();
  }
}

TEST(Validate, all_problems_are_reported_at_once) {
  RouteTable table = good();
  only_route(table).match.path = {PathKind::regex, "("};
  forward(table).clusters.clear();
  table.virtual_hosts.push_back({"other", {"*.shop.example"}, {}});
  EXPECT_EQ(validate(table).size(), 3u);
}

}  // namespace
}  // namespace penstock::route
