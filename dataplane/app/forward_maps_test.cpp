// The command Forwards: maps of tier X in the kernel, and flows that sink into them.
#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <csignal>
#include <cstring>
#include <thread>

#include "bpf/abi/steer.h"
#include "dataplane/app/dataplane_test_support.h"

namespace penstock::app {
namespace {

/// The maps of tier X as the daemon makes them.
struct ForwardMapsOfTest {
  ForwardMapsOfTest() {
    LIBBPF_OPTS(bpf_map_create_opts, hash, .map_flags = BPF_F_NO_PREALLOC);
    entries = Fd{bpf_map_create(BPF_MAP_TYPE_HASH, "steer_forwards", sizeof(penstock_flow_key),
                                sizeof(penstock_forward), PENSTOCK_FORWARD_MAX, &hash)};
    LIBBPF_OPTS(bpf_map_create_opts, array, .map_flags = BPF_F_MMAPABLE);
    slots = Fd{bpf_map_create(BPF_MAP_TYPE_ARRAY, "steer_slots", 4, sizeof(penstock_forward_slot), PENSTOCK_FORWARD_MAX,
                              &array)};
  }
  [[nodiscard]] std::vector<penstock_forward> all() const {
    std::vector<penstock_forward> out;
    penstock_flow_key key{};
    for (const void* from = nullptr; bpf_map_get_next_key(entries.get(), from, &key) == 0; from = &key)
      if (penstock_forward entry{}; bpf_map_lookup_elem(entries.get(), &key, &entry) == 0) out.push_back(entry);
    return out;
  }
  [[nodiscard]] penstock_forward_slot slot(std::uint32_t index) const {
    penstock_forward_slot out{};
    EXPECT_EQ(bpf_map_lookup_elem(slots.get(), &index, &out), 0);
    return out;
  }
  [[nodiscard]] Status tell(ControlClient& daemon, std::uint64_t ports) const {
    Envelope envelope;
    envelope.mutable_forwards()->set_ports(ports);
    const std::array fds{entries.get(), slots.get()};
    return daemon.call(envelope, fds);
  }
  Fd entries, slots;
};

TEST_F(DataplaneTest, hot_flows_get_slots_and_entries_and_what_a_predecessor_left_goes) {
  auto& client = lab_.add_peer();
  auto& server = lab_.add_peer();
  route_service(client, server);
  const ForwardMapsOfTest maps;
  const penstock_flow_key old_key{};
  const penstock_forward old_entry{.slot = 70, .generation = 5};
  penstock_forward_slot old_slot{};
  old_slot.generation = 5;
  ASSERT_EQ(bpf_map_update_elem(maps.entries.get(), &old_key, &old_entry, BPF_ANY), 0);
  ASSERT_EQ(bpf_map_update_elem(maps.slots.get(), &old_entry.slot, &old_slot, BPF_ANY), 0);
  ProcessLab process{kBinary, small()};
  auto daemon = ControlClient::connect(process.socket_path());
  ASSERT_TRUE(daemon);
  auto content = udp_service(server.address, 5353);
  content.listeners[0].flags = control::kListenerForward;
  ASSERT_TRUE(daemon->publish(content, 1));
  ASSERT_TRUE(add(*daemon, 0, client));
  ASSERT_TRUE(add(*daemon, 1, server));
  const auto told = maps.tell(*daemon, 0b11);
  ASSERT_TRUE(told) << told.error().text();
  EXPECT_TRUE(maps.all().empty());
  EXPECT_EQ(maps.slot(70).generation, 0u);

  const auto segment = daemon->segment(true);
  ASSERT_TRUE(segment);
  const control::Counter& active = segment->counters(0).forwards_active;
  const Fd asks = lab_.udp_socket(client, 4000);
  const Fd serves = lab_.udp_socket(server, 5353);
  const auto talk = [&](auto&& until) {
    for (int i = 0; i < 300 && !until(); ++i) {
      sockaddr_in from{};
      if (!send_to(asks, "10.99.0.1", 53, "question")) return;
      if (receive_within(serves, milliseconds{2000}, &from) != "question") return;
      ::sendto(serves.get(), "answer", 6, 0, reinterpret_cast<const sockaddr*>(&from), sizeof from);
      if (receive_within(asks, milliseconds{2000}) != "answer") return;
      std::this_thread::sleep_for(milliseconds{10});
    }
  };
  talk([&] { return maps.all().size() == 2; });
  const auto entries = maps.all();
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(active.read(), 1u);
  std::array<bool, 2> towards{};
  for (const penstock_forward& entry : entries) {
    const penstock_forward_slot slot = maps.slot(entry.slot);
    EXPECT_NE(slot.generation, 0u);
    EXPECT_EQ(slot.generation, entry.generation);
    ASSERT_LT(slot.out_port, 2u);
    towards[slot.out_port] = true;
  }
  EXPECT_TRUE(towards[0] && towards[1]);
  ASSERT_TRUE(maps.tell(*daemon, 0b11)) << "a restarted daemon says the same again";
  EXPECT_EQ(active.read(), 1u);
  ASSERT_TRUE(maps.tell(*daemon, 0b01)) << "the endpoint's port cannot be redirected to any more";
  for (int i = 0; i < 100 && !maps.all().empty(); ++i) std::this_thread::sleep_for(milliseconds{10});
  EXPECT_TRUE(maps.all().empty());
  EXPECT_EQ(active.read(), 0u);
  EXPECT_EQ(maps.slot(entries[0].slot).generation, 0u);

  ASSERT_TRUE(maps.tell(*daemon, 0b11));
  talk([&] { return maps.all().size() == 2; });
  process.signal(SIGTERM);
  EXPECT_EQ(process.wait(milliseconds{5000}), 0);
  EXPECT_EQ(maps.all().size(), 2u) << "whoever stops it restarts it, and its flows do not notice";
}

TEST_F(DataplaneTest, a_full_map_of_a_predecessor_is_emptied_in_time) {
  const ForwardMapsOfTest maps;
  std::vector<penstock_flow_key> keys(PENSTOCK_FORWARD_MAX);
  const std::vector<penstock_forward> entries(keys.size(), penstock_forward{.slot = 1, .generation = 5});
  for (std::uint32_t n = 0; n < keys.size(); ++n) std::memcpy(keys[n].src.octets, &n, sizeof n);
  auto count = static_cast<std::uint32_t>(keys.size());
  ASSERT_EQ(bpf_map_update_batch(maps.entries.get(), keys.data(), entries.data(), &count, nullptr), 0);
  ProcessLab process{kBinary, small()};
  auto daemon = ControlClient::connect(process.socket_path());
  ASSERT_TRUE(daemon);
  const auto told = maps.tell(*daemon, 0);
  ASSERT_TRUE(told) << told.error().text();
  EXPECT_TRUE(maps.all().empty());
}

TEST_F(DataplaneTest, maps_that_are_not_those_of_tier_x_are_refused) {
  ProcessLab process{kBinary, small()};
  auto daemon = ControlClient::connect(process.socket_path());
  ASSERT_TRUE(daemon);
  const ForwardMapsOfTest maps;
  Envelope envelope;
  envelope.mutable_forwards();
  EXPECT_FALSE(daemon->call(envelope)) << "no maps";
  const std::array swapped{maps.slots.get(), maps.entries.get()};
  const auto refused = daemon->call(envelope, swapped);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().what.find("steer_forwards"), std::string::npos) << refused.error().text();
  const Fd unmappable{bpf_map_create(BPF_MAP_TYPE_ARRAY, "steer_slots", 4, sizeof(penstock_forward_slot),
                                     PENSTOCK_FORWARD_MAX, nullptr)};
  const std::array bad{maps.entries.get(), unmappable.get()};
  EXPECT_FALSE(daemon->call(envelope, bad));
}

}  // namespace
}  // namespace penstock::app
