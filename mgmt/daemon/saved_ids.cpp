#include "mgmt/daemon/saved_ids.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "mgmt/daemon/files.h"

namespace penstock::daemon {

Problems restore_ids(const std::string& path, compile::Compiler& compiler) {
  constexpr const char* kAnew =
      "ids, counters and the secret of cookies begin anew: sessions whose cluster has no `key` choose an endpoint "
      "again";
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return {};
    return {{path, std::string{"cannot be read: "} + std::strerror(errno), kAnew}};
  }
  const auto text = S_ISREG(info.st_mode) ? read_file(path) : std::nullopt;
  if (!text) return {{path, "cannot be read", kAnew}};
  if (const Status restored = compiler.restore_ids(*text); !restored) return {{path, restored.error().what, kAnew}};
  if ((info.st_mode & ALLPERMS & ~kSavedMode) != 0)
    return {{path, "others than the daemon and its group had access, and the secret of cookies stands there",
             "it is replaced now; where the secret matters, end the dataplane too, so that a new one is drawn"}};
  return {};
}

}  // namespace penstock::daemon
