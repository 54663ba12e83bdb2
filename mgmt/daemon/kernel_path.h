// kernel_path.h - the kernel's side of a node: bpf file system, steering, fallback.
//
// Model     open() adopts what a predecessor left; close() takes everything away. Steering and fallback are written
//           through publish::KernelSide.
// Errors    Problems of mgmt/kernel; a failed open() undoes what it mounted itself.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mgmt/kernel/fallback.h"
#include "mgmt/kernel/steering.h"
#include "mgmt/publish/publisher.h"

namespace penstock::daemon {

class KernelPath : public publish::KernelSide {
 public:
  [[nodiscard]] static Result<std::unique_ptr<KernelPath>> open(const config::Node& node, bool generic_xdp);

  [[nodiscard]] Status apply_steering(const compile::SteeringState& wanted, const config::Node& node) override;
  [[nodiscard]] Status apply_fallback(const compile::FallbackState& wanted) override;
  /// Orderly end: ports detached, maps unpinned, table and routes removed, file system unmounted. All problems.
  [[nodiscard]] Problems remove_everything();

  [[nodiscard]] kernel::Steering& steering() { return *steering_; }
  /// Is this service in the steering maps now?
  [[nodiscard]] bool steers(const IpAddress& address, std::uint16_t port, IpProto proto) const;

  std::function<std::vector<std::string>()> local_interfaces;

 private:
  KernelPath(std::string bpf_dir, kernel::Steering steering, kernel::Fallback fallback);
  std::string bpf_dir_;
  std::optional<kernel::Steering> steering_;
  kernel::Fallback fallback_;
  compile::SteeringState applied_;
};

}  // namespace penstock::daemon
