#include "mgmt/kernel/netns.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

#include "mgmt/kernel/system_problem.h"

namespace penstock::kernel {

Result<UniqueFd> open_netns(const std::string& name_or_path) {
  const std::string path = name_or_path.find('/') == std::string::npos ? "/run/netns/" + name_or_path : name_or_path;
  UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!fd)
    return system_problem(path, "cannot open network namespace", errno,
                          "`ip netns list` shows the names; a path must be that of an nsfs file");
  return fd;
}

std::uint64_t netns_inode(int netns_fd) {
  struct stat info {};
  if (::fstat(netns_fd, &info) != 0) return 0;
  return info.st_ino;
}

Result<NamespaceVisit> NamespaceVisit::enter(int netns_fd) {
  if (netns_fd < 0) return NamespaceVisit{UniqueFd{}};
  UniqueFd home{::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)};
  if (!home) return system_problem("/proc/thread-self/ns/net", "cannot open own network namespace", errno);
  if (::setns(netns_fd, CLONE_NEWNET) != 0)
    return system_problem("setns", "cannot enter network namespace", errno, "needs CAP_SYS_ADMIN");
  return NamespaceVisit{std::move(home)};
}

NamespaceVisit::~NamespaceVisit() {
  if (home_) require(::setns(home_.get(), CLONE_NEWNET) == 0, "cannot return to own network namespace");
}

}  // namespace penstock::kernel
