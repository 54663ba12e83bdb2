#include "mgmt/publish/sealed_memfd.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace penstock::publish {
namespace {

Problem failed(const char* call) {
  return {"snapshot", std::string{call} + ": " + std::strerror(errno), "check the limits of open files and memory"};
}

}  // namespace

Result<Fd> sealed_memfd(const char* name, ByteView bytes) {
  Fd fd{::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  if (!fd) return failed("memfd_create");
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::write(fd.get(), bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return failed("write");
    done += static_cast<std::size_t>(n);
  }
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
    return failed("F_ADD_SEALS");
  return fd;
}

}  // namespace penstock::publish
