#include "mgmt/daemon/kernel_path.h"

#include <algorithm>

#include "mgmt/kernel/bpffs.h"

namespace penstock::daemon {

KernelPath::KernelPath(std::string bpf_dir, kernel::Steering steering, kernel::Fallback fallback)
    : bpf_dir_{std::move(bpf_dir)}, steering_{std::move(steering)}, fallback_{std::move(fallback)} {}

Result<std::unique_ptr<KernelPath>> KernelPath::open(const config::Node& node, bool generic_xdp) {
  const std::string bpf_dir = node.runtime_dir + "/bpf";
  const bool was_there = kernel::is_bpffs(bpf_dir);
  if (const Status mounted = kernel::mount_bpffs(bpf_dir); !mounted) return mounted.error();
  kernel::SteeringOptions steering_options;
  steering_options.allow_generic_mode = generic_xdp;
  kernel::FallbackOptions fallback_options;
  fallback_options.state_file = node.runtime_dir + "/fallback.state";
  auto steering = kernel::Steering::open(bpf_dir, steering_options);
  auto fallback = kernel::Fallback::open(fallback_options);
  if (steering && fallback)
    return std::unique_ptr<KernelPath>{new KernelPath{bpf_dir, std::move(*steering), std::move(*fallback)}};
  const Problem why = steering ? fallback.error() : steering.error();
  if (!was_there) {
    (void)kernel::Steering::remove_all(bpf_dir);
    (void)kernel::unmount_bpffs(bpf_dir);
  }
  return why;
}

Status KernelPath::apply_steering(const compile::SteeringState& wanted, const config::Node& node) {
  const auto changed = steering_->apply(publish::steer_state(wanted, node, node.workers));
  if (!changed) return changed.error();
  applied_ = wanted;
  return Done{};
}

Status KernelPath::apply_fallback(const compile::FallbackState& wanted) {
  if (!wanted.enabled) return fallback_.remove();
  return fallback_.apply(
      publish::fallback_state(wanted, local_interfaces ? local_interfaces() : std::vector<std::string>{}));
}

bool KernelPath::steers(const IpAddress& address, std::uint16_t port, IpProto proto) const {
  return std::any_of(applied_.services.begin(), applied_.services.end(), [&](const auto& service) {
    return service.address == address && service.port == port && service.protocol == proto;
  });
}

Problems KernelPath::remove_everything() {
  Problems problems;
  const auto note = [&](const Status& status) {
    if (!status) problems.push_back(status.error());
  };
  note(kernel::Steering::remove_all(bpf_dir_));
  steering_.reset();
  note(fallback_.remove());
  note(kernel::unmount_bpffs(bpf_dir_));
  return problems;
}

}  // namespace penstock::daemon
