// sysctl.h - kernel settings that are changed and put back.
//
// Model     the original of each changed setting is kept in a file before the change, so that a later process can
//           restore it. Setting what is already so changes and keeps nothing.
// Errors    Problem naming the setting. Restoring one that is gone (its interface vanished) is no error.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/core/result.h"

namespace penstock::kernel {

/// "net/ipv4/ip_forward" -> its text without the newline.
[[nodiscard]] std::optional<std::string> read_sysctl(const std::string& name);
[[nodiscard]] Status write_sysctl(const std::string& name, const std::string& value);

/// A set of ports as the kernel writes it: "80,1000-2000".
class PortSet {
 public:
  [[nodiscard]] static PortSet parse(const std::string& text);
  void add(std::uint16_t low, std::uint16_t high);
  void remove(std::uint16_t low, std::uint16_t high);
  [[nodiscard]] bool contains(std::uint16_t port) const { return bits_[port]; }
  [[nodiscard]] std::string text() const;

 private:
  std::vector<bool> bits_ = std::vector<bool>(65536);
};

class SysctlKeeper {
 public:
  explicit SysctlKeeper(std::string state_file);
  [[nodiscard]] Status set(const std::string& name, const std::string& value);
  /// Adds a range to net.ipv4.ip_local_reserved_ports and takes a range out that an earlier call had added.
  [[nodiscard]] Status reserve_ports(std::uint16_t low, std::uint16_t high);
  /// Puts everything back and removes the file.
  [[nodiscard]] Status restore();

 private:
  [[nodiscard]] Status release_ports();
  [[nodiscard]] Status save() const;
  std::string state_file_;
  std::map<std::string, std::string> originals_;
};

}  // namespace penstock::kernel
