#include "dataplane/app/shared_memory.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <tuple>

namespace penstock::app {
namespace {

constexpr std::size_t kHugepageOctets = std::size_t{2} << 20;

Problem memory_problem(const std::string& place, const std::string& what) {
  return {place, what + ": " + std::strerror(errno), ""};
}

std::span<std::byte> map(int fd, std::size_t octets, int protection) {
  void* at = ::mmap(nullptr, octets, protection, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return {};
  return {static_cast<std::byte*>(at), octets};
}

/// A mapped memfd of hugepages, all of them reserved; nothing when they are not there.
std::pair<Fd, std::span<std::byte>> huge(const std::string& name, std::size_t octets) {
  Fd fd{::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB | MFD_HUGE_2MB)};
  const std::size_t whole = (octets + kHugepageOctets - 1) / kHugepageOctets * kHugepageOctets;
  if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(whole)) != 0) return {};
  if (::fallocate(fd.get(), 0, 0, static_cast<off_t>(whole)) != 0) return {};
  const auto bytes = map(fd.get(), whole, PROT_READ | PROT_WRITE);
  if (bytes.empty()) return {};
  return {std::move(fd), bytes};
}

}  // namespace

SharedMemory::SharedMemory(SharedMemory&& other) noexcept
    : fd_{std::move(other.fd_)}, bytes_{std::exchange(other.bytes_, {})} {}

SharedMemory& SharedMemory::operator=(SharedMemory&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

SharedMemory::~SharedMemory() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

Result<SharedMemory> SharedMemory::create(const std::string& name, std::size_t octets, bool hugepages) {
  SharedMemory memory;
  if (hugepages) std::tie(memory.fd_, memory.bytes_) = huge(name, octets);
  if (memory.bytes_.empty()) {
    memory.fd_ = Fd{::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    if (!memory.fd_) return memory_problem(name, "cannot create shared memory");
    if (::ftruncate(memory.fd_.get(), static_cast<off_t>(octets)) != 0)
      return memory_problem(name, "no room for " + std::to_string(octets) + " octets");
    memory.bytes_ = map(memory.fd_.get(), octets, PROT_READ | PROT_WRITE);
    if (memory.bytes_.empty()) return memory_problem(name, "cannot map shared memory");
  }
  ::fcntl(memory.fd_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  return memory;
}

Result<SharedMemory> SharedMemory::open_read_only(Fd fd) {
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return memory_problem("shared memory", "cannot read its size");
  if (info.st_size <= 0) return Problem{"shared memory", "is empty", ""};
  // Without this seal the owner could shrink it under us.
  if ((::fcntl(fd.get(), F_GET_SEALS) & F_SEAL_SHRINK) == 0)
    return Problem{"shared memory", "is not sealed against shrinking", ""};
  SharedMemory memory;
  memory.bytes_ = map(fd.get(), static_cast<std::size_t>(info.st_size), PROT_READ);
  if (memory.bytes_.empty()) return memory_problem("shared memory", "cannot be mapped");
  memory.fd_ = std::move(fd);
  return memory;
}

Result<SharedMemory> SharedMemory::open_sealed(Fd fd) {
  constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
  if ((::fcntl(fd.get(), F_GET_SEALS) & kSeals) != kSeals)
    return Problem{"shared memory", "is not sealed against changes", ""};
  return open_read_only(std::move(fd));
}

Result<Fd> SharedMemory::reader_fd() const {
  Fd fd{::open(("/proc/self/fd/" + std::to_string(fd_.get())).c_str(), O_RDONLY | O_CLOEXEC)};
  if (!fd) return memory_problem("shared memory", "cannot be opened for reading");
  return fd;
}

}  // namespace penstock::app
