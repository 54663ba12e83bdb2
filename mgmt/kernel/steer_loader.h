// steer_loader.h - instances of the steering program over given maps.
//
// Model     one load() verifies one instance; maps named in `reuse` are shared with it, the others are new.
// Errors    Problem with libbpf's last words.
#pragma once
#include <bpf/libbpf.h>

#include <array>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "dataplane/core/result.h"

namespace penstock::kernel {

struct ObjectCloser {
  void operator()(bpf_object* object) const { bpf_object__close(object); }
};
using BpfObject = std::unique_ptr<bpf_object, ObjectCloser>;

inline constexpr std::array<const char*, 12> kSharedMaps{"steer_services",  "steer_sources",       "steer_addresses",
                                                         "steer_nodes",     "steer_config",        "steer_runtime",
                                                         "steer_heartbeat", "steer_kernel_flows",  "steer_dnat_flows",
                                                         "steer_forwards",  "steer_forward_slots", "steer_devices"};
inline constexpr const char* kDeviceMap = "steer_devices";  ///< not shared with programs for large frames
inline constexpr std::array<const char*, 3> kPortMaps{"xsks_map", "steer_counters", "port_config"};

/// Fds of maps by name; borrowed.
using MapFds = std::map<std::string, int, std::less<>>;

/// Opens the embedded object, reuses maps, verifies and loads. Pins nothing.
[[nodiscard]] Result<BpfObject> load_steer(const MapFds& reuse, bool large_frames = false);
/// Opens the embedded object without loading: for its map definitions.
[[nodiscard]] Result<BpfObject> open_steer();
/// Fd of a loaded map or of the program; borrowed from the object.
[[nodiscard]] int map_fd(const BpfObject& object, std::string_view name);
[[nodiscard]] int program_fd(const BpfObject& object);
/// Compares a pinned map with the definition of the same name; Problem at `path` when they differ.
[[nodiscard]] Status check_layout(const BpfObject& definitions, const std::string& name, int fd,
                                  const std::string& path);

}  // namespace penstock::kernel
