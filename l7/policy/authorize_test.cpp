#include "l7/policy/authorize.h"

#include <gtest/gtest.h>

#include "dataplane/control/snapshot_writer.h"

namespace penstock::policy {
namespace {

using control::PolicyAction;
using control::TermKind;

/// Tables from terms written one by one.
struct Book {
  control::SnapshotContent content;
  void add(TermKind kind, std::string_view value, std::string_view name = {}, bool invert = false) {
    content.policy_terms.push_back({kind,
                                    static_cast<std::uint8_t>(invert ? control::kTermInvert : 0),
                                    0,
                                    0,
                                    control::add_text(content, name),
                                    control::add_text(content, value),
                                    {}});
  }
  void add_source(std::string_view prefix) {
    const IpPrefix parsed = *IpPrefix::parse(prefix);
    content.policy_terms.push_back({TermKind::source, 0, parsed.bits, 0, {}, {}, parsed.address});
  }
  /// The terms added since the last rule.
  void rule(PolicyAction action) {
    const auto end = static_cast<std::uint32_t>(content.policy_terms.size());
    content.authorization_rules.push_back({first_, end - first_, action, {}});
    first_ = end;
  }
  [[nodiscard]] PolicyAction decide(const route::RequestView& request, std::string_view client = "10.0.0.1",
                                    PolicyAction otherwise = PolicyAction::allow) const {
    control::HttpPolicyRecord policy;
    policy.rule_count = static_cast<std::uint32_t>(content.authorization_rules.size());
    policy.otherwise = otherwise;
    const control::PolicyTables tables{.policies = {},
                                       .rules = content.authorization_rules,
                                       .terms = content.policy_terms,
                                       .rate_limits = {},
                                       .texts = {content.texts.data(), content.texts.size()}};
    return authorize(tables, policy, {request, *IpAddress::parse(client)});
  }

 private:
  std::uint32_t first_{};
};

route::RequestView get(std::string_view path, std::span<const route::HeaderField> headers = {}) {
  return {.host = "a", .path = path, .query = {}, .method = "GET", .scheme = "http", .headers = headers};
}

TEST(Authorize, the_first_rule_that_holds_decides) {
  Book book;
  book.add(TermKind::path, "/open");
  book.rule(PolicyAction::allow);
  book.add(TermKind::path_prefix, "/o");
  book.rule(PolicyAction::deny);
  EXPECT_EQ(book.decide(get("/open")), PolicyAction::allow);
  EXPECT_EQ(book.decide(get("/other")), PolicyAction::deny);
  EXPECT_EQ(book.decide(get("/x")), PolicyAction::allow);
  EXPECT_EQ(book.decide(get("/x"), "10.0.0.1", PolicyAction::deny), PolicyAction::deny);
}

TEST(Authorize, any_of_a_kind_and_all_of_the_headers) {
  Book book;
  book.add_source("10.1.0.0/16");
  book.add_source("fd00::/8");
  book.add(TermKind::method, "GET");
  book.add(TermKind::method, "HEAD");
  book.add(TermKind::header_exact, "yes", "x-a");
  book.add(TermKind::header_present, "", "x-b", true);
  book.rule(PolicyAction::deny);
  const route::HeaderField yes = route::HeaderField::of("X-A", "yes"), no = route::HeaderField::of("x-a", "no");
  const std::array lines{no, yes};
  const std::array other{yes, route::HeaderField::of("X-b", "")};
  EXPECT_EQ(book.decide(get("/", lines), "10.1.2.3"), PolicyAction::deny) << "any line of a header will do";
  EXPECT_EQ(book.decide(get("/", lines), "fd12::1"), PolicyAction::deny);
  EXPECT_EQ(book.decide(get("/", lines), "10.2.2.3"), PolicyAction::allow);
  EXPECT_EQ(book.decide(get("/", {&no, 1}), "10.1.2.3"), PolicyAction::allow);
  EXPECT_EQ(book.decide(get("/", other), "10.1.2.3"), PolicyAction::allow) << "x-b must be missing";
  route::RequestView post = get("/", lines);
  post.method = "POST";
  EXPECT_EQ(book.decide(post, "10.1.2.3"), PolicyAction::allow);
}

TEST(Authorize, a_rule_without_terms_holds_always) {
  Book book;
  book.rule(PolicyAction::deny);
  EXPECT_EQ(book.decide(get("/")), PolicyAction::deny);
}

TEST(Authorize, escapes_hide_nothing) {
  for (const char* path : {"/admin/x", "/%61dmin", "/%61%64%6D%69%6e/", "/admin"})
    EXPECT_TRUE(path_begins(path, "/admin", false)) << path;
  for (const char* path : {"/adm", "/Admin", "/%41dmin", "/%6", "/%zzdmin", "", "/a%64mi"})
    EXPECT_FALSE(path_begins(path, "/admin", false)) << path;
  EXPECT_TRUE(path_begins("/%61", "/a", true));
  EXPECT_FALSE(path_begins("/%61b", "/a", true));
  EXPECT_TRUE(path_begins("/100%", "/100%", true)) << "no escape";
}

}  // namespace
}  // namespace penstock::policy
