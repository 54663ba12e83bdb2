// Scripts for other stacks: which differences are failures, which are a stack's own, and what is no difference at all.
#include "tests/conformance/runner/choices.h"

#include <gtest/gtest.h>

#include "tests/conformance/runner/runner.h"

namespace penstock::script {
namespace {

const std::string kLinuxOpen = R"(`./defaults.sh`
 0    socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0    bind(3, ..., ...) = 0
+0    listen(3, 1) = 0
+0    < S 0:0(0) win 30000 <mss 1000,sackOK,nop,nop>
+0    > S. 0:0(0) ack 1 <mss 1460,nop,nop,sackOK>
+0.1  < . 1:1(0) ack 1 win 30000
+0    accept(3, ..., ...) = 4
)";
const std::string kBare = R"(
 0    socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0    bind(3, ..., ...) = 0
+0    listen(3, 1) = 0
)";

Verdict verdict_of(const std::string& text, const Invocation& invocation = {}) {
  const std::vector<FamilyVerdict> all = run_text(text, invocation);
  EXPECT_FALSE(all.empty());
  return all.empty() ? Verdict{} : all.front().verdict;
}
void expect(const std::string& text, Result result, const std::string& why = "") {
  const Verdict verdict = verdict_of(text);
  EXPECT_EQ(verdict.result, result) << text << verdict.line << ": " << verdict.reason;
  EXPECT_NE(verdict.reason.find(why), std::string::npos) << text << verdict.reason;
}

TEST(Choices, a_reset_is_judged_by_its_number) {
  const std::string closed =
      kLinuxOpen + "+0 close(4) = 0\n+0 > F. 1:1(0) ack 1\n+0.01 < P. 1:11(10) ack 1 win 30000\n";
  expect(closed + "+0 > R. 2:2(0) ack 1\n", Result::pass);
  expect(closed + "+0 > R 2:2(0)\n", Result::pass);
  expect(closed + "+0 > R 1:1(0)\n", Result::pass);  // what the peer awaits
  expect(closed + "+0 > R 3:3(0)\n", Result::fail, "sequence number");
}

TEST(Choices, how_much_a_send_buffer_takes) {
  const std::string small = kLinuxOpen + "+0 setsockopt(4, SOL_SOCKET, SO_SNDBUF, [1000], 4) = 0\n" +
                            "+0 fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0\n";
  expect(small + "+0 write(4, ..., 9000) = 2000\n", Result::pass);
  expect(small + "+0 write(4, ..., 9000) = 2500\n", Result::unsupported, "send buffer");
  expect(small + "+0 write(4, ..., 9000) = -1 EPIPE (Broken pipe)\n", Result::fail);
}

TEST(Choices, the_slow_start_threshold) {
  expect(kLinuxOpen + "+0 %{ assert tcpi_snd_ssthresh == 7 }%\n", Result::unsupported, "threshold");
  expect(kLinuxOpen + "+0 %{ assert tcpi_snd_cwnd == 11 }%\n", Result::fail, "tcpi_snd_cwnd is 10");
}

TEST(Choices, a_first_timeout_of_three_seconds_in_an_assertion) {
  expect(kLinuxOpen + "+0 %{ assert tcpi_rto == 3000000 }%\n", Result::unsupported, "before RFC 6298");
  expect(kLinuxOpen + "+0 %{ assert tcpi_rto == 3000001 }%\n", Result::fail, "tcpi_rto is");
}

TEST(Choices, the_window_of_a_reset_means_nothing) {
  expect(kLinuxOpen + "+0 connect(4, AF_UNSPEC, ...) = 0\n+0 > R. 1:1(0) ack 1 win 777\n", Result::pass);
  expect(kLinuxOpen + "+0 connect(4, AF_UNSPEC, ...) = 0\n+0 > R. 1:1(0) ack 2 win 0\n", Result::fail, "number");
}

TEST(Choices, syns_that_are_repeated_at_one_pace) {
  const std::string opens =
      "//@ profile=linux\n0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"
      "+0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0\n+0 connect(3, ..., ...) = -1 EINPROGRESS\n"
      "+0 > S 0:0(0) <...>\n+1 > S 0:0(0) <...>\n";
  expect(opens + "+2 > S 0:0(0) <...>\n", Result::pass);
  expect(opens + "+1 > S 0:0(0) <...>\n", Result::unsupported, "one pace");
  expect(opens + "+1 > . 1:1(0) ack 1\n", Result::fail, "nothing came");
}

TEST(Choices, how_a_zero_window_is_probed) {
  const std::string shut = kLinuxOpen + "+0 < . 1:1(0) ack 1 win 0\n+0 write(4, ..., 10) = 10\n";
  expect(shut + "* > . 0:0(0) ack 1\n", Result::pass);
  expect(shut + "* > . 1:2(1) ack 1\n", Result::unsupported, "zero window");
  expect(shut + "* > P. 1:11(10) ack 1\n", Result::fail);
}

TEST(Choices, small_data_behind_full_segments) {
  const std::string write = kLinuxOpen + "+0 write(4, ..., 1500) = 1500\n+0 > . 1:1001(1000) ack 1\n";
  expect(write + "+0 > P. 1001:1501(500) ack 1\n", Result::unsupported, "Nagle");
  expect(write + "+0.1 < . 1:1(0) ack 1001 win 30000\n+0 > P. 1001:1501(500) ack 1\n", Result::pass);
  expect(write + "+0 > P. 1001:1401(400) ack 1\n", Result::fail, "nothing came");
}

TEST(Choices, how_fast_a_repair_goes_but_not_which_hole_first) {
  const std::string lost = kLinuxOpen + "+0 write(4, ..., 9000) = 9000\n+0 > P. 1:9001(9000) ack 1\n" +
                           "+0.1 < . 1:1(0) ack 1 win 30000 <sack 4001:7001,nop,nop>\n";
  expect(lost + "+0 > . 1:1001(1000) ack 1\n", Result::pass);
  expect(lost + "+0 > . 1:4001(4000) ack 1\n", Result::unsupported, "how fast a repair goes");
  expect(lost + "+0 > . 1001:2001(1000) ack 1\n", Result::fail, "sequence number");
  expect(lost + "+0 > . 1:3001(3000) ack 1\n+0 > . 3001:4001(1000) ack 1\n", Result::unsupported, "how fast");
}

TEST(Choices, a_first_timeout_of_three_seconds) {
  const std::string open = kBare + "+0 < S 0:0(0) win 30000 <mss 1000>\n+0 > S. 0:0(0) ack 1 <...>\n";
  expect(open + "+1 > S. 0:0(0) ack 1 <...>\n", Result::pass);
  expect(open + "+3 > S. 0:0(0) ack 1 <...>\n", Result::unsupported, "RFC 6298");
  expect(open + "+2 > S. 0:0(0) ack 1 <...>\n", Result::fail, "time");
}

TEST(Choices, how_long_an_acknowledgement_is_delayed) {
  const std::string twice =
      kLinuxOpen + "+0 < P. 1:11(10) ack 1 win 30000\n+0 > . 1:1(0) ack 11\n" +
      "+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 11\n+0.1 < P. 11:21(10) ack 11 win 30000\n";
  expect(twice + "+0 > . 11:11(0) ack 21\n", Result::unsupported, "delayed");
  expect(twice + "+0.04 > . 11:11(0) ack 21\n", Result::pass);
  expect(twice + "+0 > . 11:11(0) ack 22\n", Result::fail, "nothing came");
}

TEST(Choices, options_that_the_syn_did_not_carry) {
  const std::string open = "`./defaults.sh`" + kBare + "+0 < S 0:0(0) win 30000 <mss 1000>\n";
  expect(open + "+0 > S. 0:0(0) ack 1 <mss 1460>\n", Result::pass);
  expect(open + "+0 > S. 0:0(0) ack 1 <mss 1460,nop,wscale 7>\n", Result::unsupported, "the SYN did not carry");
}

TEST(Choices, all_of_them_are_compared_where_a_script_asks_for_it) {
  const std::string strict = kLinuxOpen + "//@ strict_choices=1\n";
  expect(strict + "+0 %{ assert tcpi_snd_ssthresh == 7 }%\n", Result::fail, "tcpi_snd_ssthresh");
  expect(strict + "+0 write(4, ..., 1500) = 1500\n+0 > . 1:1001(1000) ack 1\n+0 > P. 1001:1501(500) ack 1\n",
         Result::fail, "nothing came");
}

TEST(Guesses, the_first_syn_tells_the_stack) {
  // Padding at the end is BSD's, whose options may come in any order.
  const std::string bsd = kBare + "+0 < S 0:0(0) win 30000 <mss 1460,sackOK,eol,eol>\n";
  expect(bsd + "+0 > S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,eol,eol>\n", Result::pass);
  expect("`./defaults.sh`" + bsd + "+0 > S. 0:0(0) ack 1 <mss 1460,sackOK,eol,eol>\n", Result::fail, "options");
}

TEST(Guesses, where_nothing_tells_both_are_tried_and_the_further_one_counts) {
  const std::string open = kBare + "+0 < S 0:0(0) win 30000 <mss 1000>\n+0 > S. 0:0(0) ack 1 <...>\n" +
                           "+0 < . 1:1(0) ack 1 win 30000\n+0 accept(3, ..., ...) = 4\n";
  const std::string octets = "+0 %{ assert tcpi_snd_cwnd == 10000 }%\n",
                    segments = "+0 %{ assert tcpi_snd_cwnd == 10 }%\n";
  expect(open + octets, Result::pass);    // BSD counts octets
  expect(open + segments, Result::pass);  // Linux counts segments
  const Verdict verdict = verdict_of(open + octets + "+0 read(9, ..., 1) = 0\n");
  EXPECT_EQ(verdict.result, Result::fail);
  EXPECT_EQ(verdict.line, 10);
}

TEST(Arrivals, a_segment_without_an_acknowledgement_number_has_an_old_one) {
  expect(kLinuxOpen + "+0 < . 1:1001(1000) win 30000\n+0 > . 1:1(0) ack 1001\n", Result::pass);
}

TEST(Arrivals, a_digest_and_a_reserved_bit_are_passed_over) {
  const std::string digest = "<nop,nop,md5 00112233445566778899aabbccddeeff>";
  expect(kLinuxOpen + "+0 < P. 1:11(10) ack 1 win 30000 " + digest + "\n+0 > . 1:1(0) ack 11\n", Result::pass);
  expect(kLinuxOpen + "+0 < PA. 1:11(10) ack 1 win 30000\n+0 > . 1:1(0) ack 11\n", Result::pass);
  expect(kLinuxOpen + "+0 > P. 1:11(10) ack 1 " + digest + "\n", Result::unsupported, "MD5");
  expect(kLinuxOpen + "+0 > A. 1:1(0) ack 1\n", Result::unsupported, "ECN");
  expect(kLinuxOpen + "+0 < . 1:1(0) ack 1 win 9 <md5 0011>\n", Result::unsupported, "32 hex digits");
}

TEST(Arrivals, a_new_connection_has_a_new_first_number) {
  expect(kBare + R"(
+0 < S 0:0(0) win 30000 <mss 1000>
+0 > S. 0:0(0) ack 1 <...>
+0 < R 1:1(0) win 0
+0.01 < S 0:0(0) win 30000 <mss 1000>
+0 > S. 0:0(0) ack 1 <...>
)",
         Result::pass);
}

TEST(Arrivals, a_listener_drops_what_acknowledges_nothing) {
  const std::string syn = "+0 < S 0:0(0) win 30000 <mss 1000>\n+0 > S. 0:0(0) ack 1 <...>\n";
  expect(kBare + "+0 < - 0:0(0) win 9\n" + syn, Result::pass);
  expect(kBare + "+0 < F 0:0(0) win 9\n" + syn, Result::pass);
  expect(kBare + "+0 < . 7:7(0) ack 5 win 9\n+0 > R 5:5(0)\n" + syn, Result::pass);
}

TEST(Arrivals, a_listener_that_closes_forgets_what_is_half_open) {
  expect(kBare + R"(
+0 < S 0:0(0) win 30000 <mss 1000>
+0 > S. 0:0(0) ack 1 <...>
+0.1 close(3) = 0
+0.1 < . 1:1(0) ack 1 win 9
+0 > R 1:1(0)
)",
         Result::pass);
}

TEST(Icmp, types_and_codes_by_number) {
  const std::string connect =
      "`./defaults.sh`\n0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"
      "+0 fcntl(3, F_SETFL, O_NONBLOCK) = 0\n"
      "+0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)\n"
      "+0 > S 0:0(0) <...>\n";
  const std::string refused = "+0 getsockopt(3, SOL_SOCKET, SO_ERROR, [ECONNREFUSED], [4]) = 0\n";
  const std::string fine = "+0 getsockopt(3, SOL_SOCKET, SO_ERROR, [0], [4]) = 0\n";
  expect("--ip_version=ipv4\n" + connect + "+0 < icmp type_3 code_3\n" + refused, Result::pass);
  expect("--ip_version=ipv4\n" + connect + "+0 < icmp type_3 code_1\n" + fine, Result::pass);
  expect("--ip_version=ipv4\n" + connect + "+0 < icmp type_200 code_3\n" + fine, Result::pass);
  expect("--ip_version=ipv4\n" + connect + "+0 < icmp echo_reply\n" + fine, Result::pass);
  expect("--ip_version=ipv6\n" + connect + "+0 < icmp type_1 code_4\n" + refused, Result::pass);
  expect("--ip_version=ipv6\n" + connect + "+0 < icmp parameter_problem unknown_next_header\n" +
             "+0 getsockopt(3, SOL_SOCKET, SO_ERROR, [EPROTO], [4]) = 0\n",
         Result::pass);
}

TEST(Sockets, a_segment_size_by_option) {
  const std::string open = "`./defaults.sh`" + kBare + "+0 setsockopt(3, SOL_TCP, TCP_MAXSEG, [700], 4) = 0\n" +
                           "+0 < S 0:0(0) win 30000 <mss 1000>\n";
  expect(open + "+0 > S. 0:0(0) ack 1 <mss 700>\n+0 < . 1:1(0) ack 1 win 30000\n+0 accept(3, ..., ...) = 4\n" +
             "+0 getsockopt(4, SOL_TCP, TCP_MAXSEG, [700], [4]) = 0\n",
         Result::pass);
  expect("`./defaults.sh`" + kBare + "+0 getsockopt(3, SOL_TCP, TCP_MAXSEG, [536], [4]) = 0\n", Result::pass);
}

TEST(Sockets, statements_may_name_values) {
  expect(kLinuxOpen + "+0 %{ TEN = 5 * 2 }%\n+0 %{ assert tcpi_snd_cwnd == TEN, tcpi_snd_cwnd }%\n", Result::pass);
  expect(kLinuxOpen + "+0 %{ TEN = 11 }%\n+0 %{ assert tcpi_snd_cwnd == TEN }%\n", Result::fail, "tcpi_snd_cwnd is 10");
  expect(kLinuxOpen + "+0 %{ TEN == 10 }%\n", Result::unsupported, "statement");
}

}  // namespace
}  // namespace penstock::script
