// bpffs.h - a bpf file system of our own for the pins.
//
// Model     `ip netns exec` remounts /sys and hides /sys/fs/bpf, so pins live in a mount at a directory of ours.
//           Mounting is idempotent: a directory that already is a bpf file system stays as it is.
// Errors    Problem with the directory, the errno text and what to do.
#pragma once
#include <string>

#include "dataplane/core/result.h"

namespace penstock::kernel {

/// True when `directory` is on a bpf file system.
[[nodiscard]] bool is_bpffs(const std::string& directory);
/// Creates `directory` if missing (0700, parents too) and mounts a bpf file system there unless it is one.
[[nodiscard]] Status mount_bpffs(const std::string& directory);
/// Unmounts it and removes the directory. Done when it was not mounted. Pinned objects die unless used elsewhere.
[[nodiscard]] Status unmount_bpffs(const std::string& directory);

}  // namespace penstock::kernel
