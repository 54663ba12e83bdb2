// The runner itself: what must pass, what must fail, and what must be called unsupported; never one for another.
#include "tests/conformance/runner/runner.h"

#include <gtest/gtest.h>

namespace penstock::script {
namespace {

const std::string kOpen = R"(//@ profile=penstock
 0    socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0    bind(3, ..., ...) = 0
+0    listen(3, 1) = 0
+0    < S 0:0(0) win 30000 <mss 1000>
+0    > S. 0:0(0) ack 1 win 65535 <mss 1460>
+0.01 < . 1:1(0) ack 1 win 30000
+0    accept(3, ..., ...) = 4
)";

FamilyVerdict run_one(const std::string& text, const Invocation& invocation = {}) {
  const std::vector<FamilyVerdict> all = run_text(text, invocation);
  EXPECT_FALSE(all.empty());
  return all.empty() ? FamilyVerdict{} : all.front();
}

void expect_pass(const std::string& rest) {
  for (const FamilyVerdict& one : run_text(kOpen + rest, {}))
    EXPECT_EQ(one.verdict.result, Result::pass) << rest << "\n" << one.verdict.reason;
}
void expect_fail(const std::string& rest, const std::string& why) {
  const std::vector<FamilyVerdict> all = run_text(kOpen + rest, {});
  EXPECT_EQ(all.size(), 2u);
  for (const FamilyVerdict& one : all) {
    EXPECT_EQ(one.verdict.result, Result::fail) << rest;
    EXPECT_NE(one.verdict.reason.find(why), std::string::npos) << one.verdict.reason;
  }
}
void expect_unsupported(const std::string& rest, const std::string& why) {
  const Verdict verdict = run_one(kOpen + rest).verdict;
  EXPECT_EQ(verdict.result, Result::unsupported) << rest << "\n" << verdict.reason;
  EXPECT_NE(verdict.reason.find(why), std::string::npos) << verdict.reason;
}

TEST(Runner, a_right_script_passes_in_both_families) {
  expect_pass("");
  expect_pass("+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1\n");
  expect_pass("+0 write(4, ..., 2500) = 2500\n+0 > P. 1:2501(2500) ack 1\n");  // three segments as one burst
  expect_pass("+0 write(4, ..., 10) = 10\n* > P. 1:11(10) ack 1\n* > P. 1:11(10) ack 1\n");
  expect_pass("+0 < P. 1:11(10) ack 1 win 30000\n+0.01~+0.05 > . 1:1(0) ack 11 <...>\n");
}

TEST(Runner, every_field_of_a_packet_is_compared) {
  const std::string write = "+0 write(4, ..., 10) = 10\n";
  expect_fail(write + "+0 > . 1:11(10) ack 1\n", "flags: expected . 1:11(10) ack 1, came P. 1:11(10) ack 1");
  expect_fail(write + "+0 > P. 2:12(10) ack 1\n", "sequence number");
  expect_fail(write + "+0 > P. 1:12(11) ack 1\n", "length");
  expect_fail(write + "+0 > P. 1:11(10) ack 2\n", "acknowledgement number");
  expect_fail(write + "+0 > P. 1:11(10) ack 1 win 1\n", "window");
  expect_fail(write + "+0 > P. 1:11(10) ack 1 <nop,nop,TS val 1 ecr 1>\n", "options");
  expect_fail(write + "+0.1 > P. 1:11(10) ack 1\n",
              "time: expected P. 1:11(10) ack 1 at 0.110000 s, came at 0.010000 s");
}

TEST(Runner, what_does_not_come_and_what_comes_too_much_fails) {
  expect_fail("+0 > . 1:1(0) ack 1\n", "expected . 1:1(0) ack 1 until 0.014000 s, nothing came");
  expect_fail("+0 write(4, ..., 10) = 10\n", "the script ends, but P. 1:11(10) ack 1 win 65535 had left");
  expect_fail("* > . 1:1(0) ack 1\n", "nothing came");
}

TEST(Runner, results_of_calls_are_compared) {
  expect_fail("+0 read(4, ..., 10) = 10\n", "read() blocks and nothing will wake it");
  expect_fail("+0 fcntl(4, F_SETFL, O_NONBLOCK) = 0\n+0 read(4, ..., 10) = 0\n", "expected 0, came -1 EAGAIN");
  expect_fail("+0 close(9) = -1 EINVAL\n", "expected -1 EINVAL, came -1 EBADF");
  expect_fail("+0 getsockopt(4, SOL_SOCKET, SO_ERROR, [ECONNRESET], [4]) = 0\n", "SO_ERROR is 0");
  expect_fail("+0 getsockopt(4, IPPROTO_TCP, TCP_NODELAY, [1], [4]) = 0\n", "TCP_NODELAY is 0");
  expect_fail("+0 ioctl(4, SIOCINQ, [7]) = 0\n", "SIOCINQ is 0");
  expect_fail("+0 poll([{fd=4, events=POLLOUT, revents=POLLIN}], 1, 0) = 1\n", "revents are 4, not 1");
  expect_fail("+0 accept(3, ..., ...) = 5\n", "accept() blocks");
}

TEST(Runner, a_call_that_blocks_must_return_when_the_script_says) {
  const std::string data = "+0.1 < P. 1:11(10) ack 1 win 30000\n+0.04 > . 1:1(0) ack 11\n";
  expect_pass("+0...0.1 read(4, ..., 10) = 10\n" + data);
  expect_fail("+0...0.2 read(4, ..., 10) = 10\n" + data, "read() returns at 0.110000 s, expected at 0.210000 s");
  expect_fail("+0...0.1 read(4, ..., 10) = 11\n" + data, "expected 11, came 10");
  expect_fail("+0...0.1 read(4, ..., 10) = 10\n", "still blocks at the end");
}

TEST(Runner, statements_are_checked) {
  expect_pass("+0 %{ assert tcpi_state == TCP_ESTABLISHED and (tcpi_unacked < 1 or False), tcpi_state }%\n");
  expect_pass(
      "+0 %{\nassert tcpi_snd_mss * 2 == 2000  # comment\nassert 0 <= tcpi_lost <= 0; assert not tcpi_lost\n}%\n");
  expect_fail("+0 %{ assert tcpi_state == TCP_LISTEN, tcpi_state }%\n", "does not hold: tcpi_state is 1");
  expect_unsupported("+0 %{ assert tcpi_unheard_of == 1 }%\n", "no value for 'tcpi_unheard_of'");
  expect_unsupported("+0 %{ if tcpi_state == 1: print(1) }%\n", "statement");
  expect_unsupported("+0 %{ assert 1 / 0 }%\n", "division by zero");
}

TEST(Runner, what_is_not_known_is_unsupported) {
  expect_unsupported("+0 > . 1:1(0) ack 1 <FOC aabb>\n", "TCP option 'FOC'");
  expect_unsupported("+0 > . 1:1(0) ack 1 <FO aabb>\n", "fast open is expected");
  expect_unsupported("+0 sendfile(4, 5, ..., 10) = 10\n", "sendfile() of no file");
  expect_unsupported("+0 splice(4, NULL, 6, NULL, 99, 0) = 99\n", "call splice()");
  expect_unsupported("+0 `tc qdisc add dev tun0 root netem loss 1%`\n", "a shell block with 'netem'");
  expect_unsupported(
      "+0 recvmsg(4, {msg_name(...)=..., msg_iov(1)=[{..., 10}], msg_flags=0, msg_control=[{cmsg_type=SCM_RIGHTS}]}, "
      "0) = 0\n",
      "this message header");
  expect_unsupported("+0 setsockopt(4, SOL_TCP, TCP_MD5SIG, [1], 4) = 0\n", "socket option TCP_MD5SIG");
  expect_unsupported("+0 send(4, ..., 10, MSG_OOB) = 10\n", "send() with MSG_OOB");
  expect_unsupported("+0 > PE. 1:11(10) ack 1\n", "ECN is expected");
  expect_unsupported("+0 > [tos 0x10] . 1:1(0) ack 1\n", "IP header field [tos 0x10]");
  expect_unsupported("+0 < udp (10)\n", "a packet of udp");
  expect_unsupported("+0 < icmp unreachable unheard_of\n", "ICMP unreachable unheard_of");
}

TEST(Runner, what_is_held_back_leaves_when_it_may) {
  const std::string cork = "+0 setsockopt(4, SOL_TCP, TCP_CORK, [1], 4) = 0\n+0 write(4, ..., 1500) = 1500\n";
  expect_pass(cork + "+0 > P. 1:1001(1000) ack 1\n+0.05 setsockopt(4, SOL_TCP, TCP_CORK, [0], 4) = 0\n" +
              "+0 > P. 1001:1501(500) ack 1\n");
  expect_pass("+0 setsockopt(4, SOL_TCP, TCP_CORK, [1], 4) = 0\n+0 write(4, ..., 40) = 40\n+0.2 > P. 1:41(40) ack 1\n");
  expect_fail(cork + "+0 > P. 1:1501(1500) ack 1\n", "came P. 1:1001(1000)");
  const std::string more = "+0 send(4, ..., 40, MSG_MORE) = 40\n";
  expect_pass(more + "+0.05 write(4, ..., 10) = 10\n+0 > P. 1:51(50) ack 1\n");
  expect_pass(more + "+0.05 < . 1:1(0) ack 1 win 30000\n+0 > P. 1:41(40) ack 1\n");
  expect_fail(more + "+0 > P. 1:41(40) ack 1\n", "nothing came");
}

TEST(Runner, a_record_is_not_joined_with_what_follows) {
  const std::string full = "+0 write(4, ..., 10400) = 10400\n+0 send(4, ..., 300, MSG_EOR) = 300\n";
  const std::string rest =
      "+0 write(4, ..., 100) = 100\n+0 > . 1:10001(10000) ack 1\n+0.01 < . 1:1(0) ack 10001 win 30000\n";
  expect_pass(full + rest + "+0 > . 10001:10701(700) ack 1\n+0 > P. 10701:10801(100) ack 1\n");
  const std::string plain = "+0 write(4, ..., 10400) = 10400\n+0 send(4, ..., 300, 0) = 300\n";
  expect_fail(plain + rest + "+0 > . 10001:10701(700) ack 1\n", "came P. 10001:10801(800)");
}

TEST(Runner, calls_that_move_payload) {
  const std::string data = "+0.1 < P. 1:11(10) ack 1 win 30000\n+0.04 > . 1:1(0) ack 11\n";
  const auto receive = [](int left) {
    return "+0 recvmsg(4, {msg_name(...)=..., msg_iov(1)=[{..., 4}], msg_flags=0, msg_control=[{cmsg_level=SOL_TCP, "
           "cmsg_type=TCP_CM_INQ, cmsg_data=" +
           std::to_string(left) + "}]}, 0) = 4\n";
  };
  expect_pass(data + receive(6));
  expect_fail(data + receive(7), "TCP_CM_INQ is 6");
  expect_pass("+0 open(\"zeros\", O_RDONLY) = 5\n+0 sendfile(4, 5, [0], 10) = 10\n+0 > P. 1:11(10) ack 1\n");
  expect_pass("+0 write(4, NULL, 10) = -1 EFAULT (Bad address)\n" + data +
              "+0 read(4, NULL, 10) = -1 EFAULT (Bad address)\n");
}

std::string linux_open(const std::string& rest) {
  std::string text = kOpen + rest;
  return "//@ profile=linux adopt_syn=0 window_shift=0 receive_budget=65535\n" + text.substr(text.find('\n') + 1);
}

TEST(Runner, where_stacks_may_differ_a_difference_is_no_verdict) {
  const std::string data = "+0 < P. 1:11(10) ack 1 win 30000\n";
  EXPECT_EQ(run_one(linux_open(data + "+0 > . 1:1(0) ack 11 win 500\n")).verdict.result, Result::unsupported);
  EXPECT_EQ(run_one(linux_open(data + "+0 > . 1:1(0) ack 11 win 0\n")).verdict.result, Result::fail);
  EXPECT_EQ(run_one(linux_open(data + "+0 > . 1:1(0) ack 12\n")).verdict.result, Result::fail);
  const std::string unsent = "+0 < . 1:1(0) ack 9999 win 30000\n" + data;
  const Verdict spare = run_one(linux_open(unsent + "+0 > . 1:1(0) ack 11\n")).verdict;
  EXPECT_EQ(spare.result, Result::pass) << spare.reason;
  EXPECT_EQ(run_one(linux_open(unsent + "+0 > . 1:1(0) ack 12\n")).verdict.result, Result::fail);
  const std::string beyond = "+0 < P. 1:65001(65000) ack 1 win 30000\n+0 < P. 65001:66001(1000) ack 1 win 30000\n";
  const Verdict verdict = run_one(linux_open(beyond + "* > . 1:1(0) ack 66001\n")).verdict;
  EXPECT_EQ(verdict.result, Result::unsupported) << verdict.reason;
}

TEST(Runner, what_cannot_be_read_is_unsupported) {
  expect_unsupported("+0 > P. 1:11(9) ack 1\n", "numbers and length do not agree");
  expect_unsupported("+0 write(4, ..., 10\n", "expected ','");
  expect_unsupported("+0 `never closed\n", "nothing closes");
  expect_unsupported("soon\n", "expected a time");
  expect_unsupported("#ifdef A\n", "#ifdef without #endif");
  EXPECT_EQ(run_one("").verdict.result, Result::unsupported);
  EXPECT_EQ(run_one("// nothing\n").verdict.result, Result::unsupported);
  EXPECT_EQ(run_one("//@ colour=red\n0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n").verdict.result,
            Result::unsupported);
  EXPECT_EQ(run_one("--so_filename=x\n0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n").verdict.result,
            Result::unsupported);
}

TEST(Runner, settings_that_ask_for_what_is_not_there_are_unsupported) {
  expect_unsupported("+0 `sysctl -w net.inet.tcp.insecure_rst=1`\n", "insecure_rst=1");
  expect_pass("+0 `sysctl -w net.inet.tcp.insecure_rst=0`\n");
}

TEST(Runner, flags_of_the_command_line_win) {
  EXPECT_EQ(run_one(kOpen, {.profile = "auto", .changes = {{"window_shift", "5"}, {"mtu", "1400"}}}).verdict.result,
            Result::fail);
  const std::vector<FamilyVerdict> six = run_text(kOpen, {.profile = "auto", .changes = {{"ip-version", "6"}}});
  ASSERT_EQ(six.size(), 1u);
  EXPECT_FALSE(six[0].v4);
}

TEST(Runner, profiles_say_what_is_compared) {
  // BSD's order of options: fine for its profile, not for ours.
  const std::string connect =
      "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 fcntl(3, F_SETFL, O_NONBLOCK) = 0\n"
      "+0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)\n"
      "+0 > S 0:0(0) win 65535 <mss 1460,nop,wscale 6,sackOK,TS val 100 ecr 0>\n";
  EXPECT_EQ(run_one("//@ profile=freebsd\n" + connect).verdict.result, Result::pass);
  EXPECT_EQ(run_one(connect).verdict.result, Result::pass) << "guessed";
  EXPECT_EQ(run_one("//@ profile=penstock window_shift=6\n" + connect).verdict.result, Result::fail);
  EXPECT_EQ(run_one("//@ profile=penstock\n" + connect).verdict.result, Result::fail);
}

TEST(Runner, a_connection_may_be_dissolved_and_the_socket_used_again) {
  const std::string gone = "+0 connect(4, AF_UNSPEC, ...) = 0\n+0 > R. 1:1(0) ack 1 win 0\n";
  expect_pass(gone + "+0 %{ assert tcpi_state == TCP_CLOSE }%\n+0 write(4, ..., 1) = -1 EPIPE\n");
  expect_pass(gone + "+0 fcntl(4, F_SETFL, O_NONBLOCK) = 0\n+0 connect(4, ..., ...) = -1 EINPROGRESS\n" +
              "+0 > S 0:0(0) win 65535 <...>\n+0 < S. 0:0(0) ack 1 win 30000 <mss 1000>\n" +
              "+0 > . 1:1(0) ack 1 win 65535\n+0 %{ assert tcpi_state == TCP_ESTABLISHED }%\n");
  expect_fail("+0 connect(4, AF_UNSPEC, ...) = 0\n+0 > F. 1:1(0) ack 1\n", "flags");
}

TEST(Runner, numbers_count_from_the_syn_that_opened) {
  const std::string opens =
      "//@ profile=penstock\n0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 fcntl(3, F_SETFL, O_NONBLOCK) = 0\n"
      "+0 connect(3, ..., ...) = -1 EINPROGRESS\n+0 > S 0:0(0) <...>\n"
      "+0 < S. 123:123(0) ack 1 win 30000 <mss 1000,sackOK,nop,nop>\n+0 > . 1:1(0) ack 1 win 65535\n"
      "+0 < . 11:21(10) ack 1 win 30000\n";
  EXPECT_EQ(run_one(opens + "+0 > . 1:1(0) ack 1 <nop,nop,sack 11:21>\n").verdict.result, Result::pass);
  EXPECT_EQ(run_one(opens + "+0 > . 1:1(0) ack 124 <nop,nop,sack 134:144>\n").verdict.result, Result::fail);
  expect_pass("+0 < S 500:500(0) win 30000\n+0 > . 1:1(0) ack 1 win 65535\n");  // a challenge opens nothing
  const std::string closed =
      "//@ profile=penstock\n0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bind(3, ..., ...) = 0\n";
  EXPECT_EQ(run_one(closed + "+0 < S 17:17(0) win 9\n+0 > R. 0:0(0) ack 18\n").verdict.result, Result::pass);
}

TEST(Runner, variants_are_tried_in_turn) {
  const std::string text = kOpen +
                           "#ifdef ONE\n+0 > . 7:7(0) ack 7\n#else\n+0 close(4) = 0\n#endif\n"
                           "#ifdef TWO\n+0 > F. 1:1(0) ack 1\n#endif\n";
  EXPECT_EQ(run_one(text).verdict.result, Result::pass);
}

TEST(Runner, the_same_script_gives_the_same_verdict) {
  const std::string text = kOpen + "+0 write(4, ..., 50000) = 50000\n+0 > . 1:1001(1000) ack 1\n+0 > . 9:9(0) ack 1\n";
  EXPECT_EQ(run_one(text).verdict.reason, run_one(text).verdict.reason);
}

}  // namespace
}  // namespace penstock::script
