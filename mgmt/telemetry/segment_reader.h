// segment_reader.h - values out of the dataplane's shared segment.
//
// Model     SegmentMapping maps the memfd; sums over workers are made here. Readers may see one burst less of one
//           worker than of another.
// Errors    open() refuses a segment of another layout or size; afterwards nothing can fail.
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/control/segment.h"
#include "dataplane/core/fd.h"
#include "mgmt/telemetry/report.h"

namespace penstock::telemetry {

/// A mapped file, unmapped at its end.
class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();
  /// The whole file behind `fd`; shared, writable or read-only.
  [[nodiscard]] static Result<Mapping> open(int fd, bool writable);
  [[nodiscard]] std::span<std::byte> bytes() const { return {data_, size_}; }

 private:
  std::byte* data_{};
  std::size_t size_{};
};

/// Arenas of all workers, read-only; one that cannot be mapped is left out.
struct ArenaMappings {
  std::vector<Mapping> mappings;
  std::vector<ByteView> views;
  [[nodiscard]] static ArenaMappings open(std::span<const Fd> arenas);
};

struct SegmentMapping {
  Mapping mapping;
  control::SegmentView view;
  [[nodiscard]] static Result<SegmentMapping> open(int fd, bool writable);
};

[[nodiscard]] WorkerValues worker_values(const control::SegmentView& segment, std::size_t worker);
[[nodiscard]] ProxyValues proxy_values(const control::SegmentView& segment, std::size_t worker);
[[nodiscard]] PortValues port_values(const control::SegmentView& segment, std::size_t port);
[[nodiscard]] SlotValues slot_values(const control::SegmentView& segment, std::uint32_t slot);
[[nodiscard]] DropValues drop_values(const control::SegmentView& segment);
/// Lowest epoch that a worker uses.
[[nodiscard]] std::uint64_t active_epoch(const control::SegmentView& segment);

}  // namespace penstock::telemetry
