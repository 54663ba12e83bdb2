// loader.h - YAML text to Config, or every problem at once.
//
// Model     parse -> read by the field table (fields.h) -> check relations. Nothing of a text with any problem is
//           used: the caller keeps the Config it had.
// Errors    each Problem has place "file:line:column", what is wrong and what to do. Sorted by place. At most
//           kProblemMax are listed, then one that says how many more there are.
// Limits    kConfigOctetsMax, kConfigNodesMax; anchors and aliases are refused, so text cannot multiply itself.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/core/result.h"
#include "mgmt/config/config.h"

namespace penstock::config {

inline constexpr std::size_t kConfigOctetsMax = 8u << 20;  ///< size of the text
inline constexpr std::size_t kConfigNodesMax = 1u << 20;   ///< scalars, lists and maps of the text
inline constexpr std::size_t kConfigDepthMax = 32;         ///< nesting of lists and maps
inline constexpr std::size_t kConfigNameMax = 63;          ///< octets of a listener's or cluster's name
inline constexpr std::size_t kProblemMax = 100;            ///< problems listed at once

struct KernelVersion {
  unsigned major{}, minor{};
  friend auto operator<=>(const KernelVersion&, const KernelVersion&) = default;
};
/// What the checks need to know about the machine. Passed in, so that tests choose it.
struct Machine {
  std::vector<std::uint16_t> cpus;  ///< CPUs this process may run on, rising
  KernelVersion kernel{};           ///< that runs
};
/// The CPUs of this process's affinity mask, and the kernel.
[[nodiscard]] Machine this_machine();

/// What does not keep a configuration from being used (advice.h).
struct Advice {
  Problems warnings, notes;
};

/// `file_name` appears in the problems' places only. `advice` is filled when there is no problem.
[[nodiscard]] Result<Config, Problems> load_text(std::string_view text, std::string_view file_name,
                                                 const Machine& machine, Advice* advice = nullptr);
[[nodiscard]] Result<Config, Problems> load_file(const std::string& path, const Machine& machine);

}  // namespace penstock::config
