#include "dataplane/control/snapshot_view.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <random>

#include "dataplane/control/hash.h"
#include "dataplane/control/limits.h"
#include "dataplane/control/snapshot_seed_test_support.h"
#include "dataplane/control/snapshot_writer.h"

namespace penstock::control {
namespace {

Be16 port(std::uint16_t p) { return Be16::from_host(p); }
IpAddress ip(const char* text) { return IpAddress::parse(text).value(); }

ListenerRecord listener(const char* address, std::uint16_t p, std::uint32_t number, std::uint32_t cluster) {
  ListenerRecord out{};
  out.address = ip(address);
  out.port = port(p);
  out.proto = IpProto::tcp;
  out.id = 100 + number;
  out.stat_slot = number;
  out.cluster = cluster;
  out.ask_deadline_ms = 200;
  return out;
}

EndpointRecord endpoint(const char* address, std::uint16_t weight, std::uint32_t number) {
  return {ip(address), port(8080), weight, 200 + number, 50 + number};
}

/// Three clusters (IPv4, IPv6, drained), three listeners.
SnapshotContent example() {
  SnapshotContent c;
  c.node = default_node_record();
  c.node_addresses = {ip("10.10.2.1"), ip("fd10:2::1")};
  c.endpoints = {endpoint("10.10.2.11", 1, 0), endpoint("10.10.2.12", 0, 1), endpoint("10.10.2.13", 2, 2),
                 endpoint("fd10:2::11", 1, 3), endpoint("10.10.2.14", 0, 4)};
  c.clusters = {{1, 0, 3, 0, 7, 0}, {2, 3, 1, 7, 3, 0}, {3, 4, 1, 0, 0, 0}};
  c.maglev = {0, 2, 2, 0, 2, 2, 0, 0, 0, 0};
  c.listeners = {listener("10.96.0.10", 80, 0, 0), listener("fd96::10", 80, 1, 1), listener("10.96.0.10", 81, 2, 2)};
  c.listeners[1].policy = Policy::ask;
  c.listeners[1].mode = ListenerMode::proxy;
  c.listeners[2].forwarding = Forwarding::dnat;
  return c;
}

std::string error_of(const std::vector<std::byte>& bytes) {
  const auto view = SnapshotView::open(bytes);
  return view.ok() ? "" : view.error().text();
}

TEST(SnapshotView, a_written_snapshot_reads_back_as_it_was) {
  const SnapshotContent c = example();
  const std::vector<std::byte> bytes = write_snapshot(c, 42);
  const auto opened = SnapshotView::open(bytes);
  ASSERT_TRUE(opened.ok()) << opened.error().text();
  const SnapshotView& view = *opened;
  EXPECT_EQ(view.epoch(), 42u);
  EXPECT_EQ(std::memcmp(&view.node(), &c.node, sizeof c.node), 0);
  EXPECT_TRUE(std::equal(view.node_addresses().begin(), view.node_addresses().end(), c.node_addresses.begin()));
  ASSERT_EQ(view.listeners().size(), 3u);
  ASSERT_EQ(view.clusters().size(), 3u);
  EXPECT_EQ(view.endpoints_of(view.clusters()[0]).size(), 3u);
  EXPECT_EQ(view.endpoints_of(view.clusters()[1])[0].address, ip("fd10:2::11"));
  EXPECT_EQ(view.maglev_of(view.clusters()[0]).size(), 7u);
  EXPECT_EQ(view.maglev_of(view.clusters()[0])[1], 2u);
  EXPECT_TRUE(view.maglev_of(view.clusters()[2]).empty());
}

TEST(SnapshotView, listeners_are_found_by_exact_service_only) {
  const std::vector<std::byte> bytes = write_snapshot(example(), 1);
  const SnapshotView view = SnapshotView::open(bytes).value();
  EXPECT_EQ(view.find_listener(ip("10.96.0.10"), port(80), IpProto::tcp), &view.listeners()[0]);
  EXPECT_EQ(view.find_listener(ip("10.96.0.10"), port(81), IpProto::tcp), &view.listeners()[2]);
  EXPECT_EQ(view.find_listener(ip("fd96::10"), port(80), IpProto::tcp), &view.listeners()[1]);
  EXPECT_EQ(view.find_listener(ip("10.96.0.10"), port(80), IpProto::udp), nullptr);
  EXPECT_EQ(view.find_listener(ip("10.96.0.10"), port(82), IpProto::tcp), nullptr);
  EXPECT_EQ(view.find_listener(ip("10.96.0.11"), port(80), IpProto::tcp), nullptr);
  EXPECT_TRUE(view.serves_address(ip("fd96::10")));
  EXPECT_FALSE(view.serves_address(ip("fd96::11")));
  EXPECT_FALSE(view.serves_address(ip("10.10.2.1")));
}

TEST(SnapshotView, owns_node_addresses_within_the_reserved_range) {
  const std::vector<std::byte> bytes = write_snapshot(example(), 1);
  const SnapshotView view = SnapshotView::open(bytes).value();
  EXPECT_TRUE(view.owns_source(ip("10.10.2.1"), port(16384)));
  EXPECT_TRUE(view.owns_source(ip("fd10:2::1"), port(29999)));
  EXPECT_FALSE(view.owns_source(ip("10.10.2.1"), port(16383)));
  EXPECT_FALSE(view.owns_source(ip("10.10.2.1"), port(30000)));
  EXPECT_FALSE(view.owns_source(ip("10.10.2.2"), port(16384)));
}

TEST(SnapshotView, keepalive_may_be_off_and_cookies_always_on) {
  SnapshotContent c = example();
  c.node.proxy_keepalive_ms = 0;
  c.node.proxy_half_open_max = 0;
  EXPECT_EQ(error_of(write_snapshot(c, 1)), "");
}

TEST(SnapshotView, a_default_view_is_an_empty_configuration) {
  const SnapshotView view;
  EXPECT_EQ(view.epoch(), 0u);
  EXPECT_TRUE(view.listeners().empty());
  EXPECT_EQ(view.find_listener(ip("10.96.0.10"), port(80), IpProto::tcp), nullptr);
  EXPECT_FALSE(view.serves_address(ip("10.96.0.10")));
  EXPECT_FALSE(view.owns_source(ip("10.10.2.1"), port(16384)));
  SnapshotContent empty;
  empty.node = default_node_record();
  EXPECT_EQ(error_of(write_snapshot(empty, 1)), "");
}

TEST(SnapshotView, equal_content_has_equal_hash_whatever_the_epoch) {
  const auto a = write_snapshot(example(), 1);
  const auto b = write_snapshot(example(), 2);
  EXPECT_EQ(SnapshotView::open(a)->content_hash(), SnapshotView::open(b)->content_hash());
  SnapshotContent other = example();
  other.endpoints[0].weight = 3;
  const auto c = write_snapshot(other, 1);
  EXPECT_NE(SnapshotView::open(a)->content_hash(), SnapshotView::open(c)->content_hash());
}

TEST(SnapshotView, full_tables_are_found_entirely) {
  SnapshotContent c;
  c.node = default_node_record();
  c.clusters = {{1, 0, 0, 0, 0, 0}};
  for (std::uint32_t i = 0; i < kListenerMax; ++i) {
    ListenerRecord r = listener("10.96.0.10", static_cast<std::uint16_t>(1 + i % 7), i, 0);
    r.address = IpAddress::v4(10, 96, static_cast<std::uint8_t>(i / 7 / 256), static_cast<std::uint8_t>(i / 7));
    c.listeners.push_back(r);
  }
  const auto bytes = write_snapshot(c, 1);
  EXPECT_EQ(error_of(bytes), "");
  c.listeners.push_back(listener("10.97.0.1", 1, kListenerMax, 0));
  EXPECT_EQ(error_of(write_snapshot(c, 1)), "snapshot: listeners: 4097 records, allowed are 0 to 4096");
}

struct ContentRow {
  const char* name;
  std::function<void(SnapshotContent&)> damage;
  const char* error;
};

const ContentRow kContentRows[] = {
    {"source range reversed", [](auto& c) { c.node.source_port_low = 30000; },
     "snapshot: node[0]: source port range is empty or begins at 0"},
    {"source range from 0", [](auto& c) { c.node.source_port_low = 0; },
     "snapshot: node[0]: source port range is empty or begins at 0"},
    {"no flows", [](auto& c) { c.node.flow_max = 0; }, "snapshot: node[0]: flow_max is not 1..16777216"},
    {"no idle time", [](auto& c) { c.node.udp_stream_ms = 0; },
     "snapshot: node[0]: an idle time is not 1..604800000 ms"},
    {"parked", [](auto& c) { c.node.parked_max = kParkedMax + 1; }, "snapshot: node[0]: parked_max is above 65536"},
    {"no proxied connections", [](auto& c) { c.node.proxy_connections_max = 0; },
     "snapshot: node[0]: proxy_connections_max is not 1..1048576"},
    {"half open", [](auto& c) { c.node.proxy_half_open_max = kProxyConnectionMax + 1; },
     "snapshot: node[0]: proxy_half_open_max is above 1048576"},
    {"no time to connect", [](auto& c) { c.node.proxy_connect_ms = 0; },
     "snapshot: node[0]: a time of proxy is not 1..604800000 ms"},
    {"time wait", [](auto& c) { c.node.proxy_time_wait_ms = kTimeoutMsMax + 1; },
     "snapshot: node[0]: a time of proxy is not 1..604800000 ms"},
    {"proxy idle", [](auto& c) { c.node.proxy_idle_ms = 0; },
     "snapshot: node[0]: a time of proxy is not 1..604800000 ms"},
    {"keepalive", [](auto& c) { c.node.proxy_keepalive_ms = kTimeoutMsMax + 1; },
     "snapshot: node[0]: proxy_keepalive_ms is above 604800000"},
    {"small buffer", [](auto& c) { c.node.proxy_buffer_octets = kProxyBufferMin - 1; },
     "snapshot: node[0]: proxy_buffer_octets is not 16384..16777216"},
    {"large buffer", [](auto& c) { c.node.proxy_buffer_octets = kProxyBufferMax + 1; },
     "snapshot: node[0]: proxy_buffer_octets is not 16384..16777216"},
    {"congestion", [](auto& c) { c.node.proxy_congestion = Congestion{2}; },
     "snapshot: node[0]: proxy_congestion is unknown"},
    {"node reserved", [](auto& c) { c.node.zero = 1; }, "snapshot: node[0]: reserved field is not 0"},
    {"node address multicast", [](auto& c) { c.node_addresses[1] = ip("ff02::1"); },
     "snapshot: node_addresses[1]: is no host address"},
    {"node address twice", [](auto& c) { c.node_addresses[1] = c.node_addresses[0]; },
     "snapshot: node_addresses[1]: is listed twice: 10.10.2.1"},
    {"endpoint unspecified", [](auto& c) { c.endpoints[1].address = ip("0.0.0.0"); },
     "snapshot: endpoints[1]: is no host address: 0.0.0.0"},
    {"endpoint port", [](auto& c) { c.endpoints[1].port = Be16{}; }, "snapshot: endpoints[1]: port is 0"},
    {"endpoint weight", [](auto& c) { c.endpoints[0].weight = 1001; },
     "snapshot: endpoints[0]: weight 1001 is above 1000"},
    {"endpoint health", [](auto& c) { c.endpoints[0].health = EndpointHealth{2}; },
     "snapshot: endpoints[0]: health is unknown"},
    {"table value unhealthy", [](auto& c) { c.endpoints[2].health = EndpointHealth::unhealthy; },
     "snapshot: maglev[1]: value 2 is no endpoint that takes flows of clusters[0]"},
    {"all unhealthy, no panic", [](auto& c) { c.endpoints[3].health = EndpointHealth::unhealthy; },
     "snapshot: clusters[1]: Maglev table without endpoints that take flows"},
    {"endpoint slot", [](auto& c) { c.endpoints[0].stat_slot = kStatSlotMax; },
     "snapshot: endpoints[0]: stat_slot 16384 is not below 16384"},
    {"cluster gap", [](auto& c) { c.clusters[1].first_endpoint = 4; },
     "snapshot: clusters[1]: first_endpoint is 4, expected 3"},
    {"cluster too long", [](auto& c) { c.clusters[2].endpoint_count = 2; },
     "snapshot: clusters[2]: endpoints end behind their section"},
    {"cluster count huge", [](auto& c) { c.clusters[0].endpoint_count = 0xffffffff; },
     "snapshot: clusters[0]: more than 1024 endpoints"},
    {"endpoint of no cluster",
     [](auto& c) {
       c.clusters.pop_back();
       c.listeners.pop_back();
     },
     "snapshot: endpoints[4]: belongs to no cluster"},
    {"cluster reserved", [](auto& c) { c.clusters[0].flags = 2; }, "snapshot: clusters[0]: flag is unknown"},
    {"no table", [](auto& c) { c.clusters[0].maglev_size = 0; },
     "snapshot: clusters[0]: endpoints that take flows but no Maglev table"},
    {"table of drained cluster", [](auto& c) { c.clusters[2].maglev_size = 3; },
     "snapshot: clusters[2]: Maglev table without endpoints that take flows"},
    {"table too long", [](auto& c) { c.clusters[1].maglev_size = 5; },
     "snapshot: clusters[1]: Maglev table ends behind its section"},
    {"table offset huge", [](auto& c) { c.clusters[1].maglev_offset = 0xfffffffe; },
     "snapshot: clusters[1]: Maglev table ends behind its section"},
    {"table not prime", [](auto& c) { c.clusters[0].maglev_size = 6; },
     "snapshot: clusters[0]: Maglev size 6 is not a prime up to 65537"},
    {"table value past cluster", [](auto& c) { c.maglev[8] = 1; },
     "snapshot: maglev[8]: value 1 is no endpoint that takes flows of clusters[1]"},
    {"table value drained", [](auto& c) { c.maglev[3] = 1; },
     "snapshot: maglev[3]: value 1 is no endpoint that takes flows of clusters[0]"},
    {"listener address", [](auto& c) { c.listeners[0].address = ip("224.0.0.1"); },
     "snapshot: listeners[0]: is no host address: 224.0.0.1"},
    {"listener port", [](auto& c) { c.listeners[0].port = Be16{}; }, "snapshot: listeners[0]: port is 0"},
    {"listener protocol", [](auto& c) { c.listeners[0].proto = IpProto::icmp; },
     "snapshot: listeners[0]: protocol is neither TCP nor UDP"},
    {"listener policy", [](auto& c) { c.listeners[0].policy = Policy{3}; },
     "snapshot: listeners[0]: policy is unknown"},
    {"listener forwarding", [](auto& c) { c.listeners[0].forwarding = Forwarding{2}; },
     "snapshot: listeners[0]: forwarding is unknown"},
    {"listener default", [](auto& c) { c.listeners[0].ask_default = Decision{2}; },
     "snapshot: listeners[0]: ask_default is unknown"},
    {"listener flag", [](auto& c) { c.listeners[0].flags = 32; }, "snapshot: listeners[0]: flag is unknown"},
    {"forwarding of a proxy",
     [](auto& c) {
       c.listeners[0].mode = ListenerMode::proxy;
       c.listeners[0].flags = kListenerForward;
     },
     "snapshot: listeners[0]: forwarding in XDP without mode l4"},
    {"splice of l4", [](auto& c) { c.listeners[0].flags = kListenerSplice; },
     "snapshot: listeners[0]: splice without mode proxy, or with HTTP or a tunnel"},
    {"splice of a tunnel",
     [](auto& c) {
       c.listeners[0].mode = ListenerMode::proxy;
       c.listeners[0].flags = kListenerSplice | kListenerTunnel;
     },
     "snapshot: listeners[0]: splice without mode proxy, or with HTTP or a tunnel"},
    {"listener mode", [](auto& c) { c.listeners[0].mode = ListenerMode{2}; },
     "snapshot: listeners[0]: mode is unknown"},
    {"proxy of UDP",
     [](auto& c) {
       c.listeners[0].proto = IpProto::udp;
       c.listeners[0].mode = ListenerMode::proxy;
     },
     "snapshot: listeners[0]: mode proxy without TCP"},
    {"proxy with DNAT", [](auto& c) { c.listeners[2].mode = ListenerMode::proxy; },
     "snapshot: listeners[2]: mode proxy without FullNAT"},
    {"listener slot", [](auto& c) { c.listeners[0].stat_slot = 0xffffffff; },
     "snapshot: listeners[0]: stat_slot 4294967295 is not below 16384"},
    {"ask without deadline", [](auto& c) { c.listeners[1].ask_deadline_ms = 0; },
     "snapshot: listeners[1]: policy ask without a deadline"},
    {"deadline", [](auto& c) { c.listeners[1].ask_deadline_ms = 0xffffffff; },
     "snapshot: listeners[1]: ask_deadline_ms is above one week"},
    {"no such cluster", [](auto& c) { c.listeners[1].cluster = 3; },
     "snapshot: listeners[1]: cluster 3 does not exist"},
    {"family", [](auto& c) { c.listeners[1].cluster = 0; },
     "snapshot: listeners[1]: cluster has endpoints of the other address family"},
    {"no node address", [](auto& c) { c.node_addresses.pop_back(); },
     "snapshot: listeners[1]: FullNAT without a node address of its family"},
    {"same service", [](auto& c) { c.listeners[2].port = port(80); },
     "snapshot: listener_slots[2]: listener is not found by its service; another has the same service, or the slots "
     "are wrong"},
    {"same listener id", [](auto& c) { c.listeners[2].id = 101; }, "snapshot: listeners[1]: id 101 is used twice"},
    {"same endpoint id", [](auto& c) { c.endpoints[4].id = 203; }, "snapshot: endpoints[3]: id 203 is used twice"},
    {"same stat slot", [](auto& c) { c.endpoints[4].stat_slot = 2; },
     "snapshot: endpoints[4]: stat_slot 2 is used twice"},
};

TEST(SnapshotView, refuses_records_that_break_a_rule_and_names_them) {
  for (const ContentRow& row : kContentRows) {
    SnapshotContent c = example();
    row.damage(c);
    EXPECT_EQ(error_of(write_snapshot(c, 1)), row.error) << row.name;
  }
}

TEST(SnapshotView, in_panic_unhealthy_endpoints_take_flows) {
  SnapshotContent c = example();
  c.endpoints[3].health = EndpointHealth::unhealthy;
  c.clusters[1].flags = kClusterPanic;
  EXPECT_EQ(error_of(write_snapshot(c, 1)), "");
}

TEST(SnapshotView, a_draining_listener_may_point_to_a_cluster_of_another_family) {
  SnapshotContent c = example();
  c.listeners[1].cluster = 0;
  c.listeners[1].flags = kListenerDraining;
  EXPECT_EQ(error_of(write_snapshot(c, 1)), "");
}

struct BytesRow {
  const char* name;
  std::function<void(SnapshotHeader&, std::vector<std::byte>&)> damage;
  const char* error;
};
SectionRef& section(SnapshotHeader& h, SnapshotSection s) { return h.sections[static_cast<std::size_t>(s)]; }
void put_slot(SnapshotHeader& h, std::vector<std::byte>& bytes, SnapshotSection s, std::size_t at,
              std::uint32_t value) {
  std::memcpy(bytes.data() + section(h, s).offset + 4 * at, &value, 4);
}
/// First slot that holds `value`.
std::size_t slot_of(SnapshotHeader& h, std::vector<std::byte>& bytes, SnapshotSection s, std::uint32_t value) {
  for (std::size_t at = 0;; ++at) {
    std::uint32_t got;
    std::memcpy(&got, bytes.data() + section(h, s).offset + 4 * at, 4);
    if (got == value) return at;
  }
}
using enum SnapshotSection;

const BytesRow kBytesRows[] = {
    {"magic", [](auto& h, auto&) { h.magic = 0; }, "magic is wrong"},
    {"layout", [](auto& h, auto&) { h.layout = 9; }, "layout 9, expected 5"},
    {"reserved", [](auto& h, auto&) { h.zero = 1; }, "header: reserved field"},
    {"too few octets", [](auto&, auto& b) { b.pop_back(); }, "octets, there are"},
    {"entry size", [](auto& h, auto&) { section(h, endpoints).entry_octets = 28; },
     "snapshot: endpoints: records of 28 octets, expected 40"},
    {"no node", [](auto& h, auto&) { section(h, node).count = 0; }, "snapshot: node: 0 records"},
    {"count", [](auto& h, auto&) { section(h, maglev).count = 0xffffffff; }, "snapshot: maglev: 4294967295 records"},
    {"unaligned", [](auto& h, auto&) { section(h, maglev).offset += 2; }, "snapshot: maglev: offset is not a multiple"},
    {"in the header", [](auto& h, auto&) { section(h, maglev).offset = 64; }, "snapshot: maglev: begins inside"},
    {"past the end", [](auto& h, auto&) { section(h, maglev).offset = h.octets; }, "snapshot: maglev: ends behind"},
    {"offset wraps", [](auto& h, auto&) { section(h, maglev).offset = ~std::uint64_t{63}; },
     "snapshot: maglev: ends behind"},
    {"overlap", [](auto& h, auto&) { section(h, clusters).offset = section(h, listeners).offset; },
     "snapshot: clusters: overlaps section listeners"},
    {"hash", [](auto& h, auto&) { h.content_hash ^= 1; }, "content_hash does not match"},
    {"slots not a power of two", [](auto& h, auto&) { section(h, listener_slots).count = 7; },
     "snapshot: listener_slots[0]: number of slots is not a power of two"},
    {"slot past listeners", [](auto& h, auto& b) { put_slot(h, b, listener_slots, 0, 3); }, "points to no listener"},
    {"slot twice",
     [](auto& h, auto& b) { put_slot(h, b, listener_slots, slot_of(h, b, listener_slots, kEmptySlot), 0); },
     "points to a listener that another slot has"},
    {"slot missing",
     [](auto& h, auto& b) { put_slot(h, b, listener_slots, slot_of(h, b, listener_slots, 1), kEmptySlot); },
     "snapshot: listener_slots[0]: some listener has no slot"},
    {"slots exchanged",
     [](auto& h, auto& b) {
       const std::size_t empty = slot_of(h, b, listener_slots, kEmptySlot);
       const std::size_t full = slot_of(h, b, listener_slots, 1);
       put_slot(h, b, listener_slots, full, kEmptySlot);
       put_slot(h, b, listener_slots, (full + 4) % 8 == empty ? empty : (full + 4) % 8, 1);
     },
     "snapshot: listener_slots["},
    {"address missing",
     [](auto& h, auto& b) { put_slot(h, b, address_slots, slot_of(h, b, address_slots, 1), kEmptySlot); },
     "snapshot: address_slots[1]: listener is not found by its address"},
};

TEST(SnapshotView, refuses_bytes_that_break_a_rule_and_names_the_section) {
  for (const BytesRow& row : kBytesRows) {
    std::vector<std::byte> bytes = write_snapshot(example(), 1);
    SnapshotHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    row.damage(header, bytes);
    if (std::string_view{row.name} != "hash") header.content_hash = hash64(ByteView{bytes}.subspan(sizeof header));
    std::memcpy(bytes.data(), &header, sizeof header);
    const std::string error = error_of(bytes);
    EXPECT_NE(error.find(row.error), std::string::npos) << row.name << ": " << error;
  }
}

TEST(SnapshotView, seeds_of_its_fuzzer_have_todays_records) {
  const auto seed = [](const char* name, auto&& change) {
    SnapshotContent c = example();
    change(c);
    test::expect_seed(name, c);
  };
  seed("both_families", [](auto&) {});
  seed("no_listeners", [](auto& c) { c.listeners.clear(); });
  seed("one_listener", [](auto& c) { c.listeners.resize(1); });
  seed("panic", [](auto& c) {
    c.endpoints[3].health = EndpointHealth::unhealthy;
    c.clusters[1].flags = kClusterPanic;
  });
  seed("proxy", [](auto& c) {
    c.listeners[0].mode = ListenerMode::proxy;
    c.listeners[0].flags = kListenerProxyProtocol | kListenerTunnel;
  });
  seed("unhealthy", [](auto& c) {
    c.endpoints[2].health = EndpointHealth::unhealthy;
    std::fill_n(c.maglev.begin(), 7, std::uint16_t{0});
  });
}

TEST(SnapshotView, any_flipped_bit_behind_the_header_is_noticed) {
  std::vector<std::byte> bytes = write_snapshot(example(), 1);
  std::mt19937_64 rng{7};
  for (int i = 0; i < 2000; ++i) {
    const std::size_t at = sizeof(SnapshotHeader) + rng() % (bytes.size() - sizeof(SnapshotHeader));
    const std::byte bit = std::byte{1} << (rng() % 8);
    bytes[at] ^= bit;
    EXPECT_FALSE(SnapshotView::open(bytes).ok()) << at;
    bytes[at] ^= bit;
  }
  EXPECT_TRUE(SnapshotView::open(bytes).ok());
}

TEST(SnapshotView, every_truncation_is_refused) {
  const std::vector<std::byte> bytes = write_snapshot(example(), 1);
  for (std::size_t octets = 0; octets < bytes.size(); ++octets)
    EXPECT_FALSE(SnapshotView::open(ByteView{bytes}.first(octets)).ok()) << octets;
}

}  // namespace
}  // namespace penstock::control
