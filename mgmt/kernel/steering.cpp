#include "mgmt/kernel/steering.h"

#include <bpf/bpf.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "mgmt/kernel/bpffs.h"
#include "mgmt/kernel/netns.h"
#include "mgmt/kernel/redirect_targets.h"
#include "mgmt/kernel/steer_maps.h"
#include "mgmt/kernel/steer_port.h"
#include "mgmt/kernel/steer_probe.h"
#include "mgmt/kernel/system_problem.h"

namespace penstock::kernel {
namespace {

std::string version_dir(const std::string& dir) { return dir + "/v" + std::to_string(PENSTOCK_ABI_VERSION); }

std::vector<std::string> port_dirs(const std::string& ports_dir) {
  std::vector<std::string> out;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator{ports_dir, error}) out.push_back(entry.path().string());
  return out;
}

}  // namespace

struct Steering::Impl {
  std::string dir;
  std::string ports_dir;
  SteeringOptions options;
  SteerMaps maps;
  std::map<std::uint32_t, SteerPort> ports;
  RedirectTargets targets;

  Impl(SteerMaps opened_maps, RedirectTargets opened_targets)
      : maps{std::move(opened_maps)}, targets{std::move(opened_targets)} {}
  [[nodiscard]] bool claimed(const PortPin& pin) const {
    for (const auto& [index, port] : ports)
      if (port.pin().ifindex == pin.ifindex && port.pin().netns_inode == pin.netns_inode) return true;
    return false;
  }
};

Steering::Steering(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
Steering::Steering(Steering&&) noexcept = default;
Steering& Steering::operator=(Steering&&) noexcept = default;
Steering::~Steering() = default;

Result<Steering> Steering::open(const std::string& dir, const SteeringOptions& options) {
  if (!is_bpffs(dir)) return Problem{dir, "not a bpf file system", "mount one: `mount -t bpf bpf " + dir + "`"};
  const std::string pins = version_dir(dir);
  for (const std::string& path : {pins, pins + "/ports"}) {
    std::error_code error;
    std::filesystem::create_directory(path, error);
    if (error) return system_problem(path, "cannot create directory", error.value());
  }
  auto maps = SteerMaps::open(pins);
  if (!maps) return maps.error();
  auto targets = RedirectTargets::create();
  if (!targets) return targets.error();
  auto impl = std::make_unique<Impl>(std::move(maps).value(), std::move(targets).value());
  impl->dir = pins;
  impl->ports_dir = pins + "/ports";
  impl->options = options;
  for (const std::string& path : port_dirs(impl->ports_dir)) {
    const auto pinned = read_pinned_port(path);
    if (pinned && pinned->alive) continue;
    if (auto done = remove_port_pins(path); !done) return done.error();
  }
  return Steering{std::move(impl)};
}

Status Steering::remove_all(const std::string& dir) {
  if (!is_bpffs(dir)) return Done{};
  const std::string pins = version_dir(dir);
  for (const std::string& path : port_dirs(pins + "/ports"))
    if (auto done = remove_port_pins(path); !done) return done;
  std::error_code error;
  std::filesystem::remove_all(pins, error);
  if (error) return system_problem(pins, "cannot remove the pins", error.value());
  return Done{};
}

std::vector<PortStatus> Steering::unclaimed_ports() const {
  std::vector<PortStatus> out;
  for (const std::string& path : port_dirs(impl_->ports_dir)) {
    const auto pinned = read_pinned_port(path);
    if (!pinned || impl_->claimed(pinned->pin)) continue;
    const auto config = read_port_config(path);
    if (!config) continue;
    out.push_back({.name = pinned->pin.name,
                   .ifindex = pinned->pin.ifindex,
                   .port_index = config->port_index,
                   .netns_inode = pinned->pin.netns_inode,
                   .enabled = (config->flags & PENSTOCK_PORT_ENABLED) != 0,
                   .alive = pinned->alive});
  }
  return out;
}

std::size_t Steering::detach_unclaimed() {
  std::size_t removed = 0;
  for (const std::string& path : port_dirs(impl_->ports_dir)) {
    const auto pin = PortPin::parse(std::filesystem::path{path}.filename().string());
    if (pin && impl_->claimed(*pin)) continue;
    if (const auto config = read_port_config(path); config && !impl_->ports.contains(config->port_index))
      (void)impl_->maps.set_device(config->port_index, 0);
    if (remove_port_pins(path)) ++removed;
  }
  return removed;
}

Result<PortStatus> Steering::attach_port(const PortSpec& spec) {
  if (spec.port_index >= PENSTOCK_PORT_MAX)
    return Problem{spec.name, "port index above " + std::to_string(PENSTOCK_PORT_MAX - 1), "docs/guide/limits.md"};
  if (impl_->ports.contains(spec.port_index))
    return Problem{spec.name, "port index " + std::to_string(spec.port_index) + " is taken", "detach that port first"};
  auto port = SteerPort::attach(impl_->ports_dir, spec, impl_->maps.fds(), impl_->options);
  if (!port) return port.error();
  SteerPort& attached = impl_->ports.emplace(spec.port_index, std::move(port).value()).first->second;
  impl_->targets.update(attached, impl_->maps);
  return attached.status();
}

Status Steering::detach_port(std::uint32_t port_index) {
  const auto found = impl_->ports.find(port_index);
  if (found == impl_->ports.end()) return Done{};
  if (auto done = found->second.detach(); !done) return done;
  auto forgotten = impl_->targets.forget(found->second, impl_->ports, impl_->maps);
  impl_->ports.erase(found);
  return forgotten;
}

std::vector<PortStatus> Steering::ports() const {
  std::vector<PortStatus> out;
  for (const auto& [index, port] : impl_->ports) out.push_back(port.status());
  return out;
}

Status Steering::set_enabled(std::uint32_t port_index, bool enabled) {
  const auto found = impl_->ports.find(port_index);
  if (found == impl_->ports.end())
    return Problem{"port " + std::to_string(port_index), "not attached", "attach it first"};
  return found->second.set_enabled(enabled);
}

Result<SteerChange> Steering::apply(const SteerState& wanted) { return impl_->maps.apply(wanted); }
Status Steering::set_settings(const SteerSettings& settings) { return impl_->maps.set_settings(settings); }
Status Steering::clear_kernel_flows() { return impl_->maps.clear_kernel_flows(); }
Steering::ForwardFds Steering::forward_fds() const {
  return {impl_->maps.fd("steer_forwards"), impl_->maps.fd("steer_forward_slots")};
}
int Steering::redirect_events_fd() const { return impl_->targets.fd(); }

bool Steering::refresh_redirect_targets() {
  bool changed = false;
  for (const auto& [netns, ifindex] : impl_->targets.changed())
    for (auto& [index, port] : impl_->ports)
      if (port.pin().netns_inode == netns && (ifindex == 0 || ifindex == port.pin().ifindex))
        changed = impl_->targets.update(port, impl_->maps) || changed;
  return changed;
}

int Steering::heartbeat_fd() const { return impl_->maps.fd("steer_heartbeat"); }
Result<std::uint64_t> Steering::last_kernel_flow_ns() const { return impl_->maps.last_kernel_flow_ns(); }

int Steering::xsks_map_fd(std::uint32_t port_index) const {
  const auto found = impl_->ports.find(port_index);
  return found == impl_->ports.end() ? -1 : found->second.map("xsks_map");
}

Result<SteerCounters> Steering::counters(std::uint32_t port_index) const {
  const auto found = impl_->ports.find(port_index);
  if (found == impl_->ports.end())
    return Problem{"port " + std::to_string(port_index), "not attached", "attach it first"};
  return found->second.counters();
}

Status Steering::self_test(std::uint32_t port_index, const std::function<std::uint64_t()>& probes_seen,
                           Duration at_most) {
  const auto found = impl_->ports.find(port_index);
  if (found == impl_->ports.end())
    return Problem{"port " + std::to_string(port_index), "not attached", "attach it first"};
  return probe_port(found->second, probes_seen, at_most);
}

}  // namespace penstock::kernel
