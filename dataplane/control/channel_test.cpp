#include "dataplane/control/channel.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <csignal>
#include <fstream>

namespace penstock::control {
namespace {

using std::chrono::milliseconds;

std::string socket_path(const std::string& name) {
  return "/tmp/psk-channel-" + std::to_string(::getpid()) + "-" + name + ".sock";
}

v1::Envelope ack(std::uint64_t sequence, const std::string& error = "") {
  v1::Envelope envelope;
  envelope.set_sequence(sequence);
  envelope.mutable_ack()->set_error(error);
  return envelope;
}

TEST(Channel, carries_envelopes_and_descriptors_in_order_and_close_on_exec) {
  auto ends = Channel::pair();
  ASSERT_TRUE(ends);
  const Fd memory{::memfd_create("first", 0)};
  const Fd other{::memfd_create("second", 0)};
  ASSERT_EQ(::ftruncate(memory.get(), 4096), 0);
  ASSERT_EQ(::ftruncate(other.get(), 8192), 0);
  const std::array<int, 2> fds{memory.get(), other.get()};
  ASSERT_TRUE(ends->first.send(ack(7), fds));
  ASSERT_TRUE(ends->first.send(ack(8)));

  auto first = ends->second.receive();
  ASSERT_TRUE(first) << first.error().text();
  EXPECT_EQ(first->arrival, Arrival::message);
  EXPECT_EQ(first->envelope.sequence(), 7u);
  ASSERT_EQ(first->fds.size(), 2u);
  struct stat info {};
  ASSERT_EQ(::fstat(first->fds[0].get(), &info), 0);
  EXPECT_EQ(info.st_size, 4096);
  ASSERT_EQ(::fstat(first->fds[1].get(), &info), 0);
  EXPECT_EQ(info.st_size, 8192);
  EXPECT_NE(::fcntl(first->fds[0].get(), F_GETFD) & FD_CLOEXEC, 0);

  auto second = ends->second.receive();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->envelope.sequence(), 8u);
  EXPECT_TRUE(second->fds.empty());
}

TEST(Channel, non_blocking_receive_says_nothing_and_then_closed) {
  auto ends = Channel::pair();
  ASSERT_TRUE(ends);
  ends->second.set_blocking(false);
  auto nothing = ends->second.receive();
  ASSERT_TRUE(nothing);
  EXPECT_EQ(nothing->arrival, Arrival::nothing);
  auto waited = ends->second.receive_within(milliseconds{10});
  ASSERT_TRUE(waited);
  EXPECT_EQ(waited->arrival, Arrival::nothing);
  ends->first.close();
  auto closed = ends->second.receive_within(milliseconds{1000});
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->arrival, Arrival::closed);
}

TEST(Channel, send_to_a_closed_peer_is_a_problem_and_not_a_signal) {
  auto ends = Channel::pair();
  ASSERT_TRUE(ends);
  ASSERT_NE(std::signal(SIGPIPE, SIG_DFL), SIG_ERR);
  ends->second.close();
  auto sent = ends->first.send(ack(1));
  ASSERT_FALSE(sent);
  EXPECT_NE(sent.error().what.find("cannot send"), std::string::npos);
}

TEST(Channel, non_blocking_send_to_a_peer_that_does_not_read_is_a_problem) {
  auto ends = Channel::pair();
  ASSERT_TRUE(ends);
  ends->first.set_blocking(false);
  Status status = Done{};
  int sent = 0;
  while (status.ok() && sent < 10000) {
    status = ends->first.send(ack(1, std::string(30000, 'x')));
    sent += status.ok() ? 1 : 0;
  }
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().what.find("does not read"), std::string::npos);
  EXPECT_GT(sent, 0);
}

TEST(Channel, messages_above_the_limit_are_refused_on_both_sides) {
  auto ends = Channel::pair();
  ASSERT_TRUE(ends);
  EXPECT_FALSE(ends->first.send(ack(1, std::string(kChannelOctetsMax, 'x'))));
  EXPECT_TRUE(ends->first.send(ack(1, std::string(kChannelOctetsMax - 32, 'x'))));
  auto fits = ends->second.receive();
  ASSERT_TRUE(fits);
  EXPECT_EQ(fits->envelope.ack().error().size(), kChannelOctetsMax - 32);
  const std::string big(kChannelOctetsMax + 1, 'y');
  ASSERT_EQ(::send(ends->first.fd(), big.data(), big.size(), 0), static_cast<ssize_t>(big.size()));
  EXPECT_FALSE(ends->second.receive());
}

TEST(Channel, bytes_that_are_no_envelope_are_a_problem) {
  auto ends = Channel::pair();
  ASSERT_TRUE(ends);
  ASSERT_EQ(::send(ends->first.fd(), "\xff\xff\xff\xff", 4, 0), 4);
  auto received = ends->second.receive();
  ASSERT_FALSE(received);
  EXPECT_NE(received.error().what.find("not an Envelope"), std::string::npos);
}

TEST(ChannelListener, accepts_and_knows_its_peer) {
  const std::string path = socket_path("accept");
  auto listener = ChannelListener::listen(path, 0660);
  ASSERT_TRUE(listener) << listener.error().text();
  struct stat info {};
  ASSERT_EQ(::lstat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0660u);
  auto none = listener->accept();
  ASSERT_TRUE(none);
  EXPECT_FALSE(none->open());
  auto client = Channel::connect(path);
  ASSERT_TRUE(client) << client.error().text();
  auto server = listener->accept();
  ASSERT_TRUE(server);
  ASSERT_TRUE(server->open());
  EXPECT_EQ(server->peer().pid, ::getpid());
  EXPECT_EQ(server->peer().uid, ::getuid());
  ASSERT_TRUE(client->send(ack(3)));
  auto received = server->receive();
  ASSERT_TRUE(received);
  EXPECT_EQ(received->envelope.sequence(), 3u);
}

TEST(ChannelListener, replaces_a_stale_file_but_not_a_live_listener_and_not_a_plain_file) {
  const std::string path = socket_path("stale");
  {
    // What SIGKILL leaves: a bound file without a listener.
    const Fd dead{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
    struct {
      sa_family_t family = AF_UNIX;
      char path[108] = {};
    } address;
    path.copy(address.path, sizeof address.path - 1);
    ASSERT_EQ(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  {
    auto first = ChannelListener::listen(path, 0600);
    ASSERT_TRUE(first) << first.error().text();
    auto second = ChannelListener::listen(path, 0600);
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().what.find("another process listens"), std::string::npos);
    EXPECT_TRUE(Channel::connect(path));
  }
  EXPECT_NE(::access(path.c_str(), F_OK), 0) << "the listener leaves no file behind";
  std::ofstream{path} << "precious";
  EXPECT_FALSE(ChannelListener::listen(path, 0600));
  EXPECT_EQ(::access(path.c_str(), F_OK), 0);
  ::unlink(path.c_str());
}

TEST(ChannelListener, paths_that_do_not_fit_and_sockets_without_listener_are_problems) {
  EXPECT_FALSE(ChannelListener::listen(std::string(200, 'p'), 0600));
  EXPECT_FALSE(Channel::connect(std::string(200, 'p')));
  EXPECT_FALSE(Channel::connect(socket_path("nobody")));
}

}  // namespace
}  // namespace penstock::control
