#include "dataplane/app/forward_maps.h"

#include <bpf/bpf.h>
#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace penstock::app {
namespace {

constexpr std::size_t kSlotsOctets = std::size_t{PENSTOCK_FORWARD_MAX} * sizeof(penstock_forward_slot);

Result<bpf_map_info> describe(const Fd& map, const char* name) {
  bpf_map_info info{};
  std::uint32_t length = sizeof info;
  if (bpf_obj_get_info_by_fd(map.get(), &info, &length) != 0)
    return Problem{name, std::string{"is no BPF map: "} + std::strerror(errno), ""};
  return info;
}

}  // namespace

ForwardMaps::ForwardMaps(ForwardMaps&& other) noexcept
    : entries_{std::move(other.entries_)},
      bytes_{std::exchange(other.bytes_, {})},
      entries_id_{std::exchange(other.entries_id_, 0)},
      slots_id_{std::exchange(other.slots_id_, 0)} {}

ForwardMaps& ForwardMaps::operator=(ForwardMaps&& other) noexcept {
  std::swap(entries_, other.entries_);
  std::swap(bytes_, other.bytes_);
  std::swap(entries_id_, other.entries_id_);
  std::swap(slots_id_, other.slots_id_);
  return *this;
}

ForwardMaps::~ForwardMaps() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

Result<ForwardMaps> ForwardMaps::open(Fd entries, Fd slots) {
  const auto entries_info = describe(entries, "steer_forwards");
  if (!entries_info) return entries_info.error();
  if (entries_info->type != BPF_MAP_TYPE_HASH || entries_info->key_size != sizeof(penstock_flow_key) ||
      entries_info->value_size != sizeof(penstock_forward))
    return Problem{"steer_forwards", "is not the map of forwarded flows of this version", ""};
  const auto slots_info = describe(slots, "steer_forward_slots");
  if (!slots_info) return slots_info.error();
  if (slots_info->type != BPF_MAP_TYPE_ARRAY || slots_info->value_size != sizeof(penstock_forward_slot) ||
      slots_info->max_entries != PENSTOCK_FORWARD_MAX || (slots_info->map_flags & BPF_F_MMAPABLE) == 0)
    return Problem{"steer_forward_slots", "is not the map of slots of this version", ""};
  void* at = ::mmap(nullptr, kSlotsOctets, PROT_READ | PROT_WRITE, MAP_SHARED, slots.get(), 0);
  if (at == MAP_FAILED)
    return Problem{"steer_forward_slots", std::string{"cannot be mapped: "} + std::strerror(errno), ""};
  ForwardMaps out;
  out.entries_ = std::move(entries);
  out.bytes_ = {static_cast<std::byte*>(at), kSlotsOctets};
  out.entries_id_ = entries_info->id;
  out.slots_id_ = slots_info->id;
  return out;
}

Status ForwardMaps::clear() {
  for (std::size_t s = 0; s < PENSTOCK_FORWARD_MAX; ++s)
    std::atomic_ref{slots()[s].generation}.store(0, std::memory_order_release);
  // The successor is asked for while its key is there: to find the first key, all emptied buckets are searched again.
  // The program may delete an entry at the same time, but nobody inserts one: this ends.
  penstock_flow_key key{}, next{};
  int error = bpf_map_get_next_key(entries_.get(), nullptr, &key);
  for (; error == 0; key = next) {
    error = bpf_map_get_next_key(entries_.get(), &key, &next);
    if (const int failed = bpf_map_delete_elem(entries_.get(), &key); failed != 0 && failed != -ENOENT)
      return Problem{"steer_forwards", std::string{"cannot be emptied: "} + std::strerror(-failed), ""};
    if (error == -ENOENT) error = bpf_map_get_next_key(entries_.get(), nullptr, &next);
  }
  if (error != -ENOENT) return Problem{"steer_forwards", std::string{"cannot be read: "} + std::strerror(-error), ""};
  return Done{};
}

bool ForwardMaps::carry_out(const worker::ForwardOrder& order) {
  if (!order.insert) {
    for (const penstock_flow_key& key : order.keys) static_cast<void>(bpf_map_delete_elem(entries_.get(), &key));
    return true;
  }
  if (bpf_map_update_elem(entries_.get(), &order.keys[0], &order.entries[0], BPF_ANY) != 0) return false;
  if (bpf_map_update_elem(entries_.get(), &order.keys[1], &order.entries[1], BPF_ANY) == 0) return true;
  static_cast<void>(bpf_map_delete_elem(entries_.get(), &order.keys[0]));
  return false;
}

}  // namespace penstock::app
