// setting_test_support.h - a proxy with one listener and one cluster of four endpoints, on legs that are not TCP's.
//
// Model     change the records, configure(), then ask or drive the legs by hand. Time stands unless wait() moves it.
// Errors    whatever does not work at all breaks an invariant.
#pragma once
#include <memory>
#include <vector>

#include "dataplane/control/snapshot_writer.h"
#include "l7/proxy/fake_legs_test_support.h"
#include "l7/proxy/proxy.h"
#include "l7/route/compile/compiler.h"

namespace penstock::proxy::test {

/// One listener whose requests all go to one cluster of four endpoints.
struct Setting {
  Setting() {
    const route::Route all{.action = route::Forward{.clusters = {{"c"}}}};
    route::Compiler compiler;
    auto compiled = compiler.compile({{{.name = "v", .domains = {"*"}, .routes = {all}}}}, route::Databases::all);
    image = std::move(compiled->image);
    tables.push_back(*route::LoadedTable::load(image.bytes()));
    require(scratch.grow(tables[0]).ok(), "scratch");
    http.header_timeout_ms = http.idle_timeout_ms = 1000;
    for (std::uint32_t i = 0; i < endpoints.size(); ++i) {
      endpoints[i].weight = 1;
      endpoints[i].id = endpoints[i].stat_slot = i + 1;
    }
    content.node = control::default_node_record();
    ListenerView listener{.id = 1, .http = &http, .table = &tables[0]};
    listener.clusters = numbers;
    listener.route_slots = slots;
    listener.route_policies = policies;
    config.listeners = {listener};
    config.clusters = {{1, &cluster, &policy, endpoints, {}, {}, {}}};
  }
  /// Makes a text that records may refer to.
  control::TextRef text(std::string_view words) {
    const control::TextRef ref = control::add_text(content, words);
    bytes = control::write_snapshot(content, 1);
    config.snapshot = *control::SnapshotView::open(bytes);
    return ref;
  }
  void configure() { proxy.configure(&config, &scratch); }
  void wait(std::uint32_t ms) {
    now += std::chrono::milliseconds{ms};
    proxy.begin_round(now);
  }
  void tell(Leg leg, const LegEvents& events) { proxy.on_leg(leg, legs.at(leg).token, events); }
  /// The leg of a client that has sent this.
  Leg send(const std::string& octets) {
    const Leg client = legs.connect();
    proxy.on_leg(client, kNoToken, {.connected = true});
    legs.at(client).in = octets;
    tell(client, {.received = true});
    return client;
  }
  /// Endpoint (1..) that a request goes to; it answers at once.
  std::uint32_t ask(const std::string& status = "200 OK") {
    const Leg client = send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    const auto upstream = static_cast<Leg>(legs.legs.size() - 1);
    require(legs.at(upstream).upstream, "a request that went nowhere");
    legs.at(upstream).in = "HTTP/1.1 " + status + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    tell(upstream, {.connected = true, .received = true});
    require(!legs.legs[client].alive, "an answer that did not come");
    return legs.dialled.back();
  }
  /// How many of `count` requests each gets.
  std::array<std::uint32_t, 5> spread(std::uint32_t count) {
    std::array<std::uint32_t, 5> out{};
    for (std::uint32_t n = 0; n < count; ++n) ++out[ask()];
    return out;
  }

  control::SnapshotContent content;
  std::vector<std::byte> bytes;
  route::Image image;
  std::vector<route::LoadedTable> tables;
  route::Scratch scratch;
  control::HttpListenerRecord http{};
  control::ClusterRecord cluster{1, 0, 4, 0, 0, 0};
  control::ClusterPolicyRecord policy{};
  std::array<control::EndpointRecord, 4> endpoints{};
  std::array<std::uint32_t, 1> numbers{0}, policies{control::kNoPolicy};
  std::array<std::uint16_t, 1> slots{0};
  Config config;
  Instant now{std::chrono::seconds{1000}};
  FakeLegs legs;
  std::unique_ptr<control::WorkerCounters> counters{std::make_unique<control::WorkerCounters>()};
  HttpProxy proxy{{.connections_max = 16, .upstreams_max = 16, .buffers_max = 8}, legs, *counters, 7};
};

}  // namespace penstock::proxy::test
