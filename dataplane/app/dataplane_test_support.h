// dataplane_test_support.h - the process between veth peers, as the tests of dataplane/app see it.
//
// Model     DataplaneTest owns a lab of namespaces; peers become ports by add(). One service of UDP, FullNAT.
// Errors    skipped by name without root.
#pragma once
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include "dataplane/app/process_lab.h"
#include "dataplane/core/frame.h"
#include "dataplane/io/dpdk/veth_lab.h"

namespace penstock::app {

using control::v1::Envelope;
using io::VethLab;
using std::chrono::milliseconds;

inline constexpr const char* kBinary = PENSTOCK_DATAPLANE;
inline const IpAddress kService = IpAddress::v4(10, 99, 0, 1);

inline sockaddr_in socket_address(const std::string& text, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  ::inet_pton(AF_INET, text.c_str(), &address.sin_addr);
  return address;
}

inline bool send_to(const Fd& from, const std::string& to, std::uint16_t port, std::string_view text) {
  const sockaddr_in address = socket_address(to, port);
  return ::sendto(from.get(), text.data(), text.size(), 0, reinterpret_cast<const sockaddr*>(&address),
                  sizeof address) == static_cast<ssize_t>(text.size());
}

inline std::string receive_within(const Fd& at, milliseconds at_most, sockaddr_in* from = nullptr) {
  pollfd waiting{at.get(), POLLIN, 0};
  if (::poll(&waiting, 1, static_cast<int>(at_most.count())) <= 0) return "";
  std::array<char, 2048> buffer;
  socklen_t length = sizeof *from;
  const ssize_t octets = ::recvfrom(at.get(), buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(from),
                                    from ? &length : nullptr);
  return octets > 0 ? std::string(buffer.data(), static_cast<std::size_t>(octets)) : "";
}

/// One UDP service on kService:53 with one endpoint, FullNAT by 10.77.0.200.
inline control::SnapshotContent udp_service(const std::string& endpoint, std::uint16_t port) {
  control::SnapshotContent content;
  content.node = control::default_node_record();
  content.node_addresses = {IpAddress::v4(10, 77, 0, 200)};
  control::EndpointRecord record{};
  record.address = *IpAddress::parse(endpoint);
  record.port = Be16::from_host(port);
  record.weight = 1;
  record.id = 1;
  record.stat_slot = 1;
  content.endpoints = {record};
  content.clusters = {
      {.id = 1, .first_endpoint = 0, .endpoint_count = 1, .maglev_offset = 0, .maglev_size = 2, .flags = 0}};
  content.maglev = {0, 0};
  control::ListenerRecord listener{};
  listener.address = kService;
  listener.port = Be16::from_host(53);
  listener.proto = IpProto::udp;
  listener.policy = control::Policy::allow;
  listener.forwarding = control::Forwarding::fullnat;
  listener.id = 1;
  listener.stat_slot = 0;
  content.listeners = {listener};
  return content;
}

class DataplaneTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  }
  static std::vector<std::string> small(std::vector<std::string> more = {}) {
    more.insert(more.end(), {"--hugepages", "off", "--flows", "1024"});
    return more;
  }
  Envelope add_port(PortIndex index, const VethLab::Peer& peer, unsigned queues = 1) {
    Envelope envelope;
    control::v1::AddPort& port = *envelope.mutable_add_port();
    port.set_index(index);
    port.set_name(peer.near);
    port.set_ifindex(peer.near_index);
    port.set_netns_fd(true);
    port.set_queues(queues);
    port.set_mac(std::string(6, '\2'));
    port.set_mtu(1500);
    return envelope;
  }
  Status add(ControlClient& client, PortIndex index, const VethLab::Peer& peer, unsigned queues = 1) {
    const Fd netns = lab_.node_netns();
    const int fd = netns.get();
    return client.call(add_port(index, peer, queues), {&fd, 1});
  }
  /// Lets the client reach the service and the endpoint reach the node address without ARP for them.
  void route_service(const VethLab::Peer& client, const VethLab::Peer& server) {
    const std::string node = "ip -n " + lab_.node();
    ASSERT_EQ(io::run_command(node + " addr add 10.77.0.200/24 dev " + server.near + " && ip -n " + client.netns +
                              " route add 10.99.0.1/32 dev far && ip -n " + client.netns +
                              " neigh add 10.99.0.1 lladdr 02:00:00:00:00:01 dev far && ip -n " + server.netns +
                              " neigh add 10.77.0.200 lladdr 02:00:00:00:00:02 dev far && " + node + " neigh add " +
                              server.address + " lladdr $(ip netns exec " + server.netns +
                              " cat /sys/class/net/far/address) dev " + server.near),
              0);
  }
  VethLab lab_;
};

}  // namespace penstock::app
