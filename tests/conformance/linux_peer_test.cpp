// Our TCP against the kernel's, over a TUN device in a network namespace of the test's own: real time, real peer.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/socket.h>

#include <cstdlib>

#include "tests/conformance/tun_echo.h"

namespace penstock::conformance {
namespace {

Fd connected(bool v4) {
  Fd fd{::socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM, 0)};
  const timeval limit{20, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  sockaddr_storage storage{};
  socklen_t length;
  if (v4) {
    auto* address = reinterpret_cast<sockaddr_in*>(&storage);
    *address = {.sin_family = AF_INET, .sin_port = htons(7), .sin_addr = {}, .sin_zero = {}};
    ::inet_pton(AF_INET, "10.9.0.2", &address->sin_addr);
    length = sizeof *address;
  } else {
    auto* address = reinterpret_cast<sockaddr_in6*>(&storage);
    address->sin6_family = AF_INET6;
    address->sin6_port = htons(7);
    ::inet_pton(AF_INET6, "fd99::2", &address->sin6_addr);
    length = sizeof *address;
  }
  return ::connect(fd.get(), reinterpret_cast<sockaddr*>(&storage), length) == 0 ? std::move(fd) : Fd{};
}

/// Sends `sent`, half-closes, and returns what comes back until the end of the stream.
std::vector<std::byte> echoed(const Fd& fd, const std::vector<std::byte>& sent) {
  std::thread writer{[&] {
    for (std::size_t at = 0; at < sent.size();) {
      const ssize_t octets = ::send(fd.get(), sent.data() + at, sent.size() - at, MSG_NOSIGNAL);
      if (octets <= 0) return;
      at += static_cast<std::size_t>(octets);
    }
    ::shutdown(fd.get(), SHUT_WR);
  }};
  std::vector<std::byte> out;
  std::vector<std::byte> piece(65536);
  for (ssize_t octets = 0; (octets = ::recv(fd.get(), piece.data(), piece.size(), 0)) > 0;)
    out.insert(out.end(), piece.begin(), piece.begin() + octets);
  writer.join();
  return out;
}

class LinuxPeer : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  void SetUp() override {
    if (::unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "needs CAP_SYS_ADMIN";
    host = std::make_unique<TunEcho>("tun0", GetParam());
    if (!host->ok()) GTEST_SKIP() << "needs /dev/net/tun";
    ASSERT_EQ(std::system("ip addr add 10.9.0.1/24 dev tun0 && ip addr add fd99::1/64 dev tun0 nodad && "
                          "ip link set tun0 up"),
              0);
    host->start();
  }
  std::unique_ptr<TunEcho> host;
};

TEST_P(LinuxPeer, every_octet_comes_back_over_both_families) {
  test::Seeded random{GetParam() + 1};
  for (const bool v4 : {true, false}) {
    for (const std::size_t octets : {std::size_t{1}, std::size_t{100'000}, std::size_t{3'000'000}}) {
      const Fd fd = connected(v4);
      ASSERT_TRUE(fd) << "connect failed";
      const std::vector<std::byte> sent = random.bytes(octets);
      ASSERT_TRUE(echoed(fd, sent) == sent) << octets << " octets, IPv" << (v4 ? 4 : 6);
    }
  }
  for (int i = 0; i < 50 && GetParam() == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds{10});
  host->stop();
  EXPECT_EQ(host->failure(), "");
  if (GetParam() == 0) {
    EXPECT_EQ(host->open_connections(), 0u);
    EXPECT_EQ(host->counters().options_malformed + host->counters().ack_invalid + host->counters().paws_rejected, 0u);
  } else {
    EXPECT_GT(host->counters().retransmitted, 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(lossless_and_2_and_5_percent_each_way, LinuxPeer, ::testing::Values(0u, 20u, 50u));

}  // namespace
}  // namespace penstock::conformance
