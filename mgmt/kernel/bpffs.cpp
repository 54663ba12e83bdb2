#include "mgmt/kernel/bpffs.h"

#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#include <filesystem>

#include "mgmt/kernel/system_problem.h"

namespace penstock::kernel {

bool is_bpffs(const std::string& directory) {
  struct statfs info {};
  return ::statfs(directory.c_str(), &info) == 0 && static_cast<unsigned long>(info.f_type) == BPF_FS_MAGIC;
}

Status mount_bpffs(const std::string& directory) {
  if (is_bpffs(directory)) return Done{};
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return system_problem(directory, "cannot create directory", error.value());
  std::filesystem::permissions(directory, std::filesystem::perms::owner_all, error);
  if (::mount("bpf", directory.c_str(), "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") != 0)
    return system_problem(directory, "cannot mount a bpf file system", errno,
                          "needs CAP_SYS_ADMIN and a kernel with CONFIG_BPF_SYSCALL");
  return Done{};
}

Status unmount_bpffs(const std::string& directory) {
  if (is_bpffs(directory) && ::umount2(directory.c_str(), 0) != 0) {
    // EINVAL: a directory below the mount point of somebody else's bpf file system; not ours to unmount.
    if (errno == EINVAL) return Done{};
    return system_problem(directory, "cannot unmount the bpf file system", errno,
                          "close whatever uses it: `fuser -m " + directory + "`");
  }
  std::error_code error;
  std::filesystem::remove(directory, error);  // only if empty; somebody's files are not ours to remove
  return Done{};
}

}  // namespace penstock::kernel
