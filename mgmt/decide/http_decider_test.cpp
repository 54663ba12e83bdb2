#include "mgmt/decide/http_decider.h"

#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <cstring>

#include "mgmt/compile/policy_builder.h"
#include "mgmt/decide/authorizer_call.h"

namespace penstock::decide {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using control::Decision;
using control::PolicyAction;

control::HttpQuestion question(std::string_view method, std::string_view path, std::string_view headers = {},
                               const char* client = "10.0.0.1") {
  control::HttpQuestion out{};
  out.id = 77;
  out.client = *IpAddress::parse(client);
  const std::string text = std::string{method} + "shop.example" + std::string{path} + std::string{headers};
  std::copy(text.begin(), text.end(), out.text.begin());
  out.method_octets = static_cast<std::uint16_t>(method.size());
  out.host_octets = 12;
  out.path_octets = static_cast<std::uint16_t>(path.size());
  out.header_octets = static_cast<std::uint16_t>(headers.size());
  return out;
}

/// A book of one target.
HttpBook book_of(const route::Authorization& authorization) {
  config::Config config;
  config.listeners.emplace_back();
  config.listeners[0].virtual_hosts = {{.name = "a", .authorization = authorization}};
  return http_book(config);
}

TEST(HttpDecider, rules_decide_with_their_lifetimes) {
  route::AskPolicy ask;
  ask.rules = {{{.action = PolicyAction::deny, .prefixes = {"/admin"}}, 5},
               {{.action = PolicyAction::allow,
                 .sources = {*IpPrefix::parse("10.0.0.0/8")},
                 .methods = {"GET"},
                 .headers = {{control::TermKind::header_exact, "x-a", "1", false}}},
                7}};
  const HttpBook book = book_of({.ask = ask});
  ASSERT_EQ(book.size(), 1u);
  const auto& rules = std::get<HttpRules>(book.at(compile::question_id(ask)));
  const auto decided = [&](const control::HttpQuestion& q) {
    const control::Answer got = answer(rules, q);
    EXPECT_EQ(got.question_id, 77u);
    return std::pair{got.decision, got.lifetime_ms};
  };
  EXPECT_EQ(decided(question("GET", "/%61dmin", "x-a: 1\r\n")), std::pair(Decision::deny, 5u));
  EXPECT_EQ(decided(question("GET", "/b", "x-b: 2\r\nx-a: 1\r\n")), std::pair(Decision::allow, 7u));
  EXPECT_EQ(decided(question("GET", "/b")), std::pair(Decision::deny, kDefaultLifetimeMs));
  EXPECT_EQ(decided(question("POST", "/b", "x-a: 1\r\n")), std::pair(Decision::deny, kDefaultLifetimeMs));
  EXPECT_EQ(decided(question("GET", "/b", "x-a: 1\r\n", "11.0.0.1")), std::pair(Decision::deny, kDefaultLifetimeMs));
}

TEST(HttpDecider, a_target_that_changes_gets_another_id) {
  route::AskPolicy ask;
  ask.rules = {{{.action = PolicyAction::deny, .paths = {"/a", "/b"}}, 5}};
  const std::uint64_t before = compile::question_id(ask);
  ask.rules[0].match.paths = {"/a"};
  ask.rules[0].match.prefixes = {"/b"};
  EXPECT_NE(compile::question_id(ask), before);
  route::ExternalAuthorizer external;
  const std::uint64_t first = compile::question_id(external);
  external.headers = {"cookie"};
  EXPECT_NE(compile::question_id(external), first);
}

TEST(HttpDecider, a_damaged_question_is_read_within_its_bounds) {
  control::HttpQuestion wild{};
  std::memset(static_cast<void*>(&wild), 0xff, sizeof wild);
  const route::AskPolicy ask{.rules = {{{.action = PolicyAction::allow, .prefixes = {"/"}}, 5}}};
  EXPECT_EQ(answer(std::get<HttpRules>(book_of({.ask = ask}).begin()->second), wild).decision, Decision::deny);
  EXPECT_LE(authorizer_request({}, wild).size(), 4 * sizeof wild);
}

/// An authorizer that answers one call with this.
std::optional<int> called(const std::string& text, std::string* asked = nullptr) {
  asio::io_context loop;
  tcp::acceptor acceptor{loop, {asio::ip::make_address("127.0.0.1"), 0}};
  route::ExternalAuthorizer external{.address = *IpAddress::parse("127.0.0.1"),
                                     .port = acceptor.local_endpoint().port(),
                                     .path_prefix = "/check",
                                     .timeout_ms = 100};
  tcp::socket server{loop};
  std::string got;
  acceptor.async_accept(server, [&](auto) {
    asio::async_read_until(server, asio::dynamic_buffer(got), "\r\n\r\n", [&](auto, std::size_t) {
      boost::system::error_code ignored;
      asio::write(server, asio::buffer(text), ignored);
    });
  });
  std::optional<int> status;
  bool done = false;
  call_authorizer(loop, external, authorizer_request(external, question("PUT", "/a?b", "cookie: c\r\n")),
                  [&](std::optional<int> s) {
                    status = s;
                    done = true;
                  });
  loop.run_for(std::chrono::seconds{2});
  EXPECT_TRUE(done);
  if (asked != nullptr) *asked = got;
  return status;
}

TEST(Authorizer, is_asked_and_heard) {
  std::string asked;
  EXPECT_EQ(called("HTTP/1.1 204 No Content\r\n\r\n", &asked), 204);
  EXPECT_EQ(asked,
            "PUT /check/a?b HTTP/1.1\r\nHost: shop.example\r\ncookie: c\r\nx-forwarded-for: 10.0.0.1\r\n"
            "user-agent: penstock-authorization\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
  EXPECT_EQ(called("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401 Unauthorized\r\n\r\n"), 401);
  EXPECT_EQ(called("nonsense\r\n\r\n"), std::nullopt);
  EXPECT_EQ(called(""), std::nullopt) << "in time";
}

TEST(Authorizer, its_status_decides) {
  const route::ExternalAuthorizer external{.lifetime_ms = 9, .on_failure = PolicyAction::allow};
  const auto q = question("GET", "/");
  EXPECT_EQ(answer(external, q, 200).decision, Decision::allow);
  EXPECT_EQ(answer(external, q, 200).lifetime_ms, 9u);
  EXPECT_EQ(answer(external, q, 429).decision, Decision::deny);
  EXPECT_EQ(answer(external, q, 429).status, 429);
  EXPECT_EQ(answer(external, q, std::nullopt).decision, Decision::allow);
  EXPECT_EQ(answer(external, q, std::nullopt).lifetime_ms, 0u) << "a failure is not remembered";
}

}  // namespace
}  // namespace penstock::decide
