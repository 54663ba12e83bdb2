#include "dataplane/app/heartbeat_map.h"

#include <bpf/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "bpf/abi/steer.h"

namespace penstock::app {

static_assert(sizeof(std::atomic<std::uint64_t>) == sizeof(penstock_heartbeat::beat_ns));

HeartbeatMap::HeartbeatMap(HeartbeatMap&& other) noexcept
    : bytes_{std::exchange(other.bytes_, {})}, id_{std::exchange(other.id_, 0)} {}

HeartbeatMap& HeartbeatMap::operator=(HeartbeatMap&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  std::swap(id_, other.id_);
  return *this;
}

HeartbeatMap::~HeartbeatMap() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

Result<HeartbeatMap> HeartbeatMap::open(Fd map, std::size_t workers) {
  bpf_map_info info{};
  std::uint32_t length = sizeof info;
  if (bpf_obj_get_info_by_fd(map.get(), &info, &length) != 0)
    return Problem{"steer_heartbeat", std::string{"is no BPF map: "} + std::strerror(errno), ""};
  if (info.type != BPF_MAP_TYPE_ARRAY || info.value_size != sizeof(penstock_heartbeat) || info.max_entries < workers ||
      (info.map_flags & BPF_F_MMAPABLE) == 0)
    return Problem{"steer_heartbeat", "is not the heartbeat map of this version", ""};
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t octets = (info.max_entries * sizeof(penstock_heartbeat) + page - 1) / page * page;
  void* at = ::mmap(nullptr, octets, PROT_READ | PROT_WRITE, MAP_SHARED, map.get(), 0);
  if (at == MAP_FAILED) return Problem{"steer_heartbeat", std::string{"cannot be mapped: "} + std::strerror(errno), ""};
  HeartbeatMap out;
  out.bytes_ = {static_cast<std::byte*>(at), octets};
  out.id_ = info.id;
  return out;
}

std::atomic<std::uint64_t>* HeartbeatMap::slot(std::size_t worker) const {
  return reinterpret_cast<std::atomic<std::uint64_t>*>(bytes_.data() + worker * sizeof(penstock_heartbeat));
}

}  // namespace penstock::app
