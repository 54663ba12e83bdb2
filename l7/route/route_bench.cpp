// Route lookups in nanoseconds, compiled and linear on the same requests in the same run, and what compiling takes.
//
// Mix     30 % exact, 50 % prefix, 20 % expressions; 15 % of the routes with a header condition; 10 % of the requests
//         hit nothing. Order shuffled. Half of the expressions begin with a fixed text of their own, half with one
//         that most paths share ("/", "/v"), so that their scan cannot be avoided by looking at the beginning.
// Args    routes in all / hosts. Each iteration is one lookup, round and round over 4,096 requests with 8 headers.
// Check   before anything is timed, both engines must agree on every request.
#include <benchmark/benchmark.h>
#include <re2/re2.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "l7/route/compile/compiler.h"
#include "l7/route/match.h"
#include "tests/support/seeded.h"

namespace {

using namespace penstock;
using namespace penstock::route;
using penstock::test::Seeded;

constexpr std::size_t kRequests = 4'096;

struct Request {
  std::string host, path;
  std::vector<std::pair<std::string, std::string>> headers;
  std::vector<HeaderField> fields;
  RequestView view;
};
struct Scenario {
  RouteTable table;
  std::vector<Request> requests;
  Image image;
};

std::string number(std::size_t value) { return std::to_string(value); }

/// The expression of a route, and a path that it matches.
std::pair<std::string, std::string> expression(Seeded& seeded, std::size_t i) {
  const std::string id = number(i), some = number(seeded.below(100'000));
  switch (i % 4) {
    case 0:
      return {"/service-" + id + "/items/[0-9]+(/[a-z]+)?", "/service-" + id + "/items/" + some + "/detail"};
    case 1:
      return {"/api/group" + id + "/[^/]+/orders/\\d+", "/api/group" + id + "/alice/orders/" + some};
    case 2:
      return {"/v[0-9]+/tenant" + id + "/.*", "/v2/tenant" + id + "/report/" + some};
    default:
      return {"/[a-z]+/region" + id + "/(list|get|put)/[0-9a-f]+", "/store/region" + id + "/get/" + some};
  }
}

Route make_route(Seeded& seeded, std::size_t i, std::string& path) {
  Route route;
  const std::string id = number(i);
  const std::size_t kind = seeded.below(10);
  if (kind < 3) {
    path = (i % 2 == 0 ? "/api/v1/service" : "/v1/catalog") + id + "/status";
    route.match.path = {PathKind::exact, path};
  } else if (kind < 8) {
    route.match.path = {PathKind::prefix, (i % 2 == 0 ? "/service-" : "/v1/shop/") + id + "/"};
    path = route.match.path.value + "products/" + number(seeded.below(100'000));
  } else {
    const auto [pattern, example] = expression(seeded, i);
    route.match.path = {PathKind::regex, pattern};
    path = example;
  }
  if (seeded.below(100) < 15) route.match.headers.push_back({"x-canary", ValueKind::exact, "group" + number(i % 8)});
  route.action = Forward{{{"cluster" + number(i % 50)}}};
  return route;
}

Request make_request(std::string host, std::string path, const Route* route) {
  Request request;
  request.host = std::move(host);
  request.path = std::move(path);
  request.headers = {{"user-agent", "bench/1.0"},          {"accept", "*/*"},
                     {"accept-encoding", "gzip"},          {"content-type", "application/json"},
                     {"x-request-id", "0123456789abcdef"}, {"x-forwarded-for", "10.0.0.1"},
                     {"cookie", "session=0123456789"}};
  const bool canary = route != nullptr && !route->match.headers.empty();
  request.headers.emplace_back("x-canary", canary ? route->match.headers[0].value : "none");
  return request;
}

std::unique_ptr<Scenario> make_scenario(std::size_t routes, std::size_t hosts) {
  Seeded seeded{routes + hosts};
  auto scenario = std::make_unique<Scenario>();
  struct Example {
    std::size_t host, route;
    std::string path;
  };
  std::vector<Example> examples;
  for (std::size_t h = 0; h < hosts; ++h) {
    VirtualHost host{"host" + number(h), {"service" + number(h) + ".mesh.example"}, {}};
    for (std::size_t i = 0; i < routes / hosts; ++i) {
      std::string path;
      host.routes.push_back(make_route(seeded, h * (routes / hosts) + i, path));
      examples.push_back({h, i, path});
    }
    scenario->table.virtual_hosts.push_back(std::move(host));
  }
  for (std::size_t i = 0; i < kRequests; ++i) {
    const Example& example = examples[seeded.below(examples.size())];
    const VirtualHost& host = scenario->table.virtual_hosts[example.host];
    const bool miss = seeded.below(10) == 0;
    scenario->requests.push_back(
        make_request(host.domains[0], miss ? "/nothing/here/" + number(i) : example.path, &host.routes[example.route]));
  }
  for (Request& request : scenario->requests) {
    for (const auto& [name, value] : request.headers) request.fields.push_back(HeaderField::of(name, value));
    request.view = {request.host, request.path, {}, "GET", "http", request.fields};
  }
  auto compiled = Compiler{}.compile(scenario->table, Databases::all);
  require(compiled.ok(), "table compiles");
  scenario->image = std::move(compiled->image);
  return scenario;
}

const Scenario& scenario(std::size_t routes, std::size_t hosts) {
  static std::map<std::pair<std::size_t, std::size_t>, std::unique_ptr<Scenario>> made;
  auto& entry = made[{routes, hosts}];
  if (entry == nullptr) entry = make_scenario(routes, hosts);
  return *entry;
}
const Scenario& scenario(const benchmark::State& state) {
  return scenario(static_cast<std::size_t>(state.range(0)), static_cast<std::size_t>(state.range(1)));
}

/// What proxies do that try routes in order: host by hash, then a loop. No allocation, expressions by RE2.
class LinearScan {
 public:
  explicit LinearScan(const RouteTable& table) {
    for (const VirtualHost& host : table.virtual_hosts) {
      auto& routes = hosts_[host.domains[0]];
      for (const Route& route : host.routes) {
        Entry entry{&route, nullptr, 0};
        if (route.match.path.kind == PathKind::regex)
          entry.regex = std::make_unique<RE2>(route.match.path.value, RE2::Latin1);
        if (!route.match.headers.empty()) entry.name_hash = header_name_hash(route.match.headers[0].name);
        routes.push_back(std::move(entry));
      }
    }
  }
  std::uint32_t match(const RequestView& request) const {
    const auto& routes = hosts_.find(request.host)->second;
    for (std::size_t i = 0; i < routes.size(); ++i)
      if (matches(routes[i], request)) return static_cast<std::uint32_t>(i);
    return kNoRoute;
  }

 private:
  struct Entry {
    const Route* route;
    std::unique_ptr<RE2> regex;
    std::uint32_t name_hash;
  };
  static bool matches(const Entry& entry, const RequestView& request) {
    const PathMatch& path = entry.route->match.path;
    if (path.kind == PathKind::exact ? request.path != path.value
        : path.kind == PathKind::prefix
            ? !request.path.starts_with(path.value)
            : !RE2::FullMatch(re2::StringPiece{request.path.data(), request.path.size()}, *entry.regex))
      return false;
    if (entry.name_hash == 0) return true;
    const ValueMatch& header = entry.route->match.headers[0];
    return std::any_of(request.headers.begin(), request.headers.end(), [&](const HeaderField& field) {
      return field.name_hash == entry.name_hash && field.name == header.name && field.value == header.value;
    });
  }
  std::map<std::string, std::vector<Entry>, std::less<>> hosts_;
};

void compiled(benchmark::State& state, bool databases) {
  const Scenario& given = scenario(state);
  Image image;
  if (!databases) image = std::move(Compiler{}.compile(given.table, Databases::known)->image);
  const auto table = LoadedTable::load(databases ? given.image.bytes() : image.bytes());
  Scratch scratch;
  require(table.ok() && scratch.grow(*table).ok(), "table loads");
  const LinearScan linear{given.table};
  for (const Request& request : given.requests)
    require(match(*table, request.view, scratch, 0).route == linear.match(request.view), "engines agree");
  std::uint64_t result = 0;
  std::size_t next = 0;
  for (auto _ : state) {
    const MatchResult found = match(*table, given.requests[next].view, scratch, next);
    result += found.route;
    next = (next + 1) % kRequests;
  }
  benchmark::DoNotOptimize(result);
  state.counters["scans_per_lookup"] =
      static_cast<double>(scratch.counters().scans) / static_cast<double>(kRequests + state.iterations());
}
void lookup(benchmark::State& state) { compiled(state, true); }
void lookup_without_databases(benchmark::State& state) { compiled(state, false); }

void linear_re2(benchmark::State& state) {
  const Scenario& given = scenario(state);
  const LinearScan linear{given.table};
  std::uint64_t result = 0;
  std::size_t next = 0;
  for (auto _ : state) {
    result += linear.match(given.requests[next].view);
    next = (next + 1) % kRequests;
  }
  benchmark::DoNotOptimize(result);
}

void mixes(benchmark::internal::Benchmark* bench) {
  bench->Args({100, 1})->Args({1'000, 1})->Args({10'000, 1})->Args({1'000, 50})->Args({10'000, 500});
}
BENCHMARK(lookup)->Apply(mixes);
BENCHMARK(linear_re2)->Apply(mixes);
BENCHMARK(lookup_without_databases)->Apply(mixes);

/// The first against the last route of its kind and shape of text, on one host of 1,000: 0 = first, 1 = last. Among
/// all, the last literal pays for asking whether an earlier expression matches; the first does not.
void position(benchmark::State& state, PathKind kind, bool regexes) {
  RouteTable table;
  table.virtual_hosts.push_back({"h", {"h.example"}, {}});
  Seeded seeded{7};
  std::vector<std::string> paths;
  for (std::size_t i = 1'000; i < 2'000; ++i) {
    std::string path;
    Route route = make_route(seeded, i, path);
    route.match.headers.clear();
    if (route.match.path.kind == PathKind::regex && !regexes) continue;
    if (route.match.path.kind == kind && i % 4 == 0) paths.push_back(path);
    table.virtual_hosts[0].routes.push_back(std::move(route));
  }
  const auto image = Compiler{}.compile(table, Databases::all);
  const auto loaded = LoadedTable::load(image->image.bytes());
  Scratch scratch;
  require(loaded.ok() && scratch.grow(*loaded).ok(), "table loads");
  const RequestView request{"h.example", state.range(0) == 0 ? paths.front() : paths.back(), {}, "GET", "http", {}};
  std::uint64_t result = 0;
  for (auto _ : state) benchmark::DoNotOptimize(result += match(*loaded, request, scratch, 0).route);
  state.counters["route"] = match(*loaded, request, scratch, 0).route;
}
BENCHMARK_CAPTURE(position, exact_among_literals, PathKind::exact, false)->Arg(0)->Arg(1);
BENCHMARK_CAPTURE(position, prefix_among_literals, PathKind::prefix, false)->Arg(0)->Arg(1);
BENCHMARK_CAPTURE(position, exact_among_all, PathKind::exact, true)->Arg(0)->Arg(1);
BENCHMARK_CAPTURE(position, regex_among_all, PathKind::regex, true)->Arg(0)->Arg(1);

/// From configuration to image: everything anew, only what needs no database, and nothing but one changed host.
void compile(benchmark::State& state, Databases databases) {
  const Scenario& given = scenario(state);
  std::size_t octets = 0;
  for (auto _ : state) {
    auto compiled = Compiler{}.compile(given.table, databases);
    octets = compiled->image.bytes().size();
  }
  state.counters["octets"] = static_cast<double>(octets);
}
void compile_all(benchmark::State& state) { compile(state, Databases::all); }
void compile_known(benchmark::State& state) { compile(state, Databases::known); }
void compile_one_changed_host(benchmark::State& state) {
  RouteTable table = scenario(state).table;
  Compiler compiler;
  require(compiler.compile(table, Databases::all).ok(), "table compiles");
  std::size_t round = 0;
  for (auto _ : state) {
    Route extra;
    extra.match.path = {PathKind::regex, "/extra/[0-9]{" + number(round++ % 500 + 1) + "}"};
    extra.action = DirectResponse{};
    table.virtual_hosts[0].routes.back() = extra;
    const auto compiled = compiler.compile(table, Databases::all);
    require(compiled->report.databases_compiled <= 1, "only the changed host is compiled");
  }
}
void load(benchmark::State& state) {
  const Scenario& given = scenario(state);
  for (auto _ : state) benchmark::DoNotOptimize(LoadedTable::load(given.image.bytes()).ok());
}
BENCHMARK(compile_all)->Apply(mixes)->Unit(benchmark::kMillisecond);
BENCHMARK(compile_known)->Apply(mixes)->Unit(benchmark::kMillisecond);
BENCHMARK(compile_one_changed_host)->Args({1'000, 50})->Args({10'000, 500})->Unit(benchmark::kMillisecond);
BENCHMARK(load)->Apply(mixes)->Unit(benchmark::kMicrosecond);

}  // namespace
