#include "bench/harness/memory_io.h"

#include <algorithm>
#include <cstring>

namespace penstock::bench {
namespace {

constexpr std::size_t kTemplateOctets = 96;

template <typename T>
T load(ByteView bytes, std::size_t at) {
  T out;
  std::memcpy(&out, bytes.data() + at, sizeof out);
  return out;
}

}  // namespace

PacketStamp PacketTemplate::stamp_of(ByteView frame, std::uint8_t shape) const {
  PacketStamp s;
  const std::size_t l4 = v4() ? 34 : 54;
  s.src_low = load<decltype(s.src_low)>(frame, v4() ? 26 : 34);
  s.dst_low = load<decltype(s.dst_low)>(frame, v4() ? 30 : 50);
  s.src_port = load<std::uint16_t>(frame, l4);
  s.dst_port = load<std::uint16_t>(frame, l4 + 2);
  s.ip_sum = v4() ? load<std::uint16_t>(frame, 24) : std::uint16_t{0};
  s.l4_sum = load<std::uint16_t>(frame, l4 + (tcp() ? 16 : 6));
  s.shape = shape;
  return s;
}

MemoryIo::MemoryIo(std::vector<PacketTemplate> templates)
    : templates_{std::move(templates)}, memory_(kBuffers * kStride) {
  for (PacketTemplate& t : templates_) {
    const bool v4 = t.v4();
    const auto l4 = static_cast<std::uint16_t>(v4 ? 34 : 54);
    Layout layout{};
    layout.octets = static_cast<std::uint16_t>(t.bytes.size());
    layout.ip_src_low = v4 ? 26 : 34;
    layout.ip_dst_low = v4 ? 30 : 50;
    layout.ip_sum = v4 ? 24 : 0;
    layout.ports = l4;
    layout.l4_sum = static_cast<std::uint16_t>(l4 + (t.tcp() ? 16 : 6));
    layout.port = t.port;
    layouts_.push_back(layout);
    require(t.bytes.size() <= kTemplateOctets, "template too long");
    t.bytes.resize(kTemplateOctets);
  }
}

void MemoryIo::play(std::span<const PacketStamp> stamps, std::size_t burst) {
  stamps_ = stamps;
  burst_ = burst;
  next_ = 0;
}

void MemoryIo::stamp(std::byte* at, const PacketStamp& s) const {
  const Layout& layout = layouts_[s.shape];
  const std::byte* const from = templates_[s.shape].bytes.data();
  std::memcpy(at, from, 64);  // fixed sizes: a call or a string instruction would cost more than the copy
  if (layout.octets > 64) std::memcpy(at + 64, from + 64, 32);
  std::memcpy(at + layout.ip_src_low, s.src_low.data(), 4);
  std::memcpy(at + layout.ip_dst_low, s.dst_low.data(), 4);
  std::memcpy(at + layout.ports, &s.src_port, 2);
  std::memcpy(at + layout.ports + 2, &s.dst_port, 2);
  std::memcpy(at + layout.l4_sum, &s.l4_sum, 2);
  if (layout.ip_sum != 0) std::memcpy(at + layout.ip_sum, &s.ip_sum, 2);
}

std::size_t MemoryIo::receive(std::span<Frame> into) {
  const std::size_t n = std::min({into.size(), burst_, allowed_, stamps_.size() - next_});
  if (allowed_ != kAll) allowed_ -= n;
  for (std::size_t i = 0; i < n; ++i) {
    const PacketStamp& s = stamps_[next_ + i];
    std::byte* const buffer = memory_.data() + (next_buffer_++ % kBuffers) * kStride;
    stamp(buffer + kHeadroom, s);
    into[i] = Frame{RawFrame{.data = buffer + kHeadroom,
                             .handle = buffer,
                             .octets = layouts_[s.shape].octets,
                             .headroom = kHeadroom,
                             .tailroom = kStride - kHeadroom - kTemplateOctets,
                             .port = layouts_[s.shape].port}};
  }
  next_ += n;
  if (next_ == stamps_.size()) next_ = 0;
  return n;
}

std::size_t MemoryIo::transmit(PortIndex port, std::span<Frame> frames) {
  if (tap)
    for (const Frame& frame : frames) tap(port, frame.bytes());
  transmitted_ += frames.size();
  drop(frames);
  return frames.size();
}

void MemoryIo::drop(std::span<Frame> frames) {
  for (Frame& frame : frames) static_cast<void>(std::move(frame).release());
}

}  // namespace penstock::bench
