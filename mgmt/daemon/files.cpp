#include "mgmt/daemon/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>

#include "dataplane/core/fd.h"

namespace penstock::daemon {

std::optional<std::string> read_file(const std::string& path) {
  std::ifstream file{path};
  if (!file) return std::nullopt;
  std::stringstream text;
  text << file.rdbuf();
  if (file.bad()) return std::nullopt;
  return text.str();
}

Status replace_file(const std::string& path, const std::string& text, mode_t mode) {
  const std::string fresh = path + ".new";
  (void)::unlink(fresh.c_str());  // left behind by one that died here, maybe with another mode
  const Fd file{::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)};
  const auto failed = [&] { return Problem{fresh, std::string{"cannot write: "} + std::strerror(errno), ""}; };
  if (!file || ::fchmod(file.get(), mode) != 0) return failed();
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t n = ::write(file.get(), text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return failed();
    done += static_cast<std::size_t>(n);
  }
  if (std::rename(fresh.c_str(), path.c_str()) != 0)
    return Problem{path, std::string{"cannot replace: "} + std::strerror(errno), ""};
  return Done{};
}

}  // namespace penstock::daemon
