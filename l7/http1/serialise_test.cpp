// What goes out: own framing, edits, rewriting, and never past the end of the buffer.
#include "l7/http1/serialise.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>

#include "l7/http1/relay_test_support.h"
#include "l7/http1/request_parser.h"
#include "l7/http1/response_parser.h"

namespace penstock::http1 {
namespace {

using Op = HeaderEdit::Op;

class Serialise : public ::testing::Test {
 protected:
  std::string request(const std::string& text, const RequestRewrite& rewrite, std::size_t room = 4096) {
    RequestParser parser{limits, policy, best_classifier()};
    if (parser.parse(text, *marks, *head) != ParseStatus::complete)
      return "refused: " + std::string{name_of(parser.reason())};
    std::vector<char> space(room);
    stream::Writer out{space};
    status = write_request(*head, policy, rewrite, out);
    return status == WriteStatus::ok ? std::string{out.text()} : "";
  }
  std::string response(const std::string& text, std::uint8_t client_minor, bool keep_alive) {
    ResponseParser parser{limits, policy, best_classifier()};
    const auto response_head = std::make_unique<ResponseHead>();
    if (parser.parse(text, Method::get, *marks, *response_head) != ParseStatus::complete)
      return "refused: " + std::string{name_of(parser.reason())};
    std::vector<char> space(4096);
    stream::Writer out{space};
    status = write_response(*response_head, policy,
                            {.framing = outgoing_framing(response_head->framing, client_minor),
                             .client_minor = client_minor,
                             .keep_alive = keep_alive},
                            out);
    return std::string{out.text()};
  }
  HeadLimits limits;
  HttpValidationPolicy policy;
  std::unique_ptr<RequestHead> head = std::make_unique<RequestHead>();
  std::unique_ptr<Marks> marks = std::make_unique<Marks>();
  WriteStatus status{};
};

const std::string kGet = "GET /a?b HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nCookie: c\r\nx-a: 2\r\nX-B:3\r\n\r\n";

TEST_F(Serialise, without_rewriting_only_the_form_changes) {
  EXPECT_EQ(request(kGet, {}), "GET /a?b HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nCookie: c\r\nx-a: 2\r\nX-B: 3\r\n\r\n");
}

TEST_F(Serialise, edits_add_set_and_remove) {
  const std::array<HeaderEdit, 4> edits{HeaderEdit{Op::set, "X-A", "new"}, HeaderEdit{Op::remove, "cookie"},
                                        HeaderEdit{Op::add, "X-B", "more"}, HeaderEdit{Op::set, "X-Request-Id", "7"}};
  EXPECT_EQ(request(kGet, {.edits = edits}),
            "GET /a?b HTTP/1.1\r\nHost: a\r\nX-B: 3\r\nX-A: new\r\nX-B: more\r\nX-Request-Id: 7\r\n\r\n");
}

TEST_F(Serialise, edits_that_would_break_the_message_are_refused) {
  for (const HeaderEdit& edit :
       {HeaderEdit{Op::add, "X", "a\r\nHost: b"}, HeaderEdit{Op::add, "X", "a\nb"}, HeaderEdit{Op::add, "X", "\x01"},
        HeaderEdit{Op::add, "X: y", "z"}, HeaderEdit{Op::add, "", "z"}, HeaderEdit{Op::add, "X", " z"},
        HeaderEdit{Op::set, "Content-Length", "1"}, HeaderEdit{Op::remove, "transfer-encoding"},
        HeaderEdit{Op::set, "Host", "b"}, HeaderEdit{Op::add, "Connection", "close"},
        HeaderEdit{Op::add, "Keep-Alive", "x"}}) {
    EXPECT_FALSE(is_sound(edit)) << edit.name;
    EXPECT_EQ(request(kGet, {.edits = {&edit, 1}}), "");
    EXPECT_EQ(status, WriteStatus::bad_edit);
  }
  EXPECT_EQ(request(kGet, {.target = "/a b"}), "");
  EXPECT_EQ(request(kGet, {.host = "a\r\nX: y"}), "");
  EXPECT_EQ(request(kGet, {.via = "a\r\nX: y"}), "");
  const std::vector<HeaderEdit> many(kEditMax + 1, HeaderEdit{Op::add, "X", "y"});
  EXPECT_EQ(request(kGet, {.edits = many}), "");
}

TEST_F(Serialise, host_target_via_and_close_can_be_rewritten) {
  EXPECT_EQ(request("GET http://a/x HTTP/1.0\r\nHost: a\r\n\r\n",
                    {.target = "/new?q", .host = "b.svc:8080", .via = "penstock", .close = true}),
            "GET /new?q HTTP/1.1\r\nHost: b.svc:8080\r\nConnection: close\r\nVia: 1.0 penstock\r\n\r\n");
}

TEST_F(Serialise, framing_is_written_anew) {
  EXPECT_EQ(request("POST / HTTP/1.1\r\nContent-Length:  007\r\nX: y\r\nHost: a\r\n\r\n", {}),
            "POST / HTTP/1.1\r\nHost: a\r\nX: y\r\nContent-Length: 7\r\n\r\n");
  EXPECT_EQ(request("POST / HTTP/1.1\r\nTransfer-encoding: CHUNKED\r\nTrailer: X-Sum\r\nHost: a\r\n\r\n", {}),
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n");
  EXPECT_EQ(request("GET / HTTP/1.1\r\nTrailer: X-Sum\r\nHost: a\r\n\r\n", {}), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

TEST_F(Serialise, a_buffer_of_any_size_is_either_enough_or_told) {
  policy.dot_segments = PathRule::normalise;
  const std::string text = "POST /a/../b?c HTTP/1.1\r\nHost: a\r\nX: y\r\nZ:z\r\nContent-Length: 7\r\n\r\n";
  const std::string whole = request(text, {.via = "p"});
  ASSERT_TRUE(whole.starts_with("POST /b?c "));
  for (std::size_t room = 0; room < whole.size(); ++room) {
    EXPECT_EQ(request(text, {.via = "p"}, room), "");
    EXPECT_EQ(status, WriteStatus::no_room);
  }
  // A path to normalise needs room for its old length.
  EXPECT_EQ(request(text, {.via = "p"}, whole.size()), whole);
}

TEST_F(Serialise, joined_copies_equal_single_ones) {
  // Each subset of fields is dropped by edits; runs between them are joined in every way.
  const std::string text = "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 22\r\nC:3\r\nD: \r\nE: 5 \r\nF: 66\r\n\r\n";
  const std::array<std::pair<std::string, std::string>, 6> fields{
      {{"A", "1"}, {"B", "22"}, {"C", "3"}, {"D", ""}, {"E", "5"}, {"F", "66"}}};
  for (unsigned subset = 0; subset < 64; ++subset) {
    std::vector<HeaderEdit> edits;
    std::string expected = "GET / HTTP/1.1\r\nHost: h\r\n";
    for (std::size_t i = 0; i < fields.size(); ++i) {
      if ((subset >> i & 1) != 0)
        edits.push_back({Op::remove, fields[i].first});
      else
        expected += fields[i].first + ": " + fields[i].second + "\r\n";
    }
    EXPECT_EQ(request(text, {.edits = edits}), expected + "\r\n");
  }
}

TEST_F(Serialise, a_client_of_1_0_gets_no_chunks_and_is_told_about_keep_alive) {  // RFC 9112 s6.1, s9.3
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(response(chunked, 1, true), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_EQ(response(chunked, 0, false), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
  const std::string length = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n";
  EXPECT_EQ(response(length, 0, true), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(response(length, 1, true), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
}

TEST_F(Serialise, a_body_that_only_closing_ends_is_chunked_for_1_1) {
  EXPECT_EQ(response("HTTP/1.0 200 OK\r\n\r\n", 1, true), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
}

TEST_F(Serialise, an_answer_of_our_own_is_complete_and_closes) {
  std::array<char, 256> space;
  for (std::size_t i = 1; i < kRejectReasonCount; ++i) {
    stream::Writer out{space};
    write_error(kRejectReasons[i].status, i % 2 == 0 ? "Sun, 06 Nov 1994 08:49:37 GMT" : "", out);
    ASSERT_TRUE(out.ok());
    EXPECT_EQ(out.text().find("\r\nDate: Sun") != std::string_view::npos, i % 2 == 0);
    EXPECT_EQ(out.text().find("  "), std::string_view::npos);
    EXPECT_EQ(out.text().find(" \r"), std::string_view::npos) << "no phrase for " << kRejectReasons[i].status;
    const test::Relayed again = test::relay_responses(out.text(), {}, best_classifier());
    EXPECT_EQ(again.end, "end");
    EXPECT_EQ(again.messages.at(0), out.text());
  }
}

TEST_F(Serialise, a_status_has_its_words_or_none) {
  EXPECT_EQ(status_phrase(200), "OK");
  EXPECT_EQ(status_phrase(408), "Request Timeout");
  EXPECT_EQ(status_phrase(505), "HTTP Version Not Supported");
  for (const std::uint16_t unknown : std::initializer_list<std::uint16_t>{0, 199, 299, 418, 599, 65535})
    EXPECT_EQ(status_phrase(unknown), "");
  std::size_t count = 0;
  for (std::uint16_t any = 200; any < 600; ++any) count += !status_phrase(any).empty() ? 1u : 0u;
  EXPECT_EQ(count, 44u) << "sorted, none hidden";
}

TEST_F(Serialise, a_name_that_only_looks_known_is_no_token) {
  ASSERT_EQ(known_field("x\rrequest-id"), KnownField::x_request_id) << "a carriage return folds to a dash";
  EXPECT_FALSE(is_sound({HeaderEdit::Op::add, "x\rrequest-id", "1"}));
  EXPECT_TRUE(is_sound({HeaderEdit::Op::add, "x-request-id", "1"}));
}

TEST_F(Serialise, a_switch_names_the_protocol_in_our_words) {
  static constexpr std::array<std::string_view, 1> kTokens{"websocket"};
  policy.upgrade_tokens = kTokens;
  EXPECT_EQ(response("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n"
                     "Sec-WebSocket-Accept: x\r\nContent-Length: 4\r\n\r\n",
                     1, true),
            "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\nUpgrade: websocket\r\n"
            "Connection: upgrade\r\n\r\n");
}

}  // namespace
}  // namespace penstock::http1
