#include "dataplane/io/sim/sim_io.h"

#include <algorithm>

#include "dataplane/io/large.h"
#include "dataplane/io/train.h"

namespace penstock::io {

std::size_t SimIo::receive(std::span<Frame> into) {
  std::size_t n = 0;
  const SimOptions& o = device_.options_;
  // The one behind the last that was served has the next turn, or a port with much would starve the others.
  for (std::size_t turn = 0; turn < o.ports && n < into.size(); ++turn) {
    const std::size_t port = next_port_++ % o.ports;
    for (std::size_t q = worker_; q < o.queues; q += o.workers) {
      std::deque<Frame>& queue = device_.queue(port, q);
      for (; n < into.size() && !queue.empty(); queue.pop_front()) {
        into[n++] = std::move(queue.front());
      }
    }
  }
  return n;
}

std::size_t SimIo::transmit(PortIndex port, std::span<Frame> frames) {
  require(can_transmit(port), "transmit on a port without a queue of this worker");
  const std::size_t n = std::min(frames.size(), device_.transmit_limit_[port]);
  for (Frame& frame : frames.first(n)) {
    require(frame.live() && frame.port() == port, "transmit of a frame that is gone or meant for another port");
    if (device_.options_.cut_mtu != 0 && frame.octets() >= kPartialSumOctetsMin) complete_checksum(frame.bytes());
    const ByteView bytes = frame.bytes();
    LargeSegment large;
    if (device_.options_.cut_mtu != 0 && is_above(bytes, device_.options_.cut_mtu)) {
      require(large.read({&bytes, 1}, device_.options_.cut_mtu, true), "a frame above the MTU that cannot be cut");
      for (std::size_t i = 0; i < large.pieces(); ++i) {
        std::vector<std::byte> piece(bytes.size());
        piece.resize(large.write_next(piece));
        device_.sent_.push_back({port, worker_, std::move(piece)});
      }
    } else {
      device_.sent_.push_back({port, worker_, {bytes.begin(), bytes.end()}});
    }
    if (device_.hold_sent_)
      device_.held_.push_back(std::move(frame));
    else
      device_.give_back(frame);
  }
  return n;
}

void SimIo::drop(std::span<Frame> frames) {
  for (Frame& frame : frames) device_.give_back(frame);
}

std::size_t SimIo::allocate(std::span<Frame> into) {
  std::size_t n = 0;
  for (; n < into.size(); ++n) {
    SimDevice::Buffer* const buffer = device_.lend();
    if (buffer == nullptr) break;
    into[n] = Frame{RawFrame{.data = buffer->data() + kMadeHeadroom,
                             .handle = buffer,
                             .octets = 0,
                             .headroom = kMadeHeadroom,
                             .tailroom = static_cast<std::uint16_t>(buffer->size() - kMadeHeadroom),
                             .port = kNoPort}};
  }
  return n;
}

Frame SimIo::share(const RawFrame& buffer) {
  ++device_.lent_.at(buffer.handle);
  return Frame{buffer};
}

bool SimIo::is_sole_owner(const RawFrame& buffer) const { return device_.lent_.at(buffer.handle) == 1; }

bool SimIo::can_transmit(PortIndex port) const {
  return port < device_.options_.ports && worker_ < device_.options_.queues;
}

SimDevice::SimDevice(const SimOptions& options)
    : options_{options},
      queues_(options.ports * options.queues),
      transmit_limit_(options.ports, kBurstMax),
      random_{options.seed} {
  for (std::size_t i = 0; i < options.buffers; ++i)
    free_.push_back(std::make_unique<Buffer>(options.headroom + options.frame_octets_max));
  for (std::size_t w = 0; w < options.workers; ++w) ios_.push_back(std::make_unique<SimIo>(*this, w));
}

SimDevice::~SimDevice() {
  for (std::deque<Frame>& queue : queues_)
    for (Frame& frame : queue) give_back(frame);
  release_sent();
}

std::size_t SimDevice::outstanding() const {
  std::size_t owners = 0;
  for (const auto& [buffer, count] : lent_) owners += count;
  return owners - waiting() - held_.size();
}

void SimDevice::release_sent() {
  for (Frame& frame : held_) give_back(frame);
  held_.clear();
}

SimDevice::Buffer* SimDevice::lend() {
  if (free_.empty()) return nullptr;
  Buffer* const buffer = free_.back().release();
  free_.pop_back();
  lent_.emplace(buffer, 1u);
  return buffer;
}

std::size_t SimDevice::waiting() const {
  std::size_t n = 0;
  for (const auto& queue : queues_) n += queue.size();
  return n;
}

void SimDevice::inject(PortIndex port, ByteView bytes, std::size_t q) {
  if (chance(options_.faults.loss_percent)) {
    ++lost_;
    return;
  }
  deliver(port, bytes, q);
  if (chance(options_.faults.duplicate_percent)) deliver(port, bytes, q);
  std::deque<Frame>& waiting = queue(port, q);
  if (waiting.size() < 2 || !chance(options_.faults.reorder_percent)) return;
  Frame last = std::move(waiting.back());
  waiting.pop_back();
  Frame overtaken = std::move(waiting.back());
  waiting.pop_back();
  waiting.push_back(std::move(last));
  waiting.push_back(std::move(overtaken));
}

void SimDevice::deliver(PortIndex port, ByteView bytes, std::size_t q) {
  require(bytes.size() <= options_.frame_octets_max, "injected frame larger than a buffer");
  if (options_.ring != 0 && queue(port, q).size() >= options_.ring) {
    ++ring_full_;
    return;
  }
  Buffer* const buffer = lend();
  if (buffer == nullptr) {
    ++no_buffer_;
    return;
  }
  std::copy(bytes.begin(), bytes.end(), buffer->begin() + options_.headroom);
  ++delivered_;
  queue(port, q).emplace_back(RawFrame{.data = buffer->data() + options_.headroom,
                                       .handle = buffer,
                                       .octets = static_cast<std::uint16_t>(bytes.size()),
                                       .headroom = options_.headroom,
                                       .tailroom = static_cast<std::uint16_t>(options_.frame_octets_max - bytes.size()),
                                       .port = port});
}

void SimDevice::give_back(Frame& frame) {
  const RawFrame raw = std::move(frame).release();
  const auto owners = lent_.find(raw.handle);
  require(owners != lent_.end(), "a buffer came back that was not lent");
  if (--owners->second > 0) return;
  lent_.erase(owners);
  free_.emplace_back(static_cast<Buffer*>(raw.handle));
}

}  // namespace penstock::io
