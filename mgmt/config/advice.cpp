#include "mgmt/config/advice.h"

#include <algorithm>
#include <optional>

#include "l7/route/compile/shadow.h"
#include "mgmt/config/locator.h"

namespace penstock::config {
namespace {

/// The first kernel that gives frames of several buffers to an AF_XDP socket in generic mode (docs/adr/0019).
constexpr KernelVersion kLargeFramesSince{6, 9};
/// The first kernel that tells where frames can be redirected to (docs/guide/tiers.md).
constexpr KernelVersion kRedirectTargetsSince{6, 3};

/// "route `api`", or by its number in the host when it has no name.
std::string route_text(const route::VirtualHost& host, std::size_t route) {
  const std::string& name = host.routes[route].name;
  return "route " + (name.empty() ? "#" + std::to_string(route) : "`" + name + "`");
}

void find_shadowed(const route::VirtualHost& host, const Locator& at, std::size_t listener, std::size_t number,
                   Findings& findings) {
  for (const route::Shadowed& pair : route::shadowed_routes(host)) {
    const auto place = [&](std::size_t route) {
      return at.place({"listeners", listener, "virtual_hosts", number, "routes", route});
    };
    findings.push_back({place(pair.route),
                        route_text(host, pair.route) + " of virtual host `" + host.name +
                            "` is never used: " + route_text(host, pair.by) + " in line " +
                            std::to_string(place(pair.by).line) + " comes first and takes all of its requests",
                        "move it in front of that one, or remove it"});
  }
}

}  // namespace

Findings find_warnings(const Config& config, const YamlNode& root) {
  Findings findings;
  const Locator at{root};
  for (std::size_t i = 0; i < config.listeners.size(); ++i)
    for (std::size_t h = 0; h < config.listeners[i].virtual_hosts.size(); ++h)
      find_shadowed(config.listeners[i].virtual_hosts[h], at, i, h, findings);
  return findings;
}

namespace {

/// Listeners that end their connections would like large frames.
void advise_large_frames(const Config& config, const Locator& at, const Machine& machine, Findings& findings) {
  const auto& all = config.listeners;
  const bool all_end_here = !all.empty() && std::all_of(all.begin(), all.end(), [](const Listener& l) {
    return l.mode == control::ListenerMode::proxy;
  });
  if (!all_end_here || machine.kernel < kLargeFramesSince) return;
  std::vector<std::size_t> undecided;
  for (std::size_t i = 0; i < config.ports.size(); ++i)
    if (at.find({"ports", i, "large_frames"}) == nullptr) undecided.push_back(i);
  if (undecided.empty()) return;
  const std::size_t others = undecided.size() - 1;
  std::string ports = "port `" + config.ports[undecided.front()].name + "`";
  if (others != 0) ports += " and " + std::to_string(others) + (others == 1 ? " other" : " others");
  findings.push_back(
      {at.place({"ports", undecided.front()}),
       "every listener ends its connections, and " + ports + (others == 0 ? " does" : " do") +
           " not say `large_frames`",
       "on a veth, `large_frames: true` about halves the CPU time of bodies of 16 KiB and more (docs/adr/0019); "
       "false keeps it off"});
}

/// Listeners that pass connections on would like pods that take frames from XDP.
void advise_gro(const Config& config, const Locator& at, const Machine& machine, Findings& findings) {
  if (machine.kernel < kRedirectTargetsSince || config.ports.empty()) return;
  std::optional<std::size_t> first;
  for (std::size_t i = 0; i < config.listeners.size(); ++i) {
    if (config.listeners[i].mode != control::ListenerMode::l4) continue;
    if (at.find({"listeners", i, "xdp_forwarding"}) != nullptr) return;
    if (!first) first = i;
  }
  if (!first) return;
  findings.push_back(
      {at.place({"listeners", *first}),
       "listeners of mode l4 leave hot flows to the XDP program, which can send to a veth only while its "
       "other end has GRO",
       "`ethtool -K eth0 gro on` in the pods (`penstock ports` says which; docs/guide/tiers.md); "
       "`xdp_forwarding` of a listener says true or false to it"});
}

}  // namespace

Findings find_notes(const Config& config, const YamlNode& root, const Machine& machine) {
  Findings findings;
  const Locator at{root};
  advise_large_frames(config, at, machine, findings);
  advise_gro(config, at, machine, findings);
  return findings;
}

}  // namespace penstock::config
