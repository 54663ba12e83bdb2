// Any text: problems with a place, or a Config whose relations hold.
#include <set>
#include <string_view>

#include "dataplane/control/limits.h"
#include "dataplane/core/require.h"
#include "l7/route/compile/validate.h"
#include "mgmt/config/loader.h"

namespace penstock::config {
namespace {

void check(const Config& config) {
  require(config.api_version == kApiVersion, "accepted another version");
  require(config.node.workers >= 1, "no worker");
  require(config.node.cpus.empty() || config.node.cpus.size() == config.node.workers, "CPUs and workers differ");
  require(config.node.source_ports.low <= config.node.source_ports.high, "source ports reversed");
  const Proxy& p = config.node.proxy;
  require(p.connections_per_worker <= config.node.limits.flows_per_worker, "more proxied connections than flows");
  require(p.half_open_max <= p.connections_per_worker, "more half-open than proxied connections");
  require(p.buffer_octets >= control::kProxyBufferMin && p.buffer_octets <= control::kProxyBufferMax, "proxy buffer");
  std::set<std::string_view> names;
  for (const Listener& listener : config.listeners) {
    require(names.insert(listener.name).second, "listener name twice");
    require(listener.port != 0, "listener port 0");
    const bool proxy = listener.mode == control::ListenerMode::proxy;
    require(!proxy || listener.protocol == IpProto::tcp, "proxy of another protocol than TCP");
    require(!proxy || listener.forwarding == control::Forwarding::fullnat, "proxy without FullNAT");
    const bool http = listener.application == Application::http;
    require(!http || proxy, "HTTP without a proxy");
    require(http != listener.virtual_hosts.empty(), "virtual hosts and HTTP go together");
    require(http || !listener.cluster.empty(), "no cluster");
    require(!http || route::validate({listener.virtual_hosts}).empty(), "routes that the router refuses");
    for (const std::string_view name : clusters_of(listener)) {
      const Cluster* cluster = find_cluster(config, name);
      require(cluster != nullptr, "cluster of a listener does not exist");
      for (const Endpoint& endpoint : cluster->endpoints)
        require(endpoint.address.is_v4() == listener.address.is_v4(), "families differ");
    }
  }
}

}  // namespace
}  // namespace penstock::config

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock::config;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const auto loaded = load_text(text, "fuzz", Machine{{0, 1, 2, 3}});
  if (loaded.ok()) {
    check(*loaded);
  } else {
    penstock::require(!loaded.error().empty(), "refused without a problem");
    for (const penstock::Problem& problem : loaded.error())
      penstock::require(problem.place.starts_with("fuzz") && !problem.what.empty(), "problem without place or text");
  }
  return 0;
}
