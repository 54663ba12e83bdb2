#include "dataplane/io/dpdk/dpdk_io.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <net/ethernet.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "dataplane/io/dpdk/netns_scope.h"
#include "dataplane/io/dpdk/port_table.h"
#include "dataplane/io/dpdk/veth_lab.h"
#include "tests/support/packet_builder.h"

namespace {
constexpr std::uint16_t kSeveralBuffers = 1 << 4;  // XDP_USE_SG
bool older_kernel = false;                         ///< without AF_XDP frames of several buffers
}  // namespace

/// Stands in front of the C library's, also for libxdp: the kernel's answer may be an older one's.
extern "C" int bind(int fd, const sockaddr* address, socklen_t octets) noexcept {
  sockaddr_xdp xdp{};
  if (octets >= sizeof xdp && address->sa_family == AF_XDP) {
    std::memcpy(&xdp, address, sizeof xdp);
    if (older_kernel && (xdp.sxdp_flags & kSeveralBuffers) != 0) {
      errno = EINVAL;
      return -1;
    }
  }
  return static_cast<int>(::syscall(SYS_bind, fd, address, octets));
}

namespace penstock::io {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

/// EAL starts once per process.
DpdkRuntime& runtime() {
  static const std::unique_ptr<DpdkRuntime> instance = [] {
    auto started = DpdkRuntime::start({.hugepages = Hugepages::off, .memory_mib = 128, .buffers = 16384});
    require(started.ok(), started.ok() ? "" : started.error().text());
    return std::move(*started);
  }();
  return *instance;
}

/// A worker that sends what comes in on port 2k out of port 2k+1 and back.
class Wire {
 public:
  explicit Wire(DpdkIo& io) : io_{io}, thread_{[this] { run(); }} {}
  ~Wire() {
    stop_.store(true);
    io_.wake();
    thread_.join();
  }
  std::uint64_t forwarded() const { return forwarded_.load(); }

 private:
  void run() {
    const DpdkThread registered;
    std::array<Frame, kBurstMax> burst;
    while (!stop_.load(std::memory_order_relaxed)) {
      const std::size_t got = io_.receive(burst);
      if (got == 0) io_.wait(milliseconds{20});
      for (std::size_t i = 0; i < got; ++i) {
        const std::span<Frame> one{&burst[i], 1};
        const std::size_t sent = io_.transmit(static_cast<PortIndex>(burst[i].port() ^ 1u), one);
        if (sent == 0) io_.drop(one);
        forwarded_.fetch_add(sent, std::memory_order_relaxed);
      }
    }
  }
  DpdkIo& io_;
  std::atomic<bool> stop_{};
  std::atomic<std::uint64_t> forwarded_{};
  std::thread thread_;
};

sockaddr_in address_of(const std::string& text, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  ::inet_pton(AF_INET, text.c_str(), &address.sin_addr);
  return address;
}

bool send_to(const Fd& from, const std::string& to, std::uint16_t port, std::string_view text) {
  const sockaddr_in address = address_of(to, port);
  return ::sendto(from.get(), text.data(), text.size(), 0, reinterpret_cast<const sockaddr*>(&address),
                  sizeof address) == static_cast<ssize_t>(text.size());
}

std::string receive_within(const Fd& at, milliseconds at_most) {
  pollfd waiting{at.get(), POLLIN, 0};
  if (::poll(&waiting, 1, static_cast<int>(at_most.count())) <= 0) return "";
  std::array<char, 2048> buffer;
  const ssize_t octets = ::recv(at.get(), buffer.data(), buffer.size(), 0);
  return octets > 0 ? std::string(buffer.data(), static_cast<std::size_t>(octets)) : "";
}

class DpdkIoTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    free_before_ = runtime().free_buffers();
  }
  PortOptions port_of(PortIndex index, const VethLab::Peer& peer, unsigned queues = 1) {
    return {.index = index,
            .name = peer.near,
            .ifindex = peer.near_index,
            .netns = lab_.node_netns(),
            .queues = queues,
            .mtu = 1500};
  }
  static bool ping(const Fd& from, const Fd& to, const std::string& address, std::uint16_t port, int tries = 20) {
    for (int i = 0; i < tries; ++i)
      if (send_to(from, address, port, "hello") && receive_within(to, milliseconds{100}) == "hello") return true;
    return false;
  }
  std::size_t lost_buffers() const {
    const std::size_t now = runtime().free_buffers();
    return free_before_ > now ? free_before_ - now : 0;
  }
  VethLab lab_;
  std::size_t free_before_{};
};

TEST_F(DpdkIoTest, frames_cross_from_one_port_to_the_other_in_the_same_buffer) {
  auto& a = lab_.add_peer();
  auto& b = lab_.add_peer();
  DpdkIo io;
  PortTable table{runtime(), {&io}};
  ASSERT_TRUE(table.add(port_of(0, a)));
  ASSERT_TRUE(table.add(port_of(1, b)));
  EXPECT_TRUE(io.can_transmit(0));
  EXPECT_FALSE(io.can_transmit(2));
  const Fd from = lab_.udp_socket(a, 1000);
  const Fd to = lab_.udp_socket(b, 2000);
  ASSERT_TRUE(send_to(from, b.address, 2000, "hello"));
  std::array<Frame, kBurstMax> burst;
  std::size_t got = 0;
  for (int i = 0; i < 100 && got == 0; ++i) {
    io.wait(milliseconds{10});
    got = io.receive(burst);
  }
  ASSERT_GT(got, 0u) << "the ARP request of the sender";
  EXPECT_EQ(burst[0].port(), 0);
  EXPECT_EQ(burst[0].octets(), 42u);
  EXPECT_TRUE(burst[0].prepend(4)) << "there is headroom for a VLAN tag";
  EXPECT_TRUE(burst[0].trim_front(4));
  EXPECT_TRUE(burst[0].set_octets(1514)) << "and room for a full frame";
  EXPECT_TRUE(burst[0].set_octets(42));
  EXPECT_EQ(io.transmit(1, std::span{burst.data(), 1}), 1u);
  EXPECT_EQ(io.transmit(7, std::span{burst.data() + 1, got - 1}), 0u);
  io.drop(std::span{burst.data() + 1, got - 1});
  Wire wire{io};
  EXPECT_TRUE(ping(from, to, b.address, 2000));
  EXPECT_TRUE(ping(to, from, a.address, 1000));
}

/// One port, and all that its peer's namespace receives.
class OnePortTest : public DpdkIoTest {
 protected:
  /// Payload octets behind 54 of headers, and the size of segments that the kernel is to make of them, 0: none.
  using Got = std::vector<std::pair<std::size_t, unsigned>>;

  void SetUp() override {
    DpdkIoTest::SetUp();
    if (IsSkipped()) return;
    peer_ = &lab_.add_peer();
    table_.emplace(runtime(), std::vector<DpdkIo*>{&io_});
    ASSERT_TRUE(table_->add(port_of(0, *peer_)));
    const Fd netns = VethLab::netns_fd(peer_->netns);
    const NetnsScope scope{netns.get()};
    socket_ = Fd{::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_IP))};
    const int one = 1;
    ASSERT_EQ(::setsockopt(socket_.get(), SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one), 0);
  }
  test::PacketBuilder segment(std::uint32_t seq, std::size_t octets, std::uint16_t port) const {
    return test::PacketBuilder{}.ipv4("10.9.0.1", peer_->address).tcp(80, port).seq(seq).payload_octets(octets);
  }
  /// Sends them in one burst, and waits until `octets` of payload have come.
  Got send(const std::vector<test::Bytes>& packets, std::size_t octets) {
    std::vector<Frame> frames(packets.size());
    EXPECT_EQ(io_.allocate(frames), frames.size());
    for (std::size_t i = 0; i < frames.size(); ++i) {
      EXPECT_TRUE(frames[i].set_octets(static_cast<std::uint16_t>(packets[i].size())));
      std::copy(packets[i].begin(), packets[i].end(), frames[i].bytes().begin());
    }
    EXPECT_EQ(io_.transmit(0, frames), frames.size());
    constexpr std::size_t kOffload = 10, kHeaders = 54;  // virtio 1.2 s5.1.6: the segment size is at 4
    Got got;
    std::array<std::byte, 8192> buffer;
    for (int i = 0; i < 50 && octets > 0; ++i) {
      pollfd waiting{socket_.get(), POLLIN, 0};
      if (::poll(&waiting, 1, 100) <= 0) continue;
      const ssize_t length = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
      if (length <= static_cast<ssize_t>(kOffload + kHeaders)) continue;  // a stranger
      std::uint16_t size;
      std::memcpy(&size, buffer.data() + 4, sizeof size);
      got.emplace_back(static_cast<std::size_t>(length) - kOffload - kHeaders, size);
      octets -= std::min(octets, got.back().first);
      last_.assign(buffer.begin() + kOffload, buffer.begin() + length);
    }
    return got;
  }
  DpdkIo io_;
  std::optional<PortTable> table_;
  const VethLab::Peer* peer_{};
  Fd socket_;
  test::Bytes last_;  ///< frame that arrived last
};

TEST_F(OnePortTest, segments_of_one_stream_leave_as_one_between_their_neighbours) {
  const std::size_t free_before = runtime().free_buffers();
  std::vector<test::Bytes> packets{segment(5, 700, 1).build()};
  for (std::uint32_t i = 0; i < 4; ++i) packets.push_back(segment(9 + i * 1000, i < 3 ? 1000 : 10, 2).build());
  packets.push_back(segment(5, 701, 3).build());
  EXPECT_EQ(send(packets, 700 + 3010 + 701), (Got{{700, 0}, {3010, 1000}, {701, 0}}));
  // Of single frames the last two may still be in the completion ring.
  EXPECT_GE(runtime().free_buffers() + 2, free_before) << "buffers of a train come back at once";
}

TEST_F(OnePortTest, what_is_above_the_mtu_and_cannot_be_cut_holds_up_nobody) {
  const test::Bytes padded = segment(5, 1460, 2).padding(4).build();  // as the kernel takes it: there might be a tag
  const test::Bytes broken = segment(5, 1900, 2).checksum(test::ChecksumMode::bad).build();
  EXPECT_EQ(send({padded, broken, segment(5, 700, 3).build()}, 1464 + 700), (Got{{1464, 0}, {700, 0}}));
}

TEST_F(OnePortTest, a_partial_checksum_of_what_leaves_singly_is_completed) {
  const test::Bytes partial = segment(5, 1000, 2).checksum(test::ChecksumMode::partial).build();
  EXPECT_EQ(send({partial}, 1000), (Got{{1000, 0}}));
  EXPECT_EQ(last_, segment(5, 1000, 2).build());
}

TEST_F(OnePortTest, a_segment_above_the_mtu_is_the_kernels_to_cut_or_leaves_in_pieces) {
  const std::size_t free_before = runtime().free_buffers();
  EXPECT_EQ(send({segment(5, 1460, 2).build()}, 1460), (Got{{1460, 0}}));
  EXPECT_EQ(send({segment(5, 1900, 2).build()}, 1900), (Got{{1900, 1460}}));
  const std::vector<test::Bytes> three{segment(5, 1900, 2).build(), segment(1905, 1900, 2).build(),
                                       segment(3805, 100, 2).build()};
  EXPECT_EQ(send(three, 3900), (Got{{3900, 1460}}));
  EXPECT_EQ(send({segment(5, 1900, 2).vlan(5).build()}, 1900), (Got{{1460, 0}, {440, 0}})) << "a tag: cut by us";
  EXPECT_GE(runtime().free_buffers() + 4, free_before);
}

TEST_F(DpdkIoTest, an_idle_worker_is_woken_by_a_frame_and_by_wake) {
  auto& a = lab_.add_peer();
  auto& b = lab_.add_peer();
  DpdkIo io;
  PortTable table{runtime(), {&io}};
  ASSERT_TRUE(table.add(port_of(0, a)));
  ASSERT_TRUE(table.add(port_of(1, b)));
  const auto before = Clock::now();
  std::thread waker{[&] {
    std::this_thread::sleep_for(milliseconds{30});
    io.wake();
  }};
  while (Clock::now() - before < milliseconds{25}) io.wait(std::chrono::seconds{5});  // stray multicast may end one
  waker.join();
  EXPECT_LT(Clock::now() - before, std::chrono::seconds{2});

  Wire wire{io};
  const Fd from = lab_.udp_socket(a, 1000);
  const Fd to = lab_.udp_socket(b, 2000);
  ASSERT_TRUE(ping(from, to, b.address, 2000));
  std::vector<double> micros;
  for (int i = 0; i < 200; ++i) {
    std::this_thread::sleep_for(milliseconds{2});  // long enough to sleep again
    const auto sent = Clock::now();
    if (ping(from, to, b.address, 2000, 1))
      micros.push_back(std::chrono::duration<double, std::micro>(Clock::now() - sent).count());
  }
  ASSERT_GT(micros.size(), 190u) << "an idle forwarding worker loses nothing";
  std::nth_element(micros.begin(), micros.begin() + micros.size() / 2, micros.end());
  const double median = micros[micros.size() / 2];
  RecordProperty("wake_up_median_us", static_cast<int>(median));
  std::printf("one way through a sleeping worker: p50 %.0f us\n", median);
  EXPECT_LT(median, 2000.0);
}

TEST_F(DpdkIoTest, ports_come_and_go_while_others_carry_traffic_and_no_buffer_is_lost) {
  auto& a = lab_.add_peer();
  auto& b = lab_.add_peer();
  auto& c = lab_.add_peer();
  {
    DpdkIo io;
    PortTable table{runtime(), {&io}};
    ASSERT_TRUE(table.add(port_of(0, a)));
    ASSERT_TRUE(table.add(port_of(1, b)));
    table.set_workers_running(true);
    {
      Wire wire{io};
      const Fd from = lab_.udp_socket(a, 1000);
      const Fd to = lab_.udp_socket(b, 2000);
      ASSERT_TRUE(ping(from, to, b.address, 2000));
      for (int round = 0; round < 10; ++round) {
        const auto added = table.add(port_of(2, c));
        ASSERT_TRUE(added) << round << ": " << added.error().text();
        EXPECT_TRUE(ping(from, to, b.address, 2000, 2)) << "while adding, round " << round;
        const auto removed = table.remove(2);
        ASSERT_TRUE(removed) << removed.error().text();
        EXPECT_EQ(table.find(2), nullptr);
        EXPECT_TRUE(ping(from, to, b.address, 2000, 2)) << "while removing, round " << round;
      }
      EXPECT_FALSE(table.remove(2)) << "it is gone";
    }
    table.set_workers_running(false);
  }
  EXPECT_LE(lost_buffers(), 4u);
}

TEST_F(DpdkIoTest, an_interface_that_vanishes_disturbs_nobody_and_its_port_can_be_removed) {
  auto& a = lab_.add_peer();
  auto& b = lab_.add_peer();
  auto& c = lab_.add_peer();
  {
    DpdkIo io;
    PortTable table{runtime(), {&io}};
    ASSERT_TRUE(table.add(port_of(0, a)));
    ASSERT_TRUE(table.add(port_of(1, b)));
    ASSERT_TRUE(table.add(port_of(3, c)));
    table.set_workers_running(true);
    {
      Wire wire{io};
      const Fd from = lab_.udp_socket(a, 1000);
      const Fd to = lab_.udp_socket(b, 2000);
      ASSERT_TRUE(ping(from, to, b.address, 2000));
      lab_.delete_near(c);
      EXPECT_TRUE(ping(from, to, b.address, 2000, 2));
      timespec cpu_before;
      ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu_before);
      std::this_thread::sleep_for(milliseconds{300});
      timespec cpu_after;
      ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu_after);
      const double busy = static_cast<double>(cpu_after.tv_sec - cpu_before.tv_sec) +
                          static_cast<double>(cpu_after.tv_nsec - cpu_before.tv_nsec) * 1e-9;
      EXPECT_LT(busy, 0.15) << "the worker still sleeps when idle";
      EXPECT_TRUE(table.remove(3));
      EXPECT_TRUE(ping(from, to, b.address, 2000, 2));
    }
    table.set_workers_running(false);
  }
  EXPECT_LE(lost_buffers(), 4u);
}

TEST_F(DpdkIoTest, an_interface_that_goes_down_and_up_again_carries_traffic_again) {
  auto& a = lab_.add_peer();
  auto& b = lab_.add_peer();
  DpdkIo io;
  PortTable table{runtime(), {&io}};
  ASSERT_TRUE(table.add(port_of(0, a)));
  ASSERT_TRUE(table.add(port_of(1, b)));
  Wire wire{io};
  const Fd from = lab_.udp_socket(a, 1000);
  const Fd to = lab_.udp_socket(b, 2000);
  ASSERT_TRUE(ping(from, to, b.address, 2000));
  ASSERT_EQ(run_command("ip -n " + lab_.node() + " link set " + b.near + " down"), 0);
  EXPECT_FALSE(ping(from, to, b.address, 2000, 2));
  ASSERT_EQ(run_command("ip -n " + lab_.node() + " link set " + b.near + " up"), 0);
  EXPECT_TRUE(ping(from, to, b.address, 2000, 40));
}

TEST_F(DpdkIoTest, every_queue_of_an_interface_belongs_to_one_worker) {
  auto& a = lab_.add_peer(3);
  auto& b = lab_.add_peer(3);
  {
    DpdkIo first;
    DpdkIo second;
    PortTable table{runtime(), {&first, &second}};
    const auto added = table.add(port_of(0, a, 3));
    ASSERT_TRUE(added) << added.error().text();
    ASSERT_TRUE(table.add(port_of(1, b, 1)));
    EXPECT_TRUE(first.can_transmit(0));
    EXPECT_TRUE(second.can_transmit(0));
    EXPECT_TRUE(first.can_transmit(1));
    EXPECT_FALSE(second.can_transmit(1)) << "one queue, worker 0's";
  }
  EXPECT_LE(lost_buffers(), 8u);
}

TEST_F(DpdkIoTest, what_cannot_be_a_port_is_refused_with_a_reason_and_costs_nothing) {
  auto& plain = lab_.add_peer(1, false);
  auto& a = lab_.add_peer();
  DpdkIo io;
  {
    PortTable table{runtime(), {&io}};
    auto status = table.add(port_of(0, plain));
    ASSERT_FALSE(status);
    EXPECT_NE(status.error().what.find("no XDP program"), std::string::npos) << status.error().text();
    status = table.add(port_of(0, a, 2));
    ASSERT_FALSE(status);
    EXPECT_NE(status.error().what.find("no such queue"), std::string::npos) << status.error().text();
    PortOptions jumbo = port_of(0, a);
    jumbo.mtu = 9000;
    status = table.add(std::move(jumbo));
    ASSERT_FALSE(status);
    EXPECT_NE(status.error().what.find("MTU 9000"), std::string::npos) << status.error().text();
    PortOptions absent = port_of(0, a);
    absent.ifindex = 9999;
    EXPECT_FALSE(table.add(std::move(absent)));
    ASSERT_TRUE(table.add(port_of(0, a)));
    EXPECT_FALSE(table.add(port_of(0, a))) << "index in use";
    status = table.add(port_of(1, a));
    ASSERT_FALSE(status) << "queue in use";
    EXPECT_NE(status.error().what.find("bound by another"), std::string::npos) << status.error().text();
  }
  EXPECT_LE(lost_buffers(), 4u);
}

TEST_F(DpdkIoTest, large_frames_that_the_kernel_refuses_are_told_and_cost_nothing) {
  auto& a = lab_.add_peer();
  DpdkIo io;
  {
    PortTable table{runtime(), {&io}};
    const auto add = [&](bool large_frames) {
      PortOptions options = port_of(0, a);
      options.large_frames = large_frames;
      const Status status = table.add(std::move(options));
      return status ? std::string{} : status.error().text();
    };
    older_kernel = true;
    for (int i = 0; i < 3; ++i) {  // the daemon tries again and again
      const std::string told = add(true);
      EXPECT_NE(told.find("near1 queue 0: cannot be bound for large frames"), std::string::npos) << told;
      EXPECT_NE(told.find("remove large_frames from the port, or run Linux 6.9 or newer"), std::string::npos) << told;
      EXPECT_LE(lost_buffers(), 4u);
    }
    EXPECT_EQ(add(false), "");
    EXPECT_TRUE(table.remove(0));
    older_kernel = false;
    EXPECT_EQ(add(true), "");
  }
  EXPECT_LE(lost_buffers(), 4u);
}

TEST_F(DpdkIoTest, frames_for_a_dead_port_do_not_block_and_come_back_with_it) {
  auto& a = lab_.add_peer();
  auto& b = lab_.add_peer();
  {
    DpdkIo io;
    PortTable table{runtime(), {&io}};
    ASSERT_TRUE(table.add(port_of(0, a)));
    ASSERT_TRUE(table.add(port_of(1, b)));
    lab_.delete_near(b);
    const Fd from = lab_.udp_socket(a, 1000);
    const auto before = Clock::now();
    std::size_t moved = 0;
    for (int i = 0; i < 200; ++i) {
      static_cast<void>(send_to(from, "255.255.255.255", 9, "x"));
      static_cast<void>(send_to(from, b.address, 2000, "x"));
      std::array<Frame, kBurstMax> burst;
      const std::size_t got = io.receive(burst);
      const std::size_t sent = io.transmit(1, std::span{burst.data(), got});
      moved += sent;
      io.drop(std::span{burst.data() + sent, got - sent});
    }
    EXPECT_LT(Clock::now() - before, std::chrono::seconds{5});
    EXPECT_GT(moved, 0u);
  }
  EXPECT_LE(lost_buffers(), 4u);
}

}  // namespace
}  // namespace penstock::io
