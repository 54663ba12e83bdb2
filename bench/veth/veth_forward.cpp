// veth_forward: packets per second from one namespace through the node to another, by penstock-dataplane (FullNAT
// of UDP, every packet a flow of the table) and by dpdk-testpmd in io mode (no look at the packet), in turns.
//
// Usage   veth_forward [ROUNDS] [SECONDS]     default 5 rounds of 2 s; as root
// Prints  packets received per second for each run, medians, their ratio, CPU of each process, CPU when idle.
// Sender  AF_PACKET with qdisc bypass, 64-octet frames, 64 flows; the receiver's end counts and drops in XDP.
// Cores   two are expected: sender (and both softirqs) on CPU 0, forwarder on CPU 1.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <thread>

#include "dataplane/app/process_lab.h"
#include "dataplane/core/frame.h"
#include "dataplane/io/dpdk/netns_scope.h"
#include "dataplane/io/dpdk/veth_lab.h"

namespace penstock::bench {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t kFrameOctets = 60;  // 64 with the checksum that veth does not carry
constexpr std::size_t kFlows = 64;
constexpr std::size_t kBatch = 64;
constexpr const char* kServiceMac = "02:00:00:00:00:01";

/// Counts frames per CPU and drops them.
class CountingSink {
 public:
  explicit CountingSink(const io::VethLab::Peer& peer) {
    const Fd netns = io::VethLab::netns_fd(peer.netns);
    const io::NetnsScope scope{netns.get()};
    counter_ = Fd{bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "count", 4, 8, 1, nullptr)};
    const std::array<bpf_insn, 13> program{{
        {BPF_ST | BPF_W | BPF_MEM, 10, 0, -4, 0},    // *(u32*)(r10-4) = 0
        {BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0},  // r2 = r10
        {BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4},  // r2 -= 4
        {BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, counter_.get()},
        {0, 0, 0, 0, 0},
        {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3, 0},    // if r0 == 0 goto drop
        {BPF_LDX | BPF_DW | BPF_MEM, 1, 0, 0, 0},   // r1 = *r0
        {BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, 1},  // ++r1
        {BPF_STX | BPF_DW | BPF_MEM, 0, 1, 0, 0},   // *r0 = r1
        {BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_DROP},
        {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
        {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
    }};
    const Fd loaded{bpf_prog_load(BPF_PROG_TYPE_XDP, "sink", "GPL", program.data(), 12, nullptr)};
    require(static_cast<bool>(loaded), "sink program does not load");
    link_ = Fd{bpf_link_create(loaded.get(), static_cast<int>(::if_nametoindex("far")), BPF_XDP, nullptr)};
    require(static_cast<bool>(link_), "sink program does not attach");
  }
  [[nodiscard]] std::uint64_t count() const {
    std::array<std::uint64_t, 256> per_cpu{};
    const std::uint32_t key = 0;
    require(bpf_map_lookup_elem(counter_.get(), &key, per_cpu.data()) == 0, "counter");
    std::uint64_t sum = 0;
    for (const std::uint64_t one : per_cpu) sum += one;
    return sum;
  }

 private:
  Fd counter_;
  Fd link_;
};

void pin(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  ::sched_setaffinity(0, sizeof set, &set);
}

std::uint16_t fold(std::uint32_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

/// UDP from the client to the service, checksum 0 (allowed by RFC 768).
std::array<std::uint8_t, kFrameOctets> frame_of(const MacAddress& source, std::uint16_t port) {
  std::array<std::uint8_t, kFrameOctets> frame{};
  const MacAddress to = *MacAddress::parse(kServiceMac);
  std::copy(to.octets.begin(), to.octets.end(), frame.begin());
  std::copy(source.octets.begin(), source.octets.end(), frame.begin() + 6);
  const std::array<std::uint8_t, 28> headers{0x08,
                                             0,
                                             0x45,
                                             0,
                                             0,
                                             46,
                                             0,
                                             0,
                                             0x40,
                                             0,
                                             64,
                                             17,
                                             0,
                                             0,
                                             10,
                                             77,
                                             0,
                                             1,
                                             10,
                                             99,
                                             0,
                                             1,
                                             static_cast<std::uint8_t>(port >> 8),
                                             static_cast<std::uint8_t>(port),
                                             0,
                                             53,
                                             0,
                                             26};
  std::copy(headers.begin(), headers.end(), frame.begin() + 12);
  std::uint32_t sum = 0;
  for (std::size_t i = 14; i < 34; i += 2) sum += static_cast<std::uint32_t>(frame[i] << 8 | frame[i + 1]);
  const std::uint16_t checksum = fold(sum);
  frame[24] = static_cast<std::uint8_t>(checksum >> 8);
  frame[25] = static_cast<std::uint8_t>(checksum);
  return frame;
}

/// A child that sends as fast as it can for `seconds`; returns frames sent per second.
double send_for(const io::VethLab::Peer& peer, double seconds) {
  std::array<int, 2> result{};
  require(::pipe(result.data()) == 0, "pipe");
  const pid_t child = ::fork();
  if (child == 0) {
    pin(0);
    const Fd netns = io::VethLab::netns_fd(peer.netns);
    const io::NetnsScope scope{netns.get()};
    const Fd socket{::socket(AF_PACKET, SOCK_RAW, 0)};
    const int on = 1;
    ::setsockopt(socket.get(), SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_ifindex = static_cast<int>(::if_nametoindex("far"));
    address.sll_protocol = htons(ETH_P_IP);
    ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    std::array<std::array<std::uint8_t, kFrameOctets>, kFlows> frames;
    for (std::size_t i = 0; i < kFlows; ++i)
      frames[i] = frame_of(MacAddress{{2, 0, 0, 0, 0, 9}}, static_cast<std::uint16_t>(20000 + i));
    std::array<iovec, kBatch> parts{};
    std::array<mmsghdr, kBatch> messages{};
    for (std::size_t i = 0; i < kBatch; ++i) {
      parts[i] = {frames[i % kFlows].data(), kFrameOctets};
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    const auto start = Clock::now();
    std::uint64_t sent = 0;
    double elapsed = 0;
    while (elapsed < seconds) {
      const int done = ::sendmmsg(socket.get(), messages.data(), kBatch, 0);
      if (done > 0) sent += static_cast<std::uint64_t>(done);
      elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    }
    const double rate = static_cast<double>(sent) / elapsed;
    [[maybe_unused]] const ssize_t octets = ::write(result[1], &rate, sizeof rate);
    ::_exit(0);
  }
  double rate = 0;
  [[maybe_unused]] const ssize_t octets = ::read(result[0], &rate, sizeof rate);
  ::waitpid(child, nullptr, 0);
  ::close(result[0]);
  ::close(result[1]);
  return rate;
}

/// Seconds of CPU that a process has used.
double cpu_seconds(pid_t pid) {
  std::ifstream file{"/proc/" + std::to_string(pid) + "/stat"};
  std::string line;
  std::getline(file, line);
  std::istringstream fields{line.substr(line.rfind(')') + 2)};
  std::string field;
  double ticks = 0;
  for (int i = 3; fields >> field && i <= 15; ++i)
    if (i >= 14) ticks += std::stod(field);
  return ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

struct Sample {
  double sent{}, received{}, cpu{}, idle_cpu{};
};

Sample measure(const io::VethLab::Peer& client, const CountingSink& sink, pid_t pid, double seconds) {
  Sample sample;
  const double idle_before = cpu_seconds(pid);
  std::this_thread::sleep_for(milliseconds{1000});
  sample.idle_cpu = cpu_seconds(pid) - idle_before;
  send_for(client, 0.3);  // flows exist, caches are warm
  const std::uint64_t before = sink.count();
  const double cpu_before = cpu_seconds(pid);
  const auto start = Clock::now();
  sample.sent = send_for(client, seconds);
  std::this_thread::sleep_for(milliseconds{20});
  const double elapsed = std::chrono::duration<double>(Clock::now() - start).count();
  sample.received = static_cast<double>(sink.count() - before) / elapsed;
  sample.cpu = (cpu_seconds(pid) - cpu_before) / elapsed;
  return sample;
}

control::SnapshotContent service(const std::string& endpoint) {
  control::SnapshotContent content;
  content.node = control::default_node_record();
  content.node_addresses = {IpAddress::v4(10, 77, 0, 200)};
  control::EndpointRecord record{};
  record.address = *IpAddress::parse(endpoint);
  record.port = Be16::from_host(5353);
  record.weight = 1;
  record.id = 1;
  record.stat_slot = 1;
  content.endpoints = {record};
  content.clusters = {
      {.id = 1, .first_endpoint = 0, .endpoint_count = 1, .maglev_offset = 0, .maglev_size = 2, .flags = 0}};
  content.maglev = {0, 0};
  control::ListenerRecord listener{};
  listener.address = IpAddress::v4(10, 99, 0, 1);
  listener.port = Be16::from_host(53);
  listener.proto = IpProto::udp;
  listener.id = 1;
  content.listeners = {listener};
  return content;
}

Sample run_penstock(double seconds, const std::string& binary) {
  io::VethLab lab;
  auto& client = lab.add_peer();
  auto& server = lab.add_peer();
  const CountingSink sink{server};
  require(io::run_command("ip -n " + lab.node() + " addr add 10.77.0.200/24 dev " + server.near + " && ip -n " +
                          lab.node() + " neigh add " + server.address + " lladdr 02:00:00:00:00:22 dev " +
                          server.near) == 0,
          "addresses");
  app::ProcessLab process{binary, {"--hugepages", "off", "--cpus", "1", "--flows", "65536"}};
  auto daemon = app::ControlClient::connect(process.socket_path());
  require(daemon.ok(), "penstock-dataplane does not answer");
  require(daemon->publish(service(server.address), 1).ok(), "snapshot");
  const Fd netns = lab.node_netns();
  const int fd = netns.get();
  for (PortIndex index = 0; index < 2; ++index) {
    const auto& peer = lab.peer(index);
    control::v1::Envelope envelope;
    auto& port = *envelope.mutable_add_port();
    port.set_index(index);
    port.set_name(peer.near);
    port.set_ifindex(peer.near_index);
    port.set_netns_fd(true);
    port.set_queues(1);
    port.set_mac(std::string(6, '\2'));
    port.set_mtu(1500);
    require(daemon->call(envelope, {&fd, 1}).ok(), "port");
  }
  return measure(client, sink, process.pid(), seconds);
}

Sample run_testpmd(double seconds, const char* busy_budget) {
  io::VethLab lab;
  auto& client = lab.add_peer(1, false);
  auto& server = lab.add_peer(1, false);
  const CountingSink sink{server};
  const pid_t child = ::fork();
  if (child == 0) {
    const Fd netns = lab.node_netns();
    require(::setns(netns.get(), CLONE_NEWNET) == 0, "setns");
    const int null = ::open("/dev/null", O_RDWR);
    ::dup2(null, 1);
    ::dup2(null, 2);
    const std::string budget = std::string{",busy_budget="} + busy_budget;
    const std::string first = "net_af_xdp0,iface=near1" + budget;
    const std::string second = "net_af_xdp1,iface=near2" + budget;
    // Main lcore 0 only sleeps between statistics; lcore 1 forwards.
    ::execlp("dpdk-testpmd", "dpdk-testpmd", "--no-huge", "--no-shconf", "--no-pci", "--no-telemetry", "-m", "256",
             "-l", "0,1", "--main-lcore", "0", "--vdev", first.c_str(), "--vdev", second.c_str(), "--",
             "--forward-mode=io", "--total-num-mbufs=16384", "--stats-period", "100", "--no-mlockall", nullptr);
    ::_exit(127);
  }
  std::this_thread::sleep_for(milliseconds{2500});
  if (::waitpid(child, nullptr, WNOHANG) != 0) {
    std::fprintf(stderr, "veth_forward: dpdk-testpmd did not start; it is in the Debian package dpdk-dev\n");
    std::exit(1);
  }
  const Sample sample = measure(client, sink, child, seconds);
  ::kill(child, SIGTERM);
  std::this_thread::sleep_for(milliseconds{300});
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  return sample;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace
}  // namespace penstock::bench

int main(int argc, char** argv) {
  using namespace penstock::bench;
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 5;
  const double seconds = argc > 2 ? std::atof(argv[2]) : 2;
  if (::geteuid() != 0) {
    std::fprintf(stderr, "veth_forward needs root\n");
    return 77;
  }
  std::vector<double> ours, theirs, ratios, idle;
  for (int round = 0; round < rounds; ++round) {
    const Sample testpmd = run_testpmd(seconds, "0");
    const Sample penstock = run_penstock(seconds, PENSTOCK_DATAPLANE);
    std::printf(
        "round %d  testpmd %.3f of %.3f Mpps, CPU %.0f %%   penstock %.3f of %.3f Mpps, CPU %.0f %%, idle %.1f %%\n",
        round, testpmd.received / 1e6, testpmd.sent / 1e6, testpmd.cpu * 100, penstock.received / 1e6,
        penstock.sent / 1e6, penstock.cpu * 100, penstock.idle_cpu * 100);
    std::fflush(stdout);
    ours.push_back(penstock.received);
    theirs.push_back(testpmd.received);
    idle.push_back(penstock.idle_cpu);
    if (testpmd.received > 0) ratios.push_back(penstock.received / testpmd.received);
  }
  std::printf("median   testpmd io %.3f Mpps   penstock FullNAT %.3f Mpps   ratio %.2f   idle CPU %.1f %%\n",
              median(theirs) / 1e6, median(ours) / 1e6, ratios.empty() ? 0.0 : median(ratios), median(idle) * 100);
  return ratios.empty() ? 1 : 0;
}
