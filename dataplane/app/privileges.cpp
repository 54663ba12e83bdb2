#include "dataplane/app/privileges.h"

#include <cap-ng.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace penstock::app {

void raise_limits() {
  const rlimit memory{RLIM_INFINITY, RLIM_INFINITY};
  ::setrlimit(RLIMIT_MEMLOCK, &memory);  // without CAP_SYS_RESOURCE it stays; binding a queue then says so
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
}

Status drop_privileges() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Problem{"privileges", "PR_SET_NO_NEW_PRIVS is refused", ""};
  if (::geteuid() != 0) return Done{};
  capng_clear(CAPNG_SELECT_BOTH);
  const int updated =
      capng_updatev(CAPNG_ADD, static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET),
                    CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN, CAP_BPF, CAP_IPC_LOCK, -1);
  if (updated != 0 || capng_apply(CAPNG_SELECT_BOTH) != 0)
    return Problem{"privileges", "capabilities cannot be dropped", ""};
  return Done{};
}

}  // namespace penstock::app
