// privileges.h - limits raised at start, and everything dropped that is not needed afterwards.
#pragma once
#include "dataplane/core/result.h"

namespace penstock::app {

/// Open files and locked memory, as far as we may.
void raise_limits();
/// Keeps what ports in any namespace need (NET_ADMIN, NET_RAW, BPF, SYS_ADMIN for setns, IPC_LOCK); no new ones ever.
[[nodiscard]] Status drop_privileges();

}  // namespace penstock::app
