// shared_memory.h - zeroed memory that other processes can map.
//
// Model     a memfd that cannot change its size, mapped for the life of the object; of hugepages if wanted and free.
// Errors    Problems with the system call.
#pragma once
#include <span>
#include <string>

#include "dataplane/core/fd.h"
#include "dataplane/core/result.h"

namespace penstock::app {

class SharedMemory {
 public:
  /// With `hugepages`, 2 MiB pages are tried first.
  [[nodiscard]] static Result<SharedMemory> create(const std::string& name, std::size_t octets, bool hugepages);
  /// Maps what somebody else made, read-only.
  [[nodiscard]] static Result<SharedMemory> open_read_only(Fd fd);
  /// Maps a configuration: refused unless its writer sealed it against any change.
  [[nodiscard]] static Result<SharedMemory> open_sealed(Fd fd);

  SharedMemory() = default;
  SharedMemory(SharedMemory&& other) noexcept;
  SharedMemory& operator=(SharedMemory&& other) noexcept;
  ~SharedMemory();

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }
  /// A descriptor for processes that may only read.
  [[nodiscard]] Result<Fd> reader_fd() const;

 private:
  Fd fd_;
  std::span<std::byte> bytes_;
};

}  // namespace penstock::app
