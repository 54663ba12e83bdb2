// netns.h - network namespaces: open one, visit one.
//
// Model     setns() moves the calling thread only; a NamespaceVisit moves it there and back in one scope.
// Errors    Problem when a namespace cannot be opened or entered. Failing to come back ends the process: a
//           thread of the daemon in a foreign namespace would configure the wrong machine.
#pragma once
#include <string>

#include "dataplane/core/result.h"
#include "mgmt/kernel/unique_fd.h"

namespace penstock::kernel {

/// Opens a namespace by path ("/proc/7/ns/net"), or by the name that `ip netns` knows ("blue").
[[nodiscard]] Result<UniqueFd> open_netns(const std::string& name_or_path);

/// Inode of a namespace: equal numbers, equal namespace. 0 when the fd is none.
[[nodiscard]] std::uint64_t netns_inode(int netns_fd);

/// The calling thread is inside `netns_fd` for the life of this object; -1 stays where it is.
class NamespaceVisit {
 public:
  [[nodiscard]] static Result<NamespaceVisit> enter(int netns_fd);
  NamespaceVisit(NamespaceVisit&&) noexcept = default;
  NamespaceVisit& operator=(NamespaceVisit&&) = delete;
  ~NamespaceVisit();

 private:
  explicit NamespaceVisit(UniqueFd home) : home_{std::move(home)} {}
  UniqueFd home_;
};

}  // namespace penstock::kernel
