// proxy_bench: what the proxy itself costs per request: both heads parsed, a route among 100 found, an endpoint chosen,
// heads written anew. TCP is memory here (FakeLegs): its strings are in the figure, a device is not.
//
// Model     one client connection and one endpoint connection, both kept; an exchange is a request without a body and
//           an answer of 100 octets. `octets` of an exchange come out: two versions can be seen to do the same.
#include <benchmark/benchmark.h>

#include <memory>

#include "l7/proxy/fake_legs_test_support.h"
#include "l7/proxy/proxy.h"
#include "l7/route/compile/compiler.h"

namespace penstock::proxy {
namespace {

constexpr std::size_t kRoutes = 100;

const std::array<std::string, 2> kRequests{
    "GET /r99/abc/42 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench/1\r\n\r\n",
    "GET /r99/abc/42 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) "
    "Gecko/20100101\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-GB,en;q=0.5\r\n"
    "Accept-Encoding: gzip, deflate\r\nReferer: http://shop.example/r99/abc/41\r\nCookie: session=0123456789abcdef; "
    "theme=dark\r\n"
    "X-Request-Id: 7b1f7d4e-2f0a-4f47-9d0e-6a1f4d0a9c11\r\nCache-Control: no-cache\r\nPragma: no-cache\r\n\r\n"};
const std::string kAnswer =
    "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n" +
    std::string(100, 'b');

/// A table of regular expressions of which the last takes the path, and one cluster.
struct Given {
  Given() {
    std::vector<route::Route> routes;
    for (std::size_t i = 0; i < kRoutes; ++i)
      routes.push_back({.match = {.path = {route::PathKind::regex, "/r" + std::to_string(i) + "/[a-z]+/[0-9]+"}},
                        .action = route::Forward{.clusters = {{"c"}}, .timeout_ms = 15000}});
    auto compiled = compiler.compile({{{.name = "v", .domains = {"*"}, .routes = routes}}}, route::Databases::all);
    require(compiled.ok(), "the table compiles");
    image = std::move(compiled->image);
    tables.push_back(*route::LoadedTable::load(image.bytes()));
    require(scratch.grow(tables[0]).ok(), "scratch");
    http.header_timeout_ms = 10000;
    http.idle_timeout_ms = 60000;
    policy.max_connections = 16;
    endpoints[0].weight = endpoints[1].weight = 1;
    endpoints[0].id = 1;
    endpoints[1].id = 2;
    config.listeners = {{1, &http, &tables[0], cluster_numbers, slots}};
    config.clusters = {{1, &cluster, &policy, endpoints, {}, {}, {}}};
  }
  route::Compiler compiler;
  route::Image image;
  std::vector<route::LoadedTable> tables;
  route::Scratch scratch;
  control::HttpListenerRecord http{};
  control::ClusterRecord cluster{1, 0, 2, 0, 0, 0};
  control::ClusterPolicyRecord policy{};
  std::array<control::EndpointRecord, 2> endpoints{};
  std::array<std::uint32_t, 1> cluster_numbers{0};
  std::array<std::uint16_t, kRoutes> slots{};
  Config config;
};

void exchange(benchmark::State& state) {
  const std::string& request = kRequests[static_cast<std::size_t>(state.range(0))];
  Given given;
  const auto counters = std::make_unique<control::WorkerCounters>();
  test::FakeLegs legs;
  HttpProxy proxy{{.connections_max = 16, .upstreams_max = 16, .buffers_max = 16}, legs, *counters, 7};
  proxy.configure(&given.config, &given.scratch);
  Instant now{std::chrono::seconds{1000}};
  proxy.begin_round(now);
  const Leg client = legs.connect();
  proxy.on_leg(client, kNoToken, {.connected = true});
  const auto tell = [&](Leg leg, const LegEvents& events) { proxy.on_leg(leg, legs.at(leg).token, events); };
  std::uint64_t octets = 0;
  bool connected = false;
  for (auto _ : state) {
    legs.at(client).in += request;
    tell(client, {.received = true});
    if (legs.legs.size() < 2) return state.SkipWithError("no endpoint was called");
    const Leg upstream = static_cast<Leg>(legs.legs.size() - 1);
    if (!connected) tell(upstream, {.connected = true});
    connected = true;
    auto& far = legs.at(upstream);
    if (far.out.empty()) return state.SkipWithError("no request came out");
    octets += far.out.size();
    far.out.clear();
    far.room = 1u << 20;
    far.in += kAnswer;
    tell(upstream, {.received = true});
    auto& near = legs.at(client);
    if (!near.out.ends_with("bb")) return state.SkipWithError("no answer came out");
    octets += near.out.size();
    near.out.clear();
    near.room = 1u << 20;
  }
  state.counters["octets"] = static_cast<double>(octets) / static_cast<double>(state.iterations());
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(exchange)->Arg(0)->Arg(1)->ArgName("head");

}  // namespace
}  // namespace penstock::proxy
