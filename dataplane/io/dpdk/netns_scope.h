// netns_scope.h - the calling thread in another network namespace for a while.
//
// Model     scope guard; -1 stays where we are. Only for the control thread: workers never change namespace.
// Errors    ok() is false when the namespace could not be entered. Failing to come back is fatal: every later
//           interface lookup would be wrong.
#pragma once
#include <fcntl.h>
#include <sched.h>

#include "dataplane/core/fd.h"
#include "dataplane/core/require.h"

namespace penstock::io {

class NetnsScope {
 public:
  explicit NetnsScope(int target) {
    if (target < 0) return;
    back_ = Fd{::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)};
    ok_ = static_cast<bool>(back_) && ::setns(target, CLONE_NEWNET) == 0;
    if (!ok_) back_.reset();
  }
  ~NetnsScope() {
    if (back_) require(::setns(back_.get(), CLONE_NEWNET) == 0, "cannot return to the network namespace");
  }
  NetnsScope(const NetnsScope&) = delete;
  NetnsScope& operator=(const NetnsScope&) = delete;
  [[nodiscard]] bool ok() const { return ok_; }

 private:
  Fd back_;
  bool ok_{true};
};

}  // namespace penstock::io
