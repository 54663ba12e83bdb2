#include "mgmt/daemon/files.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>

namespace penstock::daemon {

std::optional<std::string> read_file(const std::string& path) {
  std::ifstream file{path};
  if (!file) return std::nullopt;
  std::stringstream text;
  text << file.rdbuf();
  if (file.bad()) return std::nullopt;
  return text.str();
}

Status replace_file(const std::string& path, const std::string& text) {
  const std::string fresh = path + ".new";
  {
    std::ofstream file{fresh, std::ios::trunc};
    file << text;
    file.flush();
    if (!file) return Problem{fresh, std::string{"cannot write: "} + std::strerror(errno), ""};
  }
  if (std::rename(fresh.c_str(), path.c_str()) != 0)
    return Problem{path, std::string{"cannot replace: "} + std::strerror(errno), ""};
  return Done{};
}

}  // namespace penstock::daemon
