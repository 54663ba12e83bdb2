#include "mgmt/daemon/saved_ids.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "mgmt/daemon/files.h"

namespace penstock::daemon {

Problems restore_ids(const std::string& path, compile::Compiler& compiler) {
  const auto begin_anew = [&](std::string why) -> Problems {
    compiler.begin_ids_anew();
    return {{path, std::move(why),
             "ids and the secret of cookies begin anew: sessions whose cluster has no `key` choose an endpoint again, "
             "and counters may go on from what another listener, route or endpoint counted"}};
  };
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) {
    const int error = errno;
    const Problems problems = begin_anew(std::string{"cannot be read: "} + std::strerror(error));
    return error == ENOENT ? Problems{} : problems;
  }
  const auto text = S_ISREG(info.st_mode) ? read_file(path) : std::nullopt;
  if (!text) return begin_anew("cannot be read");
  if (const Status restored = compiler.restore_ids(*text); !restored) return begin_anew(restored.error().what);
  if ((info.st_mode & ALLPERMS & ~kSavedMode) != 0)
    return {{path, "others than the daemon and its group had access, and the secret of cookies stands there",
             "it is replaced now; where the secret matters, end the dataplane too, so that a new one is drawn"}};
  return {};
}

}  // namespace penstock::daemon
