// Which routes are told to be unreachable, row by row; and that no request ever reaches one, on random hosts.
#include "l7/route/compile/shadow.h"

#include <gtest/gtest.h>

#include "l7/route/compile/linear.h"
#include "l7/route/compile/validate.h"
#include "l7/route/random_table_test_support.h"

namespace penstock::route {
namespace {

using namespace test;
using enum PathKind;

RouteMatch path(PathKind kind, std::string value, bool ignore_case = false) {
  return {{kind, std::move(value), ignore_case}, {}, {}, {}};
}
RouteMatch with_header(RouteMatch match, ValueMatch header) {
  match.headers.push_back(std::move(header));
  return match;
}
RouteMatch with_query(RouteMatch match, ValueMatch param) {
  match.query_params.push_back(std::move(param));
  return match;
}
RouteMatch with_methods(RouteMatch match, std::vector<std::string> methods) {
  match.methods = std::move(methods);
  return match;
}
ValueMatch is(std::string name, std::string value) { return {std::move(name), ValueKind::exact, std::move(value)}; }
ValueMatch begins(std::string name, std::string value) {
  return {std::move(name), ValueKind::prefix, std::move(value)};
}
ValueMatch there(std::string name) { return {std::move(name), ValueKind::present}; }
ValueMatch absent(std::string name) {
  ValueMatch out{std::move(name), ValueKind::present};
  out.invert = true;
  return out;
}
ValueMatch is_not(std::string name, std::string value) {
  ValueMatch out = is(std::move(name), std::move(value));
  out.invert = true;
  return out;
}
ValueMatch missing_as_empty(ValueMatch match) {
  match.missing_as_empty = true;
  return match;
}

/// Does the first route take everything of the second?
bool shadows(const RouteMatch& first, const RouteMatch& second) {
  VirtualHost host{"h", {"*"}, {}, {}};
  for (const RouteMatch& match : {first, second}) host.routes.push_back({"", match, DirectResponse{}, {}, {}, {}});
  const auto found = shadowed_routes(host);
  EXPECT_TRUE(found.empty() || found == (std::vector<Shadowed>{{1, 0}}));
  return !found.empty();
}

TEST(Shadow, a_path_takes_what_lies_within_it) {
  EXPECT_TRUE(shadows(path(prefix, "/"), path(prefix, "/")));
  EXPECT_TRUE(shadows(path(prefix, "/a"), path(exact, "/ab")));
  EXPECT_TRUE(shadows(path(prefix, "/a"), path(segment_prefix, "/ab")));
  EXPECT_TRUE(shadows(path(prefix, "/a"), path(prefix, "/a/b")));
  EXPECT_TRUE(shadows(path(exact, "/a"), path(exact, "/a")));
  EXPECT_TRUE(shadows(path(segment_prefix, "/a"), path(exact, "/a")));
  EXPECT_TRUE(shadows(path(segment_prefix, "/a"), path(segment_prefix, "/a")));
  EXPECT_TRUE(shadows(path(segment_prefix, "/a"), path(segment_prefix, "/a/b")));
  EXPECT_TRUE(shadows(path(segment_prefix, "/a"), path(prefix, "/a/b")));
  EXPECT_TRUE(shadows(path(regex, "/a[0-9]"), path(regex, "/a[0-9]")));
  EXPECT_TRUE(shadows(path(prefix, "/a"), path(regex, "/ab[0-9]")));
  EXPECT_TRUE(shadows(path(segment_prefix, "/a"), path(regex, "/a/(b|c)")));

  EXPECT_FALSE(shadows(path(prefix, "/a/b"), path(prefix, "/a"))) << "the longer one first is how it should be";
  EXPECT_FALSE(shadows(path(exact, "/a"), path(prefix, "/a")));
  EXPECT_FALSE(shadows(path(exact, "/a"), path(segment_prefix, "/a")));
  EXPECT_FALSE(shadows(path(segment_prefix, "/a"), path(prefix, "/a"))) << "/ab";
  EXPECT_FALSE(shadows(path(segment_prefix, "/a"), path(exact, "/ab")));
  EXPECT_FALSE(shadows(path(segment_prefix, "/a"), path(regex, "/a.*")));
  EXPECT_FALSE(shadows(path(prefix, "/a/"), path(segment_prefix, "/a"))) << "/a alone";
  EXPECT_FALSE(shadows(path(prefix, "/a"), path(regex, "/(a|b)")));
  EXPECT_FALSE(shadows(path(prefix, "/"), path(exact, "*"))) << "the path of OPTIONS *";
}

TEST(Shadow, case_that_is_ignored_takes_case_that_is_not) {
  EXPECT_TRUE(shadows(path(prefix, "/A", true), path(exact, "/ab")));
  EXPECT_TRUE(shadows(path(prefix, "/a", true), path(prefix, "/AB", true)));
  EXPECT_TRUE(shadows(path(prefix, "/A", true), path(regex, "/ab?c")));
  EXPECT_FALSE(shadows(path(prefix, "/a"), path(prefix, "/ab", true))) << "/AB";
  EXPECT_FALSE(shadows(path(prefix, "/a"), path(prefix, "/AB")));
}

TEST(Shadow, conditions_must_follow_from_those_of_the_later_route) {
  const RouteMatch all = path(prefix, "/");
  EXPECT_TRUE(shadows(all, with_header(all, is("x-a", "1"))));
  EXPECT_FALSE(shadows(with_header(all, is("x-a", "1")), all));
  EXPECT_TRUE(shadows(with_header(all, is("X-A", "1")), with_header(all, is("x-a", "1")))) << "headers in any case";
  EXPECT_FALSE(shadows(with_query(all, is("A", "1")), with_query(all, is("a", "1")))) << "parameters not";
  EXPECT_FALSE(shadows(with_query(all, is("a", "1")), with_header(all, is("a", "1"))));
  EXPECT_TRUE(shadows(with_header(all, there("a")), with_header(all, is("a", "1"))));
  EXPECT_TRUE(shadows(with_header(all, begins("a", "ab")), with_header(all, begins("a", "abc"))));
  EXPECT_TRUE(shadows(with_header(all, begins("a", "ab")), with_header(with_header(all, there("b")), is("a", "abc"))));
  EXPECT_FALSE(shadows(with_header(all, begins("a", "abc")), with_header(all, is("a", "ab"))));
  EXPECT_TRUE(shadows(with_header(all, there("a")), with_header(all, is_not("a", "1")))) << "a missing one is not";
  EXPECT_FALSE(shadows(with_header(all, is("a", "1")), with_header(all, is_not("a", "1"))));
  EXPECT_FALSE(shadows(with_header(all, is_not("a", "1")), with_header(all, is("a", "1"))));
  EXPECT_FALSE(shadows(with_header(all, there("a")), with_header(all, absent("a"))));
  EXPECT_FALSE(shadows(with_header(all, there("a")), with_header(all, missing_as_empty(is("a", "")))));
  EXPECT_TRUE(shadows(with_header(all, missing_as_empty(there("a"))), with_header(all, absent("a"))));
  EXPECT_TRUE(shadows(with_header(all, absent("a")), with_header(all, absent("a"))));
}

TEST(Shadow, methods_must_be_among_those_of_the_earlier_route) {
  const RouteMatch all = path(prefix, "/");
  EXPECT_TRUE(shadows(with_methods(all, {"GET", "HEAD"}), with_methods(all, {"HEAD"})));
  EXPECT_TRUE(shadows(all, with_methods(all, {"HEAD"})));
  EXPECT_FALSE(shadows(with_methods(all, {"GET"}), with_methods(all, {"GET", "HEAD"})));
  EXPECT_FALSE(shadows(with_methods(all, {"GET"}), all));
}

TEST(Shadow, many_routes_of_one_path_do_not_hide_the_one_without_conditions) {
  VirtualHost host{"h", {"*"}, {}, {}};
  const auto add = [&](RouteMatch match) {
    host.routes.push_back({"", std::move(match), DirectResponse{}, {}, {}, {}});
  };
  for (std::size_t i = 0; i < 2 * kShadowRivals; ++i) add(with_header(path(prefix, "/"), is("x", std::to_string(i))));
  add(path(prefix, "/"));
  add(path(exact, "/late"));
  const auto all = static_cast<std::uint32_t>(2 * kShadowRivals);
  EXPECT_EQ(shadowed_routes(host), (std::vector<Shadowed>{{all + 1, all}}));
}

/// Copies of routes with more conditions, and with those of another, so that shadows are frequent.
void repeat_some(Seeded& seeded, VirtualHost& host) {
  for (std::size_t n = host.routes.size(); n > 0 && host.routes.size() < 24; --n) {
    const Route& other = host.routes[seeded.below(host.routes.size())];
    Route copy = host.routes[seeded.below(host.routes.size())];
    if (seeded.below(2) == 0)
      copy.match.headers.insert(copy.match.headers.end(), other.match.headers.begin(), other.match.headers.end());
    if (seeded.below(4) == 0) copy.match.query_params = other.match.query_params;
    if (seeded.below(4) == 0) copy.match.methods = other.match.methods;
    for (ValueMatch& header : copy.match.headers) {
      if (header.kind == ValueKind::prefix && seeded.below(2) == 0) header.value += "a";
      if (seeded.below(8) == 0) header.invert = !header.invert;
      if (seeded.below(8) == 0) header.missing_as_empty = !header.missing_as_empty;
      if (seeded.below(8) == 0) header.ignore_case = !header.ignore_case;
    }
    host.routes.push_back(std::move(copy));
  }
}

/// Requests for which the shadowed route of a pair holds; in each the other one must hold as well.
struct Totals {
  std::size_t pairs{}, requests{}, conditional{};
};
void look_for_a_request(std::uint64_t seed, Totals& totals) {
  Seeded seeded{seed};
  RouteTable table = random_table(seeded, {1, 8, 20, 25});
  VirtualHost& host = table.virtual_hosts.front();
  host.domains = {"*"};
  repeat_some(seeded, host);
  std::erase_if(host.routes, [](const Route& route) { return !validate({{{"h", {"*"}, {route}, {}}}}).empty(); });
  const auto found = shadowed_routes(host);
  totals.pairs += found.size();
  const LinearTable linear{table};
  for (std::size_t i = 0; i < 200 && !found.empty(); ++i) {
    OwnedRequest request = random_request(seeded, table);
    const RequestView view = request.view();
    for (const Shadowed& pair : found) {
      if (!linear.route_matches(host.routes[pair.route], view)) continue;
      ++totals.requests;
      totals.conditional += host.routes[pair.by].match.headers.empty() ? 0 : 1;
      ASSERT_TRUE(linear.route_matches(host.routes[pair.by], view))
          << "seed " << seed << ": " << pair.route << " by " << pair.by << "\n"
          << describe(table) << describe(request);
    }
    const auto chosen = linear.match(view);
    for (const Shadowed& pair : found) ASSERT_FALSE(chosen && chosen->route == pair.route) << "seed " << seed;
  }
}

TEST(Shadow, no_request_reaches_a_route_that_is_told_unreachable) {
  Totals totals;
  for (std::uint64_t seed = 1; seed <= 800 && !testing::Test::HasFatalFailure(); ++seed)
    look_for_a_request(seed, totals);
  // The premise held often enough to mean something.
  EXPECT_GT(totals.pairs, 1'000u);
  EXPECT_GT(totals.requests, 5'000u);
  EXPECT_GT(totals.conditional, 200u);
}

}  // namespace
}  // namespace penstock::route
