// What a parsed request says, and every leniency of the policy: refused without it, and what comes of it with it.
// The strict refusals stand in tests/corpus/http1_smuggling.
#include "l7/http1/request_parser.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>

#include "l7/http1/chars.h"
#include "l7/http1/relay_test_support.h"
#include "l7/http1/target.h"

namespace penstock::http1 {
namespace {

/// The result of a request, which no segmentation or level may change.
std::string relayed(std::string_view octets, const HttpValidationPolicy& policy = {}) {
  std::string problem;
  const test::Relayed result = test::relay_requests_all_ways(octets, {.policy = policy}, problem);
  EXPECT_EQ(problem, "");
  return result.text();
}
std::string get(std::string_view target, const HttpValidationPolicy& policy = {}) {
  return relayed("GET " + std::string{target} + " HTTP/1.1\r\nHost: a\r\n\r\n", policy);
}
std::string forwarded(std::string_view target) {
  return "< GET " + std::string{target} + " HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n\n= end\n";
}

class Parsed : public ::testing::Test {
 protected:
  ParseStatus parse(std::string text, const HttpValidationPolicy& policy = {}) {
    text_ = std::move(text);
    RequestParser parser{limits, policy, best_classifier()};
    const ParseStatus status = parser.parse(text_, *marks, *head);
    reason = parser.reason();
    return status;
  }
  [[nodiscard]] std::string of(Span span) const { return std::string{span.in(head->text)}; }
  HeadLimits limits;
  std::unique_ptr<RequestHead> head = std::make_unique<RequestHead>();
  std::unique_ptr<Marks> marks = std::make_unique<Marks>();
  RejectReason reason{};

 private:
  std::string text_;
};

TEST_F(Parsed, the_parts_of_a_request_are_spans_of_its_text) {
  ASSERT_EQ(parse("POST /a/b?c=d&e HTTP/1.1\r\nHost: x.example:81\r\nContent-Length: 12\r\nX-Own:  v w \r\n\r\nbody"),
            ParseStatus::complete);
  EXPECT_EQ(head->method, Method::post);
  EXPECT_EQ(of(head->method_text), "POST");
  EXPECT_EQ(of(head->target), "/a/b?c=d&e");
  EXPECT_EQ(of(head->path), "/a/b");
  EXPECT_EQ(of(head->query), "?c=d&e");
  EXPECT_EQ(of(head->authority), "x.example:81");
  EXPECT_EQ(head->form, TargetForm::origin);
  EXPECT_EQ(head->minor, 1);
  EXPECT_TRUE(head->keep_alive);
  EXPECT_EQ(head->framing.kind, BodyKind::content_length);
  EXPECT_EQ(head->framing.content_length, 12u);
  ASSERT_EQ(head->fields.count, 3u);
  EXPECT_EQ(of(head->fields.fields[2].name), "X-Own");
  EXPECT_EQ(of(head->fields.fields[2].value), "v w");
  EXPECT_EQ(head->fields.fields[2].known, KnownField::unknown);
  EXPECT_EQ(of(head->fields.at(KnownField::host).value), "x.example:81");
  EXPECT_EQ(head->text.size(), head->octets);
  EXPECT_TRUE(head->text.ends_with("\r\n\r\n"));
}

TEST_F(Parsed, a_leading_empty_line_counts_among_the_octets_of_the_head) {
  ASSERT_EQ(parse("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), ParseStatus::complete);
  EXPECT_EQ(head->octets, head->text.size() + 2);
}

TEST_F(Parsed, keep_alive_is_the_default_of_1_1_and_asked_for_in_1_0) {  // RFC 9112 s9.3
  const auto keep = [this](const char* version, const char* connection) {
    EXPECT_EQ(parse("GET / " + std::string{version} + "\r\nHost: a\r\n" + connection + "\r\n"), ParseStatus::complete);
    return head->keep_alive;
  };
  EXPECT_TRUE(keep("HTTP/1.1", ""));
  EXPECT_FALSE(keep("HTTP/1.1", "Connection: close\r\n"));
  EXPECT_FALSE(keep("HTTP/1.1", "Connection: keep-alive, CLOSE\r\n"));
  EXPECT_FALSE(keep("HTTP/1.0", ""));
  EXPECT_TRUE(keep("HTTP/1.0", "Connection: Keep-Alive\r\n"));
  EXPECT_FALSE(keep("HTTP/1.0", "Connection: Keep-Alive, close\r\n"));
}

TEST_F(Parsed, every_known_field_is_found_in_any_case_and_nothing_like_it) {
  for (std::size_t i = 1; i < kKnownFieldCount; ++i) {
    std::string name{kKnownFields[i].name};
    EXPECT_EQ(known_field(name), kKnownFields[i].field);
    for (char& c : name) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    EXPECT_EQ(known_field(name), kKnownFields[i].field);
    for (std::size_t at = 0; at < name.size(); ++at)
      for (int octet = 0x21; octet < 0x7f; ++octet) {
        std::string other = name;
        other[at] = static_cast<char>(octet);
        if (!same_folded(other, name) && is_token(other)) {
          EXPECT_NE(known_field(other), kKnownFields[i].field) << other;
        }
      }
    EXPECT_NE(known_field(name + "x"), kKnownFields[i].field);
    EXPECT_NE(known_field(std::string_view{name}.substr(1)), kKnownFields[i].field);
  }
}

TEST_F(Parsed, limits_are_exact) {
  limits.fields = 2;
  EXPECT_EQ(parse("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"), ParseStatus::complete);
  EXPECT_EQ(parse("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nZ: z\r\n\r\n"), ParseStatus::rejected);
  EXPECT_EQ(reason, RejectReason::too_many_fields);
  limits.head_octets = 27;
  EXPECT_EQ(parse("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), ParseStatus::complete);
  limits.head_octets = 26;
  EXPECT_EQ(parse("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), ParseStatus::rejected);
  EXPECT_EQ(reason, RejectReason::head_too_large);
  limits.target_octets = 3;
  limits.head_octets = 100;
  EXPECT_EQ(parse("GET /ab HTTP/1.1\r\nHost: a\r\n\r\n"), ParseStatus::complete);
  EXPECT_EQ(parse("GET /abc HTTP/1.1\r\nHost: a\r\n\r\n"), ParseStatus::rejected);
  EXPECT_EQ(reason, RejectReason::target_too_long);
}

TEST_F(Parsed, the_ceilings_of_heads_work) {
  limits = {.head_octets = kHeadOctetsMax, .fields = kFieldMax, .target_octets = kHeadOctetsMax};
  std::string text = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (std::size_t i = 1; i < kFieldMax; ++i) text += "X" + std::to_string(i) + ": " + std::string(200, 'v') + "\r\n";
  ASSERT_EQ(parse(text + "\r\n"), ParseStatus::complete);
  ASSERT_EQ(head->fields.count, kFieldMax);
  EXPECT_EQ(of(head->fields.fields[kFieldMax - 1].name), "X255");
  EXPECT_EQ(parse(text + "Y: z\r\n\r\n"), ParseStatus::rejected);
  EXPECT_EQ(reason, RejectReason::too_many_fields);
  const std::string start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
  EXPECT_EQ(parse(start + std::string(kHeadOctetsMax - start.size() - 4, 'v') + "\r\n\r\n"), ParseStatus::complete);
  EXPECT_EQ(parse(start + std::string(kHeadOctetsMax - start.size() - 3, 'v') + "\r\n\r\n"), ParseStatus::rejected);
}

TEST(Policy, underscores_can_be_dropped_or_kept) {
  const std::string text = "GET / HTTP/1.1\r\nHost: a\r\nX_Y: 1\r\nX-Z: 2\r\nContent_Length: 3\r\n\r\n";
  EXPECT_EQ(relayed(text), "= reject name_underscore\n");
  EXPECT_EQ(relayed(text, {.underscore_in_names = NameRule::drop}),
            "< GET / HTTP/1.1\\r\\nHost: a\\r\\nX-Z: 2\\r\\n\\r\\n\n= end\n");
  EXPECT_EQ(relayed(text, {.underscore_in_names = NameRule::keep}),
            "< GET / HTTP/1.1\\r\\nHost: a\\r\\nX_Y: 1\\r\\nX-Z: 2\\r\\nContent_Length: 3\\r\\n\\r\\n\n= end\n");
}

TEST(Policy, encoded_slashes_can_be_kept_or_become_slashes) {
  EXPECT_EQ(get("/a%2fb%2Fc"), "= reject encoded_slash\n");
  EXPECT_EQ(get("/a%2fb", {.encoded_slash = PathRule::keep}), forwarded("/a%2fb"));
  EXPECT_EQ(get("/a%2fb%2Fc?d%2fe", {.encoded_slash = PathRule::normalise}), forwarded("/a/b/c?d%2fe"));
}

TEST(Policy, backslashes_can_be_kept_or_become_slashes) {
  EXPECT_EQ(get("/a%5cb"), "= reject encoded_backslash\n");
  EXPECT_EQ(get("/a%5Cb", {.encoded_backslash = PathRule::keep}), forwarded("/a%5Cb"));
  EXPECT_EQ(get("/a%5cb", {.encoded_backslash = PathRule::normalise}), forwarded("/a/b"));
  const HttpValidationPolicy raw{.encoded_backslash = PathRule::normalise, .allow_non_uri_target_octets = true};
  EXPECT_EQ(get("/a\\b", raw), forwarded("/a/b"));
}

TEST(Policy, dot_segments_can_be_removed_as_in_rfc_3986) {  // s5.2.4 and the examples of s5.4
  const HttpValidationPolicy policy{.dot_segments = PathRule::normalise};
  const std::vector<std::pair<std::string, std::string>> paths{{"/a/b/c/./../../g", "/a/g"},
                                                               {"/./g", "/g"},
                                                               {"/../g", "/g"},
                                                               {"/b/c/..", "/b/"},
                                                               {"/b/c/.", "/b/c/"},
                                                               {"/..", "/"},
                                                               {"/.", "/"},
                                                               {"/a/../../../g", "/g"},
                                                               {"/a/%2e%2E/g", "/g"},
                                                               {"/a/.%2e/g", "/g"},
                                                               {"/a/%2e/g", "/a/g"},
                                                               {"/a//../b", "/a/b"},
                                                               {"/a/b/../..//c", "//c"},
                                                               {"/a/...", "/a/..."},
                                                               {"/a/..b/c", "/a/..b/c"},
                                                               {"/a/%2e.", "/"}};
  for (const auto& [path, expected] : paths) EXPECT_EQ(get(path, policy), forwarded(expected)) << path;
  EXPECT_EQ(get("/a/../b", {.dot_segments = PathRule::keep}), forwarded("/a/../b"));
}

TEST(Policy, dots_beside_a_kept_separator_cannot_be_removed_and_are_refused) {
  const HttpValidationPolicy policy{.encoded_slash = PathRule::keep, .dot_segments = PathRule::normalise};
  EXPECT_EQ(get("/a/..%2fb", policy), "= reject dot_segment\n");
  EXPECT_EQ(get("/a%2f../b", policy), "= reject dot_segment\n");
  EXPECT_EQ(get("/a%2f%2e%2e%2fb", policy), "= reject dot_segment\n");
  EXPECT_EQ(get("/a%2fb/../c", policy), forwarded("/c"));
  const HttpValidationPolicy both{.encoded_slash = PathRule::normalise, .dot_segments = PathRule::normalise};
  EXPECT_EQ(get("/a%2f..%2fb", both), forwarded("/b"));
}

TEST(Policy, absolute_form_can_be_refused) {
  EXPECT_EQ(get("http://a/", {.absolute_form = false}), "= reject target_form\n");
}

TEST(Policy, non_uri_octets_can_be_let_through) {
  EXPECT_EQ(get("/a|b{c}^`\"<>", {.allow_non_uri_target_octets = true}), forwarded("/a|b{c}^`\"<>"));
  EXPECT_EQ(get("/a\xc3\xa9", {.allow_non_uri_target_octets = true}), "= reject target_malformed\n");
  EXPECT_EQ(get("/a#b", {.allow_non_uri_target_octets = true}), "= reject target_malformed\n");
}

TEST(Policy, sub_delims_can_be_let_into_host) {
  const HttpValidationPolicy policy{.allow_sub_delims_in_host = true};
  EXPECT_EQ(relayed("GET / HTTP/1.1\r\nHost: a!$&'()*+;=%2db:80\r\n\r\n", policy),
            "< GET / HTTP/1.1\\r\\nHost: a!$&'()*+;=%2db:80\\r\\n\\r\\n\n= end\n");
  for (const char* host : {"a@b", "a/b", "a%2", "a%zz", "a\\b", "a b", "a#", "a?"})
    EXPECT_EQ(relayed("GET / HTTP/1.1\r\nHost: " + std::string{host} + "\r\n\r\n", policy), "= reject host_malformed\n")
        << host;
}

TEST(Policy, http_1_0_can_come_without_host) {
  const HttpValidationPolicy policy{.allow_http10_without_host = true};
  EXPECT_EQ(relayed("GET / HTTP/1.0\r\n\r\n", policy), "< GET / HTTP/1.1\\r\\nHost: default\\r\\n\\r\\n\n= end\n");
  EXPECT_EQ(relayed("GET / HTTP/1.1\r\n\r\n", policy), "= reject host_missing\n");
}

TEST(Policy, identical_lengths_can_be_one) {  // RFC 9112 s6.3 rule 5
  const HttpValidationPolicy policy{.allow_identical_content_lengths = true};
  const std::string start = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ";
  const std::string one = "< POST / HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 3\\r\\n\\r\\nabc\n= end\n";
  EXPECT_EQ(relayed(start + "3, 3\r\n\r\nabc", policy), one);
  EXPECT_EQ(relayed(start + "3\r\nContent-Length: 3\r\n\r\nabc", policy), one);
  EXPECT_EQ(relayed(start + "3, 4\r\n\r\nabc", policy), "= reject content_length_repeated\n");
  EXPECT_EQ(relayed(start + "3\r\nContent-Length: 4\r\n\r\nabc", policy), "= reject content_length_repeated\n");
  EXPECT_EQ(relayed(start + "\r\n\r\nabc", policy), "= reject content_length_malformed\n");
  EXPECT_EQ(relayed(start + "3, x\r\n\r\nabc", policy), "= reject content_length_malformed\n");
}

TEST(Policy, end_to_end_fields_named_in_connection_can_be_stripped) {
  const HttpValidationPolicy policy{.allow_connection_naming_end_to_end = true};
  EXPECT_EQ(relayed("GET / HTTP/1.1\r\nHost: a\r\nCookie: b\r\nX: y\r\nConnection: cookie\r\n\r\n", policy),
            "< GET / HTTP/1.1\\r\\nHost: a\\r\\nX: y\\r\\n\\r\\n\n= end\n");
  EXPECT_EQ(relayed("GET / HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n", policy),
            "= reject connection_names_framing\n");
}

constexpr std::array<std::string_view, 2> kUpgrades{"websocket", "foo/2"};
constexpr std::array<std::string_view, 2> kTargets{"a:443", "*:8443"};

TEST(Policy, only_allowed_protocols_are_asked_for) {  // RFC 9110 s7.8
  const HttpValidationPolicy policy{.upgrade_tokens = kUpgrades};
  const std::string start = "GET /ws HTTP/1.1\r\nHost: a\r\n";
  const std::string websocket =
      "< GET /ws HTTP/1.1\\r\\nHost: a\\r\\nUpgrade: websocket\\r\\nConnection: upgrade\\r\\n\\r\\n\n= end\n";
  const std::string plain = "< GET /ws HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n\n= end\n";
  EXPECT_EQ(relayed(start + "Connection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n", policy), websocket);
  EXPECT_EQ(relayed(start + "Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n\r\n", policy), websocket);
  EXPECT_EQ(relayed(start + "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", policy), plain);
  EXPECT_EQ(relayed(start + "Upgrade: websocket\r\n\r\n", policy), plain) << "Connection does not name it";
  EXPECT_EQ(relayed("GET /ws HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", policy), plain);
  EXPECT_EQ(relayed(start + "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx", policy),
            "= reject body_not_allowed\n");
}

TEST(Policy, connect_goes_to_allowed_targets_only) {  // RFC 9110 s9.3.6
  const HttpValidationPolicy policy{.connect_targets = kTargets};
  const auto connect = [&](const std::string& target, const std::string& host) {
    return relayed("CONNECT " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n", policy);
  };
  EXPECT_EQ(connect("A:443", "a:443"), "< CONNECT A:443 HTTP/1.1\\r\\nHost: A:443\\r\\n\\r\\n\n= end\n");
  EXPECT_EQ(connect("a:443", "a"), "< CONNECT a:443 HTTP/1.1\\r\\nHost: a:443\\r\\n\\r\\n\n= end\n");
  EXPECT_EQ(connect("b:8443", "b:8443"), "< CONNECT b:8443 HTTP/1.1\\r\\nHost: b:8443\\r\\n\\r\\n\n= end\n");
  EXPECT_EQ(connect("[::1]:8443", "[::1]:8443"),
            "< CONNECT [::1]:8443 HTTP/1.1\\r\\nHost: [::1]:8443\\r\\n\\r\\n\n= end\n");
  EXPECT_EQ(connect("b:443", "b:443"), "= reject connect_refused\n");
  EXPECT_EQ(connect("a:443", "b:443"), "= reject host_mismatch\n");
  EXPECT_EQ(connect("a:443", "a:80"), "= reject host_mismatch\n");
  EXPECT_EQ(connect("u@a:443", "a:443"), "= reject userinfo\n");
}

TEST(Reject, every_reason_has_its_own_name_a_status_and_words) {
  for (std::size_t i = 1; i < kRejectReasonCount; ++i) {
    const RejectInfo& info = kRejectReasons[i];
    EXPECT_TRUE(info.status >= 400 && info.status < 600) << info.name;
    EXPECT_FALSE(info.section.empty() || info.meaning.empty()) << info.name;
    for (std::size_t j = 0; j < i; ++j) EXPECT_NE(info.name, kRejectReasons[j].name);
    EXPECT_EQ(status_of(info.reason, true), 502);
  }
}

}  // namespace
}  // namespace penstock::http1
