#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <fstream>
#include <sstream>
#include <thread>

#include "bpf/abi/steer.h"
#include "dataplane/app/dataplane_test_support.h"

namespace penstock::app {
namespace {

TEST_F(DataplaneTest, a_daemon_is_greeted_with_everything_and_sigterm_ends_in_order) {
  ProcessLab process{kBinary, small({"--workers", "2"})};
  auto daemon = ControlClient::connect(process.socket_path());
  ASSERT_TRUE(daemon) << daemon.error().text();
  EXPECT_EQ(daemon->hello().protocol_major(), control::kProtocolMajor);
  EXPECT_EQ(daemon->hello().worker_count(), 2u);
  EXPECT_EQ(daemon->hello().pid(), static_cast<std::uint32_t>(process.pid()));
  EXPECT_FALSE(daemon->hello().hugepages());
  ASSERT_EQ(daemon->fds().size(), 1u + 4 * 2);
  auto segment = daemon->segment(true);
  ASSERT_TRUE(segment) << segment.error().text();
  EXPECT_EQ(segment->boot_epoch(), daemon->hello().boot_epoch());

  auto second = ControlClient::connect(process.socket_path());
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().what.find("another daemon"), std::string::npos);
  auto stranger = ControlClient::connect(process.socket_path(), false, control::kProtocolMajor + 1);
  ASSERT_FALSE(stranger);
  EXPECT_NE(stranger.error().what.find("protocol " +
                                       control::protocol_text(control::kProtocolMajor + 1, control::kProtocolMinor)),
            std::string::npos);
  auto old = ControlClient::connect(process.socket_path(), false, control::kProtocolMajor, 2);
  ASSERT_FALSE(old);
  EXPECT_NE(old.error().what.find("protocol 1.2"), std::string::npos);

  auto reader = ControlClient::connect(process.socket_path(), true);
  ASSERT_TRUE(reader) << reader.error().text();
  ASSERT_EQ(reader->fds().size(), 1u + 2 + 2);
  EXPECT_TRUE(reader->segment(false));
  EXPECT_FALSE(reader->segment(true)) << "a reader cannot write";
  EXPECT_TRUE(reader->state());
  Envelope shutdown;
  shutdown.mutable_shutdown()->set_reason("by a reader");
  EXPECT_FALSE(reader->call(shutdown));

  process.signal(SIGTERM);
  EXPECT_EQ(process.wait(milliseconds{5000}), 0);
  EXPECT_NE(::access(process.socket_path().c_str(), F_OK), 0) << "no socket file is left";
}

TEST_F(DataplaneTest, udp_of_a_service_reaches_its_endpoint_and_the_answer_comes_back) {
  auto& client = lab_.add_peer();
  auto& server = lab_.add_peer();
  route_service(client, server);
  ProcessLab process{kBinary, small()};
  auto daemon = ControlClient::connect(process.socket_path());
  ASSERT_TRUE(daemon) << daemon.error().text();
  const auto published = daemon->publish(udp_service(server.address, 5353), 7);
  ASSERT_TRUE(published) << published.error().text();
  const auto first = add(*daemon, 0, client);
  ASSERT_TRUE(first) << first.error().text();
  ASSERT_TRUE(add(*daemon, 1, server));
  const auto state = daemon->state();
  ASSERT_TRUE(state);
  EXPECT_EQ(state->epoch(), 7u);
  EXPECT_EQ(state->ports_size(), 2);
  ASSERT_EQ(state->next_hops_size(), 1);
  EXPECT_TRUE(state->next_hops(0).resolved());
  EXPECT_EQ(state->next_hops(0).port(), 1u);

  const Fd asks = lab_.udp_socket(client, 4000);
  const Fd serves = lab_.udp_socket(server, 5353);
  ASSERT_TRUE(send_to(asks, "10.99.0.1", 53, "question"));
  sockaddr_in from{};
  ASSERT_EQ(receive_within(serves, milliseconds{2000}, &from), "question");
  EXPECT_EQ(from.sin_addr.s_addr, socket_address("10.77.0.200", 0).sin_addr.s_addr) << "FullNAT by the node address";
  ASSERT_EQ(::sendto(serves.get(), "answer", 6, 0, reinterpret_cast<const sockaddr*>(&from), sizeof from), 6);
  EXPECT_EQ(receive_within(asks, milliseconds{2000}, &from), "answer");
  EXPECT_EQ(from.sin_addr.s_addr, socket_address("10.99.0.1", 0).sin_addr.s_addr) << "as if the service had answered";
  auto segment = daemon->segment(true);
  ASSERT_TRUE(segment);
  EXPECT_EQ(segment->counters(0).adopted_epoch.read(), 7u);
  EXPECT_EQ(segment->counters(0).flows_created.read(), 1u);
}

TEST_F(DataplaneTest, an_endpoint_behind_an_interface_that_is_no_port_is_not_resolved) {
  auto& client = lab_.add_peer();
  auto& server = lab_.add_peer(1, false);
  ASSERT_EQ(io::run_command("ip -n " + lab_.node() + " addr add 10.77.0.200/24 dev " + server.near), 0);
  ProcessLab process{kBinary, small()};
  auto daemon = ControlClient::connect(process.socket_path());
  ASSERT_TRUE(daemon);
  ASSERT_TRUE(daemon->publish(udp_service(server.address, 5353), 1));
  auto state = daemon->state();
  ASSERT_TRUE(state);
  ASSERT_EQ(state->next_hops_size(), 1);
  EXPECT_FALSE(state->next_hops(0).resolved()) << "no port of ours leads there";
  ASSERT_TRUE(add(*daemon, 0, client));
  EXPECT_FALSE(add(*daemon, 1, server)) << "it has no steering program";
  // The route leaves by an interface that is no port: still not resolved, however well the kernel knows it.
  state = daemon->state();
  ASSERT_TRUE(state);
  EXPECT_FALSE(state->next_hops(0).resolved());
  EXPECT_EQ(state->ports_size(), 1);
}

TEST_F(DataplaneTest, an_interface_that_vanishes_is_told_and_the_others_go_on) {
  auto& client = lab_.add_peer();
  auto& server = lab_.add_peer();
  auto& third = lab_.add_peer();
  route_service(client, server);
  ProcessLab process{kBinary, small()};
  auto daemon = ControlClient::connect(process.socket_path());
  ASSERT_TRUE(daemon);
  ASSERT_TRUE(daemon->publish(udp_service(server.address, 5353), 1));
  ASSERT_TRUE(add(*daemon, 0, client));
  ASSERT_TRUE(add(*daemon, 1, server));
  ASSERT_TRUE(add(*daemon, 9, third));
  lab_.delete_near(third);
  const auto event = daemon->event_within(milliseconds{3000});
  ASSERT_TRUE(event) << event.error().text();
  ASSERT_TRUE(event->has_port_event());
  EXPECT_EQ(event->port_event().index(), 9u);
  EXPECT_TRUE(event->port_event().gone());
  const Fd asks = lab_.udp_socket(client, 4000);
  const Fd serves = lab_.udp_socket(server, 5353);
  ASSERT_TRUE(send_to(asks, "10.99.0.1", 53, "still here"));
  EXPECT_EQ(receive_within(serves, milliseconds{2000}), "still here");
  Envelope remove;
  remove.mutable_remove_port()->set_index(9);
  EXPECT_FALSE(daemon->call(remove)) << "it is gone already";
  remove.mutable_remove_port()->set_index(0);
  EXPECT_TRUE(daemon->call(remove));
}

TEST_F(DataplaneTest, a_killed_process_leaves_nothing_in_the_way_and_its_flows_are_restored) {
  auto& client = lab_.add_peer();
  auto& server = lab_.add_peer();
  route_service(client, server);
  const Fd asks = lab_.udp_socket(client, 4000);
  const Fd serves = lab_.udp_socket(server, 5353);
  ProcessLab first{kBinary, small()};
  first.keep_directory();
  auto daemon = ControlClient::connect(first.socket_path());
  ASSERT_TRUE(daemon);
  ASSERT_TRUE(daemon->publish(udp_service(server.address, 5353), 1));
  ASSERT_TRUE(add(*daemon, 0, client));
  ASSERT_TRUE(add(*daemon, 1, server));
  ASSERT_TRUE(send_to(asks, "10.99.0.1", 53, "one"));
  sockaddr_in before{};
  ASSERT_EQ(receive_within(serves, milliseconds{2000}, &before), "one");
  const Fd arena{::dup(daemon->fds()[3].get())};
  first.signal(SIGKILL);
  EXPECT_EQ(first.wait(milliseconds{5000}), 128 + SIGKILL);
  EXPECT_EQ(::access(first.socket_path().c_str(), F_OK), 0) << "the stale socket is still there";

  ProcessLab second{kBinary, small(), first.directory()};
  auto again = ControlClient::connect(second.socket_path());
  ASSERT_TRUE(again) << again.error().text();
  Envelope restore;
  restore.mutable_restore_flows()->set_arenas(1);
  const int fd = arena.get();
  const auto restored = again->call(restore, {&fd, 1});
  ASSERT_TRUE(restored) << restored.error().text();
  ASSERT_TRUE(again->publish(udp_service(server.address, 5353), 2));
  const auto port = add(*again, 0, client);
  ASSERT_TRUE(port) << port.error().text();
  ASSERT_TRUE(add(*again, 1, server));
  auto segment = again->segment(true);
  ASSERT_TRUE(segment);
  EXPECT_EQ(segment->counters(0).flows_restored.read(), 1u);
  EXPECT_FALSE(again->call(restore, {&fd, 1})) << "too late";
  // An answer to the old flow still finds its way, and the client keeps its source port.
  ASSERT_EQ(::sendto(serves.get(), "late", 4, 0, reinterpret_cast<const sockaddr*>(&before), sizeof before), 4);
  EXPECT_EQ(receive_within(asks, milliseconds{2000}), "late");
  ASSERT_TRUE(send_to(asks, "10.99.0.1", 53, "two"));
  sockaddr_in after{};
  ASSERT_EQ(receive_within(serves, milliseconds{2000}, &after), "two");
  EXPECT_EQ(after.sin_port, before.sin_port);
}

TEST_F(DataplaneTest, heartbeats_are_written_while_idle) {
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
  const Fd map{bpf_map_create(BPF_MAP_TYPE_ARRAY, "steer_heartbeat", 4, sizeof(penstock_heartbeat), PENSTOCK_WORKER_MAX,
                              &options)};
  ASSERT_TRUE(static_cast<bool>(map));
  ProcessLab process{kBinary, small({"--workers", "2"})};
  auto daemon = ControlClient::connect(process.socket_path());
  ASSERT_TRUE(daemon);
  Envelope envelope;
  envelope.mutable_heartbeats()->set_interval_ms(25);
  const int fd = map.get();
  ASSERT_TRUE(daemon->call(envelope, {&fd, 1}));
  EXPECT_TRUE(daemon->call(envelope, {&fd, 1})) << "a restarted daemon brings the same map";
  std::this_thread::sleep_for(milliseconds{200});
  for (std::uint32_t worker = 0; worker < 2; ++worker) {
    penstock_heartbeat beat{};
    ASSERT_EQ(bpf_map_lookup_elem(map.get(), &worker, &beat), 0);
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const auto now_ns =
        static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(now.tv_nsec);
    EXPECT_LT(now_ns - beat.beat_ns, 150'000'000u) << "worker " << worker;
  }
  Envelope bad;
  bad.mutable_heartbeats();
  EXPECT_FALSE(daemon->call(bad)) << "no map";
}

TEST_F(DataplaneTest, an_idle_process_costs_next_to_nothing) {
  auto& client = lab_.add_peer();
  ProcessLab process{kBinary, small()};
  auto daemon = ControlClient::connect(process.socket_path());
  ASSERT_TRUE(daemon);
  ASSERT_TRUE(add(*daemon, 0, client));
  std::this_thread::sleep_for(milliseconds{500});
  const auto cpu_ticks = [&] {
    std::ifstream file{"/proc/" + std::to_string(process.pid()) + "/stat"};
    std::string line;
    std::getline(file, line);
    std::istringstream fields{line.substr(line.rfind(')') + 2)};
    std::string field;
    long total = 0;
    for (int i = 3; fields >> field && i <= 15; ++i)
      if (i == 14 || i == 15) total += std::stol(field);
    return total;
  };
  const long before = cpu_ticks();
  std::this_thread::sleep_for(milliseconds{2000});
  const double share = static_cast<double>(cpu_ticks() - before) / static_cast<double>(::sysconf(_SC_CLK_TCK)) / 2.0;
  std::printf("idle: %.1f %% of a core\n", share * 100);
  EXPECT_LT(share, 0.05);
}

TEST_F(DataplaneTest, a_snapshot_that_is_not_sealed_or_not_valid_changes_nothing) {
  ProcessLab process{kBinary, small()};
  auto daemon = ControlClient::connect(process.socket_path());
  ASSERT_TRUE(daemon);
  ASSERT_TRUE(daemon->publish(udp_service("10.77.0.2", 53), 3));
  Envelope envelope;
  envelope.mutable_publish_snapshot()->set_epoch(4);
  envelope.mutable_publish_snapshot()->set_octets(4096);
  const Fd open_memory{::memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  ASSERT_EQ(::ftruncate(open_memory.get(), 4096), 0);
  int fd = open_memory.get();
  auto status = daemon->call(envelope, {&fd, 1});
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().what.find("not sealed"), std::string::npos) << status.error().text();
  ASSERT_EQ(::fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW), 0);
  status = daemon->call(envelope, {&fd, 1});
  ASSERT_FALSE(status) << "zeros are no snapshot";
  EXPECT_FALSE(daemon->call(envelope)) << "no memory at all";
  const auto state = daemon->state();
  ASSERT_TRUE(state);
  EXPECT_EQ(state->epoch(), 3u);
}

TEST_F(DataplaneTest, everything_wrong_with_the_arguments_is_listed_at_once) {
  const std::string output = "/tmp/psk-D" + std::to_string(::getpid()) + "-start.txt";
  const int status = io::run_command(std::string{kBinary} +
                                     " --control-socket /nonexistent/dp.sock --workers 2 --cpus 0 --buffers 10 "
                                     "--flows 1 2> " +
                                     output);
  EXPECT_EQ(WEXITSTATUS(status), 1);
  std::ifstream file{output};
  const std::string text{std::istreambuf_iterator<char>{file}, {}};
  ::unlink(output.c_str());
  for (const char* part : {"--cpus", "buffers", "--flows", "/nonexistent/dp.sock"})
    EXPECT_NE(text.find(part), std::string::npos) << part << " in:\n" << text;
  EXPECT_EQ(WEXITSTATUS(io::run_command(std::string{kBinary} + " --nonsense 2> /dev/null")), 2);
}

TEST_F(DataplaneTest, two_workers_with_two_queues_serve_every_flow_wherever_it_arrives) {
  auto& client = lab_.add_peer(2);
  auto& server = lab_.add_peer();
  route_service(client, server);
  ProcessLab process{kBinary, small({"--workers", "2"})};
  auto daemon = ControlClient::connect(process.socket_path());
  ASSERT_TRUE(daemon);
  ASSERT_TRUE(daemon->publish(udp_service(server.address, 5353), 1));
  ASSERT_TRUE(add(*daemon, 0, client, 2));
  ASSERT_TRUE(add(*daemon, 1, server, 1)) << "and one port that only worker 0 can send by";
  const Fd serves = lab_.udp_socket(server, 5353);
  for (std::uint16_t port = 4000; port < 4020; ++port) {
    const Fd asks = lab_.udp_socket(client, port);
    const std::string text = "from " + std::to_string(port);
    ASSERT_TRUE(send_to(asks, "10.99.0.1", 53, text));
    sockaddr_in from{};
    ASSERT_EQ(receive_within(serves, milliseconds{2000}, &from), text);
    ASSERT_EQ(
        ::sendto(serves.get(), text.data(), text.size(), 0, reinterpret_cast<const sockaddr*>(&from), sizeof from),
        static_cast<ssize_t>(text.size()));
    ASSERT_EQ(receive_within(asks, milliseconds{2000}), text);
  }
  auto segment = daemon->segment(true);
  ASSERT_TRUE(segment);
  EXPECT_EQ(segment->counters(0).flows_created.read() + segment->counters(1).flows_created.read(), 20u);
  EXPECT_GT(segment->counters(0).flows_created.read(), 0u);
  EXPECT_GT(segment->counters(1).flows_created.read(), 0u);
}

TEST_F(DataplaneTest, traffic_goes_on_while_the_daemon_is_away_and_a_new_one_finds_everything) {
  auto& client = lab_.add_peer();
  auto& server = lab_.add_peer();
  route_service(client, server);
  ProcessLab process{kBinary, small()};
  {
    auto daemon = ControlClient::connect(process.socket_path());
    ASSERT_TRUE(daemon);
    ASSERT_TRUE(daemon->publish(udp_service(server.address, 5353), 5));
    ASSERT_TRUE(add(*daemon, 0, client));
    ASSERT_TRUE(add(*daemon, 1, server));
  }
  const Fd asks = lab_.udp_socket(client, 4000);
  const Fd serves = lab_.udp_socket(server, 5353);
  ASSERT_TRUE(send_to(asks, "10.99.0.1", 53, "alone"));
  EXPECT_EQ(receive_within(serves, milliseconds{2000}), "alone");
  auto successor = ControlClient::connect(process.socket_path());
  ASSERT_TRUE(successor) << successor.error().text();
  EXPECT_EQ(successor->hello().epoch(), 5u);
  EXPECT_NE(successor->hello().content_hash(), 0u);
  ASSERT_EQ(successor->hello().ports_size(), 2);
  EXPECT_EQ(successor->hello().ports(0).name(), client.near);
}

TEST_F(DataplaneTest, garbage_on_the_socket_ends_only_its_own_connection) {
  ProcessLab process{kBinary, small()};
  auto daemon = ControlClient::connect(process.socket_path());
  ASSERT_TRUE(daemon);
  for (int i = 0; i < 30; ++i) {
    auto stranger = control::Channel::connect(process.socket_path());
    ASSERT_TRUE(stranger);
    ASSERT_EQ(::send(stranger->fd(), "\xff\xfe\xfd", 3, MSG_NOSIGNAL), 3);
  }
  auto reader = ControlClient::connect(process.socket_path(), true);
  // While all the strangers are still to be looked at there is no room for more.
  for (int i = 0; !reader && i < 100; ++i) {
    std::this_thread::sleep_for(milliseconds{20});
    reader = ControlClient::connect(process.socket_path(), true);
  }
  ASSERT_TRUE(reader) << reader.error().text();
  Envelope empty;
  EXPECT_FALSE(daemon->call(empty)) << "a message that is no command";
  Envelope far;
  far.mutable_remove_port()->set_index(1u << 20);
  EXPECT_FALSE(daemon->call(far));
  EXPECT_TRUE(daemon->state());
}

/// nr_hugepages as it was, when the test is over.
class HugepageReservation {
 public:
  explicit HugepageReservation(long pages) {
    std::ifstream{kFile} >> before_;
    std::ofstream{kFile} << before_ + pages;
    long now = 0;
    std::ifstream{kFile} >> now;
    granted_ = now >= before_ + pages;
  }
  ~HugepageReservation() { std::ofstream{kFile} << before_; }
  [[nodiscard]] bool granted() const { return granted_; }

 private:
  static constexpr const char* kFile = "/proc/sys/vm/nr_hugepages";
  long before_{};
  bool granted_{};
};

TEST_F(DataplaneTest, hugepages_are_used_when_free_and_required_ones_are_insisted_on) {
  const std::vector<std::string> arguments{"--hugepages", "required", "--flows", "1024", "--buffers", "8192"};
  auto& client = lab_.add_peer();
  {
    const HugepageReservation reservation{64};
    if (!reservation.granted()) GTEST_SKIP() << "no memory for hugepages";
    ProcessLab process{kBinary, arguments};
    auto daemon = ControlClient::connect(process.socket_path());
    ASSERT_TRUE(daemon) << daemon.error().text();
    EXPECT_TRUE(daemon->hello().hugepages());
    const auto added = add(*daemon, 0, client);
    ASSERT_TRUE(added) << added.error().text();
    process.signal(SIGTERM);
    EXPECT_EQ(process.wait(milliseconds{5000}), 0);
  }
  ProcessLab refused{kBinary, {"--hugepages", "required", "--memory-mib", "100000", "--buffers", "40000000"}};
  EXPECT_EQ(refused.wait(milliseconds{5000}), 1) << "nobody has that many pages";
}

}  // namespace
}  // namespace penstock::app
