#include "mgmt/telemetry/segment_reader.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace penstock::telemetry {
namespace {

template <typename Table, typename Block>
void add_rows(const Table& table, const Block& block, std::array<std::uint64_t, std::tuple_size_v<Table>>& into) {
  for (std::size_t i = 0; i < table.size(); ++i) into[i] += (block.*(table[i].member)).read();
}

}  // namespace

Mapping::Mapping(Mapping&& other) noexcept
    : data_{std::exchange(other.data_, nullptr)}, size_{std::exchange(other.size_, 0)} {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Mapping::~Mapping() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

Result<Mapping> Mapping::open(int fd, bool writable) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return Problem{"shared memory", std::string{"fstat: "} + std::strerror(errno), ""};
  if (info.st_size <= 0) return Problem{"shared memory", "is empty", ""};
  Mapping out;
  out.size_ = static_cast<std::size_t>(info.st_size);
  void* data = ::mmap(nullptr, out.size_, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) return Problem{"shared memory", std::string{"mmap: "} + std::strerror(errno), ""};
  out.data_ = static_cast<std::byte*>(data);
  return out;
}

ArenaMappings ArenaMappings::open(std::span<const Fd> arenas) {
  ArenaMappings out;
  for (const Fd& arena : arenas) {
    auto mapping = Mapping::open(arena.get(), false);
    if (!mapping) continue;
    out.views.push_back(mapping->bytes());
    out.mappings.push_back(std::move(*mapping));
  }
  return out;
}

Result<SegmentMapping> SegmentMapping::open(int fd, bool writable) {
  auto mapping = Mapping::open(fd, writable);
  if (!mapping) return mapping.error();
  auto view = control::SegmentView::open(mapping->bytes());
  if (!view) return view.error();
  return SegmentMapping{std::move(*mapping), *view};
}

WorkerValues worker_values(const control::SegmentView& segment, std::size_t worker) {
  WorkerValues out{};
  add_rows(kWorkerMetrics, segment.counters(worker), out);
  return out;
}

ProxyValues proxy_values(const control::SegmentView& segment, std::size_t worker) {
  ProxyValues out{};
  add_rows(kProxyMetrics, segment.counters(worker).proxy, out);
  return out;
}

PortValues port_values(const control::SegmentView& segment, std::size_t port) {
  PortValues out{};
  if (port >= control::kPortMax) return out;
  for (std::size_t w = 0; w < segment.worker_count(); ++w) add_rows(kPortMetrics, segment.counters(w).ports[port], out);
  return out;
}

SlotValues slot_values(const control::SegmentView& segment, std::uint32_t slot) {
  SlotValues out{};
  if (slot >= control::kStatSlotMax) return out;
  for (std::size_t w = 0; w < segment.worker_count(); ++w) add_rows(kSlotMetrics, segment.counters(w).slots[slot], out);
  return out;
}

DropValues drop_values(const control::SegmentView& segment) {
  DropValues out{};
  for (std::size_t w = 0; w < segment.worker_count(); ++w)
    for (std::size_t i = 0; i < out.size(); ++i) out[i] += segment.counters(w).drops[i].read();
  return out;
}

std::uint64_t active_epoch(const control::SegmentView& segment) {
  std::uint64_t lowest = segment.worker_count() == 0 ? 0 : ~std::uint64_t{0};
  for (std::size_t w = 0; w < segment.worker_count(); ++w)
    lowest = std::min(lowest, segment.counters(w).adopted_epoch.read());
  return lowest;
}

}  // namespace penstock::telemetry
