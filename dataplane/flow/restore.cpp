#include "dataplane/flow/restore.h"

#include <algorithm>
#include <atomic>

#include "dataplane/control/limits.h"

namespace penstock::flow {
namespace {

using control::FlowCold;
using control::FlowDirection;
using control::FlowState;

bool state_fits(IpProto proto, FlowState state) {
  if (proto == IpProto::tcp) return state >= FlowState::syn_sent && state <= FlowState::reset;
  if (proto == IpProto::udp) return state == FlowState::udp_unreplied || state == FlowState::udp_stream;
  return false;
}

bool direction_fits(const FlowDirection& d, IpFamily family) {
  const IpAddress unspecified4 = IpAddress::v4(0, 0, 0, 0);
  const auto usable = [&](const IpAddress& a) { return a.family() == family && a != IpAddress{} && a != unspecified4; };
  return usable(d.src) && usable(d.dst) && d.dst_port != Be16{};
}

std::uint32_t load_generation(const FlowCold& cold) {
  std::uint32_t value;
  __atomic_load(&cold.generation, &value, __ATOMIC_ACQUIRE);
  return value;
}

}  // namespace

Result<ArenaView> ArenaView::open(ByteView bytes) {
  const auto bad = [](const char* what) {
    return Problem{"flow arena", what, "flows of that process cannot be taken over"};
  };
  control::FlowArenaHeader header;
  if (bytes.size() < sizeof header) return bad("shorter than its header");
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != control::kFlowArenaMagic) return bad("magic is wrong");
  if (header.layout != control::kFlowArenaLayout) return bad("another layout");
  if (header.capacity == 0 || bytes.size() < control::flow_arena_octets(header.capacity))
    return bad("shorter than its capacity");
  return ArenaView{bytes, header.capacity};
}

std::uint32_t ArenaView::high_water() const {
  std::uint32_t value;
  std::memcpy(&value, bytes_.data() + offsetof(control::FlowArenaHeader, high_water), sizeof value);
  return std::min(value, capacity_);
}

ArenaView::Read ArenaView::read(std::uint32_t index, FlowRecord& into) const {
  const std::byte* const directions = bytes_.data() + sizeof(control::FlowArenaHeader);
  const std::byte* const colds = directions + std::size_t{capacity_} * 2 * sizeof(FlowDirection);
  const auto& cold = *reinterpret_cast<const FlowCold*>(colds + std::size_t{index} * sizeof(FlowCold));
  const std::uint32_t before = load_generation(cold);
  const std::byte* const pair = directions + std::size_t{index} * 2 * sizeof(FlowDirection);
  std::memcpy(&into.forward, pair, sizeof(FlowDirection));
  std::memcpy(&into.reverse, pair + sizeof(FlowDirection), sizeof(FlowDirection));
  std::memcpy(&into.cold, &cold, sizeof(FlowCold));
  into.forward = control::plain(into.forward);
  into.reverse = control::plain(into.reverse);
  std::atomic_thread_fence(std::memory_order_acquire);
  if ((before & 1) != 0) return into.forward.state == FlowState::free ? Read::unused : Read::torn;
  if (before == 0 && into.forward.state == FlowState::free) return Read::unused;
  return load_generation(cold) == before ? Read::valid : Read::torn;
}

bool plausible(const FlowRecord& r) {
  const FlowDirection& f = r.forward;
  const FlowDirection& b = r.reverse;
  if (f.proto != b.proto || !state_fits(f.proto, f.state)) return false;
  const IpFamily family = f.src.family();
  if (!direction_fits(f, family) || !direction_fits(b, family)) return false;
  if (((f.flags & control::kFlowV6) != 0) != (family == IpFamily::v6)) return false;
  if ((f.flags & control::kFlowReverse) != 0 || (b.flags & control::kFlowReverse) == 0) return false;
  const bool dnat = (f.flags & control::kFlowDnat) != 0;
  if (dnat && (b.dst != f.src || b.dst_port != f.src_port)) return false;
  if (b.out_port >= control::kPortMax) return false;
  return r.cold.listener_slot < control::kStatSlotMax && r.cold.endpoint_slot < control::kStatSlotMax;
}

}  // namespace penstock::flow
