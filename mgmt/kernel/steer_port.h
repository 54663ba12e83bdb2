// steer_port.h - the steering program on one interface: attach, adopt, replace, detach.
//
// Model     pins at <dir>/v1/ports/<name>@<ifindex>@<namespace inode>/; '.' in a name is written '%2e', because bpffs
//           refuses dots. The link pin is written last: a directory without it is the remains of a failed attach.
// Errors    Problem naming the interface. A failed attach leaves no pins.
#pragma once
#include <optional>
#include <string>

#include "mgmt/kernel/steer_loader.h"
#include "mgmt/kernel/steering.h"
#include "mgmt/kernel/unique_fd.h"

namespace penstock::kernel {

/// The identity that a pin directory's name carries.
struct PortPin {
  std::string name;
  std::uint32_t ifindex{0};
  std::uint64_t netns_inode{0};
  [[nodiscard]] std::string directory_name() const;
  [[nodiscard]] static std::optional<PortPin> parse(const std::string& directory_name);
  friend bool operator==(const PortPin&, const PortPin&) = default;
};

/// Link and maps of a pinned port as they are on disk.
struct PinnedPort {
  PortPin pin;
  std::string path;
  UniqueFd link;
  std::uint32_t program_id{0};
  bool alive{false};  ///< the interface still exists
};
/// nullopt when the directory holds no link.
[[nodiscard]] std::optional<PinnedPort> read_pinned_port(const std::string& path);
/// Detaches (if attached) and removes the pins.
[[nodiscard]] Status remove_port_pins(const std::string& path);
[[nodiscard]] Result<penstock_port_config> read_port_config(const std::string& path);

class SteerPort {
 public:
  [[nodiscard]] static Result<SteerPort> attach(const std::string& ports_dir, const PortSpec& spec,
                                                const MapFds& shared, const SteeringOptions& options);
  [[nodiscard]] Status detach();
  [[nodiscard]] Status set_enabled(bool enabled);
  [[nodiscard]] Result<SteerCounters> counters() const;
  [[nodiscard]] PortStatus status() const;
  [[nodiscard]] int map(std::string_view name) const;
  [[nodiscard]] int program_fd() const { return program_.get(); }
  [[nodiscard]] int netns_fd() const { return netns_.get(); }
  [[nodiscard]] const PortPin& pin() const { return pin_; }
  [[nodiscard]] bool has_large_frames() const { return (kind_ & PENSTOCK_PORT_LARGE_FRAMES) != 0; }
  /// Why frames cannot be redirected to this port; empty when they can.
  void set_redirect_obstacle(std::string why) {
    status_.redirect_target = why.empty();
    status_.redirect_obstacle = std::move(why);
  }

 private:
  [[nodiscard]] static Result<SteerPort> adopt(PinnedPort pinned, const PortSpec& spec, const MapFds& shared);
  [[nodiscard]] static Result<SteerPort> attach_new(const std::string& path, const PortSpec& spec, const MapFds& shared,
                                                    const SteeringOptions& options);
  [[nodiscard]] Status write_config(std::uint32_t flags);
  PortPin pin_;
  std::string path_;
  UniqueFd netns_;
  UniqueFd link_;
  UniqueFd program_;
  std::map<std::string, UniqueFd, std::less<>> maps_;
  PortStatus status_;
  std::uint32_t kind_{0};  ///< flags of port_config that stay as they are
};

}  // namespace penstock::kernel
