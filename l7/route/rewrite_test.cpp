#include "l7/route/rewrite.h"

#include <gtest/gtest.h>

#include "l7/route/compile/compiler.h"
#include "l7/route/header_edit.h"

namespace penstock::route {
namespace {

/// One route for every path that `match` takes.
class OneRoute {
 public:
  explicit OneRoute(Route route) {
    RouteTable table{{{"h", {"*"}, {std::move(route)}}}};
    auto compiled = Compiler{}.compile(table, Databases::all);
    if (!compiled)
      for (const Problem& problem : compiled.error()) ADD_FAILURE() << problem.text();
    image_ = std::move(compiled->image);
    loaded_.emplace_back(*LoadedTable::load(image_.bytes()));
    EXPECT_TRUE(scratch_.grow(loaded_[0]).ok());
  }
  MatchedRoute matched(const RequestView& request) {
    const MatchResult result = match(loaded_[0], request, scratch_, 0);
    EXPECT_EQ(result.status, MatchStatus::found) << request.path;
    return matched_route(loaded_[0], result);
  }
  const LoadedTable& table() { return loaded_[0]; }
  std::string target(std::string_view path, std::string_view query = {}) {
    const RequestView request{"h", path, query, "GET", "http", {}};
    return exactly([&](std::span<char> out) { return write_target(matched(request), request, out, scratch_); });
  }
  std::string location(const RequestView& request) {
    return exactly([&](std::span<char> out) { return write_location(matched(request), request, out, scratch_); });
  }

 private:
  /// Writes into a buffer of just the right size, and checks that one octet less is refused.
  std::string exactly(const auto& write) {
    std::vector<char> out(1'000);
    const Written written = write(std::span{out});
    EXPECT_EQ(written.status, WriteStatus::written);
    for (std::size_t less = 1; less <= written.octets; ++less)
      EXPECT_EQ(write(std::span{out}.first(written.octets - less)).status, WriteStatus::too_small);
    EXPECT_EQ(write(std::span{out}.first(written.octets)).octets, written.octets);
    return {out.data(), written.octets};
  }
  Image image_;
  std::vector<LoadedTable> loaded_;
  Scratch scratch_;
};

Route forward(PathMatch path, PathRewrite rewrite) {
  Route route;
  route.match.path = std::move(path);
  route.action = Forward{{{"c", 1}}, std::move(rewrite)};
  return route;
}
Route redirect(Redirect action, PathMatch path = {}) {
  Route route;
  route.match.path = std::move(path);
  route.action = std::move(action);
  return route;
}

TEST(Rewrite, without_one_the_target_stays) {
  EXPECT_EQ(OneRoute{forward({}, {})}.target("/a/b", "?x=1"), "/a/b?x=1");
  EXPECT_EQ(OneRoute{forward({}, {})}.target("/a/b"), "/a/b");
}

TEST(Rewrite, a_prefix_replaces_what_the_literal_matched) {
  EXPECT_EQ(OneRoute(forward({PathKind::prefix, "/api/"}, {"/", {}})).target("/api/v1", "?q"), "/v1?q");
  EXPECT_EQ(OneRoute(forward({PathKind::prefix, "/API/", true}, {"/x/", {}})).target("/api/v1"), "/x/v1");
  EXPECT_EQ(OneRoute(forward({PathKind::segment_prefix, "/a"}, {"/b", {}})).target("/a/c"), "/b/c");
  EXPECT_EQ(OneRoute(forward({PathKind::exact, "/a"}, {"/b", {}})).target("/a", "?x"), "/b?x");
  EXPECT_EQ(OneRoute(forward({PathKind::regex, "/a.*"}, {"/b", {}})).target("/abc"), "/b");
}

TEST(Rewrite, an_expression_replaces_every_match_with_captures) {
  EXPECT_EQ(OneRoute(forward({}, {{}, RegexRewrite{"^/service/([^/]+)(/.*)$", "\\2/instance/\\1"}}))
                .target("/service/foo/v1/api", "?a"),
            "/v1/api/instance/foo?a");
  EXPECT_EQ(OneRoute(forward({}, {{}, RegexRewrite{"one", "two"}})).target("/xxx/one/yyy/one/zzz"),
            "/xxx/two/yyy/two/zzz");
  EXPECT_EQ(OneRoute(forward({}, {{}, RegexRewrite{"(?i)/xxx/", "/yyy/"}})).target("/aaa/XxX/bbb"), "/aaa/yyy/bbb");
  EXPECT_EQ(OneRoute(forward({}, {{}, RegexRewrite{"x*", "/-"}})).target("/a"), "/-//-a/-");
  EXPECT_EQ(OneRoute(forward({}, {{}, RegexRewrite{"nothing", "x"}})).target("/a"), "/a");
}

TEST(Rewrite, what_is_no_path_afterwards_is_refused) {
  OneRoute one{forward({}, {{}, RegexRewrite{"^/x", "x"}})};
  const RequestView request{"h", "/xy", {}, "GET", "http", {}};
  Scratch scratch;
  ASSERT_TRUE(scratch.grow(one.table()).ok());
  char out[100];
  EXPECT_EQ(write_target(one.matched(request), request, out, scratch).status, WriteStatus::bad_path);
}

TEST(Rewrite, the_upstream_host_is_the_rewritten_one_if_any) {
  const RequestView request{"h:80", "/", {}, "GET", "http", {}};
  Route route = forward({}, {});
  OneRoute unchanged{route};
  EXPECT_EQ(upstream_host(unchanged.matched(request), request), "h:80");
  std::get<Forward>(route.action).host_rewrite = "internal.example";
  OneRoute changed{route};
  EXPECT_EQ(upstream_host(changed.matched(request), request), "internal.example");
}

TEST(RedirectLocation, parts_that_are_not_named_stay) {
  const RequestView request{"a.example:8080", "/p", "?q=1", "GET", "http", {}};
  EXPECT_EQ(OneRoute(redirect({301, "https"})).location(request), "https://a.example:8080/p?q=1");
  EXPECT_EQ(OneRoute(redirect({301, "", "b.example"})).location(request), "http://b.example/p?q=1");
  EXPECT_EQ(OneRoute(redirect({301, "", "", 9090})).location(request), "http://a.example:9090/p?q=1");
  EXPECT_EQ(OneRoute(redirect({301, "", "", 0, "/new"})).location(request), "http://a.example:8080/new?q=1");
  EXPECT_EQ(OneRoute(redirect({301, "", "", 0, "/new?own"})).location(request), "http://a.example:8080/new?own");
  EXPECT_EQ(OneRoute(redirect({301, "", "", 0, "/new", {}, true})).location(request), "http://a.example:8080/new");
  EXPECT_EQ(OneRoute(redirect({301, "", "", 0, {}, {"/x", {}}}, {PathKind::prefix, "/p"})).location(request),
            "http://a.example:8080/x?q=1");
  EXPECT_EQ(OneRoute(redirect({301, "", "", 0, {}, {{}, RegexRewrite{"/(.)", "/\\1\\1"}}})).location(request),
            "http://a.example:8080/pp?q=1");
}

TEST(RedirectLocation, a_change_of_scheme_drops_the_old_scheme_s_port) {
  const auto location = [](std::string_view host, std::string_view scheme, const char* to) {
    return OneRoute(redirect({301, to, "", 0, "/"})).location({host, "/p", {}, "GET", scheme, {}});
  };
  EXPECT_EQ(location("a:80", "http", "https"), "https://a/");
  EXPECT_EQ(location("a:443", "https", "http"), "http://a/");
  EXPECT_EQ(location("a:8080", "http", "https"), "https://a:8080/");
  EXPECT_EQ(location("a:80", "http", "http"), "http://a:80/");
  EXPECT_EQ(location("[fd00::80]", "http", "https"), "https://[fd00::80]/");
  EXPECT_EQ(location("[fd00::1]:80", "http", "https"), "https://[fd00::1]/");
}

TEST(DirectResponse, status_and_body) {
  Route route;
  route.action = DirectResponse{503, "later"};
  OneRoute one{route};
  const DirectView view = direct_response(one.matched({"h", "/", {}, "GET", "http", {}}));
  EXPECT_EQ(view.status, 503);
  EXPECT_EQ(view.body, "later");
}

TEST(HeaderEdits, removals_first_then_edits_in_order) {
  Route route;
  route.action = DirectResponse{};
  route.request = {{"X-Gone"},
                   {{"x-set", "new", HeaderEditMode::set},
                    {"x-added", "2", HeaderEditMode::add},
                    {"x-absent", "a", HeaderEditMode::add_if_absent},
                    {"x-there", "b", HeaderEditMode::add_if_absent},
                    {"x-there", "c", HeaderEditMode::set_if_present},
                    {"x-not-there", "d", HeaderEditMode::set_if_present},
                    {"x-gone", "back", HeaderEditMode::add_if_absent}}};
  route.response = {{}, {{"server", "penstock", HeaderEditMode::set}}};
  OneRoute one{route};
  const MatchedRoute matched = one.matched({"h", "/", {}, "GET", "http", {}});
  const HeaderField in[] = {HeaderField::of("X-Set", "1"),   HeaderField::of("x-gone", "1"),
                            HeaderField::of("x-added", "1"), HeaderField::of("x-set", "2"),
                            HeaderField::of("X-GONE", "2"),  HeaderField::of("X-There", "0"),
                            HeaderField::of("kept", "1")};
  HeaderField out[8];
  const auto count = edit_headers(matched.host, matched.route.request, in, out);
  ASSERT_TRUE(count.has_value());
  std::string text;
  for (std::size_t i = 0; i < *count; ++i) text += std::string{out[i].name} + "=" + std::string{out[i].value} + " ";
  EXPECT_EQ(text, "x-added=1 kept=1 x-set=new x-added=2 x-absent=a x-there=c x-gone=back ");
  EXPECT_FALSE(edit_headers(matched.host, matched.route.request, in, std::span{out}.first(6)).has_value());
  EXPECT_EQ(edit_headers(matched.host, matched.route.response, in, out), 8u);
}

}  // namespace
}  // namespace penstock::route
