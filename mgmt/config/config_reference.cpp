// Writes docs/guide/config.md and limits.md. Usage: config_reference DIRECTORY.
#include <cstdio>
#include <fstream>
#include <string>

#include "mgmt/config/reference.h"

namespace {

bool write_file(const std::string& path, const std::string& text) {
  std::ofstream file{path, std::ios::binary | std::ios::trunc};
  file << text;
  file.close();
  if (!file) std::fprintf(stderr, "config_reference: cannot write %s\n", path.c_str());
  return !file.fail();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: config_reference DIRECTORY\n");
    return 2;
  }
  const std::string directory{argv[1]};
  const bool written = write_file(directory + "/config.md", penstock::config::config_page()) &&
                       write_file(directory + "/limits.md", penstock::config::limits_page());
  return written ? 0 : 1;
}
