#include "mgmt/daemon/start_check.h"

#include <algorithm>
#include <fstream>
#include <map>

#include "dataplane/control/flow_layout.h"
#include "mgmt/api/server.h"
#include "mgmt/kernel/links.h"
#include "mgmt/kernel/netns.h"
#include "mgmt/kernel/preflight.h"

namespace penstock::daemon {
namespace {

constexpr std::uint64_t kMiB = 1u << 20;
/// A packet buffer with its driver's and the pool's administration (measured: 16384 buffers take 44 MiB).
constexpr std::uint64_t kBufferOctets = 2816;
/// What the dataplane's runtime takes out of memory_mib beside the buffers.
constexpr std::uint64_t kRuntimeOctets = 16 * kMiB;
/// A proxied connection with its share of the payload memory, all of it used (measured: the address space grows by
/// 3.25 KiB per connection), and the payload memory that a worker has at least.
constexpr std::uint64_t kProxyConnectionOctets = 3328;
constexpr std::uint64_t kProxyWorkerOctets = 40 * kMiB;
/// Hash buckets and timers per flow, beside its record.
constexpr std::uint64_t kFlowIndexOctets = 32;

/// /proc/meminfo in octets (counts of pages as they are).
std::map<std::string, std::uint64_t> memory_info() {
  std::map<std::string, std::uint64_t> out;
  std::ifstream file{"/proc/meminfo"};
  std::string key;
  std::uint64_t value{};
  for (std::string rest; file >> key >> value && std::getline(file, rest);)
    out[key.substr(0, key.size() - 1)] = rest.find("kB") != std::string::npos ? value * 1024 : value;
  return out;
}

std::string mib(std::uint64_t octets) { return std::to_string((octets + kMiB - 1) / kMiB) + " MiB"; }

std::string port_place(const config::Port& port) {
  return "port " + port.name + (port.netns ? " in netns " + *port.netns : "");
}

void check_port(const config::Port& port, Problems& problems) {
  const std::string place = port_place(port);
  kernel::UniqueFd netns;
  if (port.netns) {
    auto opened = kernel::open_netns(*port.netns);
    if (!opened) {
      if (!port.optional)
        problems.push_back({place, opened.error().text(), "create it, or mark the port optional: true"});
      return;
    }
    netns = std::move(*opened);
  }
  const auto link = kernel::find_link(port.name, netns.get());
  if (!link && !port.optional)
    problems.push_back({place, link.error().text(), "create the interface, or mark the port optional: true"});
  if (link && !link->up && !port.optional)
    problems.push_back({place, "the interface is down", "ip link set dev " + port.name + " up"});
}

void check_hugepages(const config::Node& node, Problems& problems) {
  if (node.hugepages != config::Hugepages::required) return;
  auto info = memory_info();
  const std::uint64_t free = info["HugePages_Free"] * info["Hugepagesize"];
  if (free < node.memory_mib * kMiB)
    problems.push_back(
        {"node.hugepages", "required, but only " + mib(free) + " of hugepages are free",
         "reserve " + std::to_string(node.memory_mib) + " MiB by vm.nr_hugepages, or set hugepages: auto"});
}

bool has_proxies(const config::Config& config) {
  return std::any_of(config.listeners.begin(), config.listeners.end(),
                     [](const config::Listener& l) { return l.mode == control::ListenerMode::proxy; });
}

kernel::PreflightOptions preflight_options(const config::Node& node) {
  return {node.runtime_dir, node.fallback, node.source_ports.low, node.source_ports.high};
}

}  // namespace

MemoryNeed memory_need(const config::Node& node, bool proxies) {
  MemoryNeed need{};
  need.pool_octets = std::uint64_t{node.limits.buffers_per_worker} * node.workers * kBufferOctets + kRuntimeOctets;
  need.flow_octets =
      (control::flow_arena_octets(node.limits.flows_per_worker) + node.limits.flows_per_worker * kFlowIndexOctets) *
      node.workers;
  if (proxies)
    need.proxy_octets =
        (kProxyWorkerOctets + std::uint64_t{node.proxy.connections_per_worker} * kProxyConnectionOctets) * node.workers;
  need.total_octets = node.memory_mib * kMiB + need.flow_octets + need.proxy_octets;
  return need;
}

Problems memory_problems(const config::Node& node, bool proxies, std::uint64_t available_octets) {
  Problems problems;
  const MemoryNeed need = memory_need(node, proxies);
  if (need.pool_octets > node.memory_mib * kMiB)
    problems.push_back({"node.memory_mib",
                        std::to_string(node.memory_mib) + " MiB are too small for " +
                            std::to_string(node.limits.buffers_per_worker) + " buffers per worker and " +
                            std::to_string(node.workers) + " workers",
                        "set memory_mib to " + std::to_string((need.pool_octets + kMiB - 1) / kMiB) +
                            " or more, or lower limits.buffers_per_worker"});
  if (need.total_octets > available_octets)
    problems.push_back({"memory",
                        "the configuration needs " + mib(need.total_octets) + " (" + mib(need.flow_octets) +
                            " of flow tables, " + mib(need.proxy_octets) + " of proxied connections), " +
                            mib(available_octets) + " are available",
                        "lower node.memory_mib, limits.flows_per_worker, proxy.connections_per_worker or workers"});
  return problems;
}

Problems reserved_problems(const config::Node& node, const Reserved& reserved) {
  Problems problems;
  const auto compare = [&](const char* setting, std::uint64_t has, std::uint64_t per_worker, const char* what) {
    if (has < reserved.workers * per_worker)
      problems.push_back({setting,
                          "the running dataplane has room for " + std::to_string(has) + " " + what +
                              ", configured are " + std::to_string(reserved.workers * per_worker),
                          "the lower number holds until it restarts: stop penstockd and start it again"});
  };
  compare("node.limits.flows_per_worker", reserved.flows, node.limits.flows_per_worker, "flows");
  compare("node.proxy.connections_per_worker", reserved.proxy_connections, node.proxy.connections_per_worker,
          "proxied connections");
  return problems;
}

Problems start_warnings(const config::Config& config) {
  const kernel::PreflightCheck ports = kernel::check_source_ports(preflight_options(config.node));
  return ports.ok ? Problems{} : Problems{ports.problem};
}

Problems large_frames_problems(const config::Config& config) {
  Problems problems;
  for (const config::Port& port : config.ports)
    if (port.large_frames)
      if (Status possible = kernel::check_large_frames(port_place(port)); !possible)
        problems.push_back(possible.error());
  return problems;
}

Problems start_problems(const config::Config& config, const std::string& dataplane_binary,
                        const std::string& api_socket) {
  Problems problems = kernel::required_problems(kernel::preflight(preflight_options(config.node)));
  if (dataplane_binary.empty())
    problems.push_back({"penstock-dataplane", "program not found beside penstockd or in PATH",
                        "install it, or name it with --dataplane"});
  const bool occupied = api::unix_socket_is_alive(api_socket);
  if (occupied)
    problems.push_back(
        {api_socket, "another penstockd answers there", "stop it, or give this one another node.runtime_dir"});
  if (const Status free = api::tcp_port_is_free(config.node.metrics.address, config.node.metrics.port); !free)
    problems.push_back(free.error());
  // A dataplane that is to be adopted has its memory already; whether there is one shows later, so this only warns
  // of what a fresh start would need when nobody runs here.
  if (!api::unix_socket_is_alive(api_socket))
    for (Problem& problem : memory_problems(config.node, has_proxies(config), memory_info()["MemAvailable"]))
      problems.push_back(std::move(problem));
  check_hugepages(config.node, problems);
  for (const config::Port& port : config.ports) check_port(port, problems);
  for (Problem& problem : large_frames_problems(config)) problems.push_back(std::move(problem));
  return problems;
}

}  // namespace penstock::daemon
