#include "dataplane/flow/source_port.h"

#include <algorithm>

namespace penstock::flow {
namespace {

/// The first port of the share at or above `low`.
std::uint32_t first_port(const SourceSpace& s) {
  const std::uint32_t over = s.low % s.worker_count;
  return s.low + (s.worker + s.worker_count - over) % s.worker_count;
}

}  // namespace

std::uint32_t SourceSpace::ports() const {
  const std::uint32_t first = first_port(*this);
  return first > high ? 0 : (high - first) / worker_count + 1;
}

std::uint16_t SourceSpace::port(std::uint32_t n) const {
  return static_cast<std::uint16_t>(first_port(*this) + n * worker_count);
}

SourcePorts::SourcePorts(std::uint64_t seed) : hasher_{{seed, seed * 0x9e3779b97f4a7c15ull}}, random_{seed | 1} {
  for (std::uint32_t i = 0; i < kCursors; ++i) {
    FlowKey k;
    k.dst_port = Be16::from_host(static_cast<std::uint16_t>(i));
    cursors_[i] = static_cast<std::uint32_t>(hasher_(k));
  }
}

std::uint32_t SourcePorts::random_below(std::uint32_t n) {
  random_ ^= random_ << 13;  // xorshift64: which port is tried next need not be a secret
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return static_cast<std::uint32_t>((random_ >> 32) * n >> 32);
}

SourcePorts::Choice SourcePorts::choose(FlowTable& table, const SourceSpace& space, const IpAddress& endpoint,
                                        Be16 endpoint_port, IpProto proto) {
  Choice out;
  const std::uint32_t ports = space.ports();
  const std::uint32_t positions = ports * static_cast<std::uint32_t>(space.addresses.size());
  if (positions == 0) return out;
  out.reverse = {endpoint, {}, endpoint_port, {}, proto, {}};
  std::uint32_t& cursor = cursors_[hasher_(out.reverse) % kCursors];
  cursor %= positions;
  FlowKey over_key;
  const std::uint32_t tries = std::min(kSourcePortTries, positions);
  const auto addresses = static_cast<std::uint32_t>(space.addresses.size());
  for (std::uint32_t t = 0; t < tries; ++t) {
    // The walk stands in a crowd, as after a restart: look elsewhere. Small spaces are walked whole.
    if (t >= kSourcePortWalk && positions > kSourcePortTries) cursor = random_below(positions);
    out.reverse.dst = space.addresses[cursor % addresses];
    out.reverse.dst_port = Be16::from_host(space.port(cursor / addresses));
    cursor = cursor + 1 == positions ? 0 : cursor + 1;
    const DirectionIndex holder = table.find(out.reverse);
    if (holder == kNoDirection) {
      out.found = true;
      out.take_over = kNoFlow;
      return out;
    }
    const control::FlowState state = table.forward(holder / 2).state;
    if (out.take_over != kNoFlow) continue;
    if (state == control::FlowState::closing || state == control::FlowState::reset) {
      out.take_over = holder / 2;
      over_key = out.reverse;
    }
  }
  if (out.take_over == kNoFlow) return out;
  out.found = true;
  out.reverse = over_key;
  return out;
}

}  // namespace penstock::flow
