// saved_ids.h - ids, counter slots and the secret of cookies, from a daemon to its successor.
//
// Model     the file is replaced whole with every configuration; a daemon that adopts a running dataplane reads it.
//           A file that is damaged, cut short or unreadable is not used at all: ids and secret begin anew and the
//           next configuration replaces it. One that others can read or write is used and replaced, and that is told.
//           Ids that begin anew, also without a file, begin high, so that the dataplane meets none that it knows.
//           Slots begin at 0 and keep what was counted in them: flows of before go on counting there.
// Errors    what an operator should know, with the consequence; none stops the daemon. No file is no problem.
#pragma once
#include <sys/types.h>

#include <string>

#include "mgmt/compile/compiler.h"

namespace penstock::daemon {

inline constexpr mode_t kSavedMode = 0640;  ///< of files in runtime_dir; the group is the API socket's

/// For the successor of a daemon, before it compiles anything.
[[nodiscard]] Problems restore_ids(const std::string& path, compile::Compiler& compiler);

}  // namespace penstock::daemon
