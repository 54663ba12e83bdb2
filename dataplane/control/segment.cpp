#include "dataplane/control/segment.h"

#include <bit>
#include <cstring>
#include <string>

namespace penstock::control {
namespace {

constexpr std::size_t kPageOctets = 4096;
constexpr std::size_t aligned(std::size_t octets, std::size_t to) { return (octets + to - 1) & ~(to - 1); }
// Blocks start at pages, so that a reader may map one worker alone.
constexpr std::size_t kWorkerOffset = aligned(sizeof(SegmentHeader), kPageOctets);
constexpr std::size_t kWorkerStride = aligned(sizeof(WorkerBlock), kPageOctets);

Problem segment_problem(std::string what) {
  return {"segment", std::move(what), "use a daemon and a dataplane of the same version"};
}

}  // namespace

std::size_t segment_octets(std::size_t worker_count) { return kWorkerOffset + worker_count * kWorkerStride; }

void format_segment(ByteSpan memory, std::size_t worker_count, std::uint64_t boot_epoch) {
  require(worker_count >= 1 && worker_count <= kWorkerMax, "segment for 1 to kWorkerMax workers");
  require(memory.size() >= segment_octets(worker_count), "segment memory too small");
  SegmentHeader header{};
  header.magic = kSegmentMagic;
  header.layout = kSegmentLayout;
  header.worker_count = static_cast<std::uint32_t>(worker_count);
  header.worker_offset = kWorkerOffset;
  header.worker_stride = kWorkerStride;
  header.boot_epoch = boot_epoch;
  std::memcpy(memory.data(), &header, sizeof header);
}

Result<SegmentView> SegmentView::open(std::span<std::byte> memory) {
  if (memory.size() < sizeof(SegmentHeader)) return segment_problem("shorter than its header");
  if (std::bit_cast<std::uintptr_t>(memory.data()) % alignof(WorkerBlock) != 0)
    return segment_problem("memory is not aligned to 64 octets");
  SegmentHeader header;
  std::memcpy(&header, memory.data(), sizeof header);
  if (header.magic != kSegmentMagic) return segment_problem("magic is wrong: this is no segment");
  if (header.layout != kSegmentLayout)
    return segment_problem("layout " + std::to_string(header.layout) + ", expected " + std::to_string(kSegmentLayout));
  if (header.worker_count < 1 || header.worker_count > kWorkerMax)
    return segment_problem("worker_count " + std::to_string(header.worker_count) + " is not 1.." +
                           std::to_string(kWorkerMax));
  if (header.worker_offset != kWorkerOffset || header.worker_stride != kWorkerStride)
    return segment_problem("worker_offset or worker_stride differs from this build's");
  if (memory.size() < segment_octets(header.worker_count))
    return segment_problem(std::to_string(memory.size()) + " octets, " +
                           std::to_string(segment_octets(header.worker_count)) + " needed");
  SegmentView view;
  view.memory_ = memory.data();
  view.worker_count_ = header.worker_count;
  return view;
}

std::uint64_t SegmentView::boot_epoch() const {
  if (memory_ == nullptr) return 0;
  SegmentHeader header;
  std::memcpy(&header, memory_, sizeof header);
  return header.boot_epoch;
}

WorkerBlock& SegmentView::block(std::size_t worker) const {
  require(worker < worker_count_, "segment has no such worker");
  return *reinterpret_cast<WorkerBlock*>(memory_ + kWorkerOffset + worker * kWorkerStride);
}

}  // namespace penstock::control
