#include "tests/support/impair/stage.h"

#include <array>

namespace penstock::impair {
namespace {

bool is_ip(std::span<const std::byte> frame) {
  if (frame.size() <= kEthernetOctets) return false;
  const unsigned type = std::to_integer<unsigned>(frame[12]) << 8 | std::to_integer<unsigned>(frame[13]);
  return type == 0x0800 || type == 0x86dd;
}

void flip(std::span<std::byte> frame, std::uint32_t bit) { frame[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8)); }

}  // namespace

void Direction::take(std::span<const std::byte> frame, Instant now) {
  if (!is_ip(frame)) {
    ++spared_;
    if (line_.push(frame, now).empty()) ++line_full_;
    return;
  }
  const Passage passage = impairment_.pass(now, frame.size());
  if (passage.fate != Fate::forwarded) return;
  for (std::size_t copy = 0; copy < passage.copies; ++copy) {
    const auto kept = line_.push(frame, passage.leaves[copy], copy == 0 ? passage.overtaken_by : 0);
    if (kept.empty()) {
      ++line_full_;
    } else if (copy == 0 && passage.corrupted) {
      flip(kept, passage.corrupt_bit);
    }
  }
}

std::size_t Direction::send_due(Instant now) {
  std::array<std::array<std::byte, kFrameOctetsMax>, PacketPort::kBatch> octets;
  std::array<std::span<const std::byte>, PacketPort::kBatch> batch;
  std::size_t count = 0;
  for (; count < batch.size() && line_.next() <= now; ++count) {
    const auto frame = line_.front();
    std::copy(frame.begin(), frame.end(), octets[count].begin());
    batch[count] = std::span{octets[count]}.first(frame.size());
    line_.pop();
  }
  if (count > 0) to_.send(std::span{batch}.first(count));
  return count;
}

bool Direction::turn(Instant now) {
  std::size_t taken = 0;
  for (; taken < PacketPort::kBatch; ++taken) {
    const auto frame = from_.front();
    if (frame.empty()) break;
    take(frame, now);
    from_.release();
  }
  return send_due(now) + taken > 0;
}

std::string Direction::report() {
  const Counters& c = impairment_.counters();
  const PortCounters in = from_.counters();
  const PortCounters out = to_.counters();
  const std::array fields{std::pair{"received", in.received},
                          std::pair{"ingress_full", in.ingress_full},
                          std::pair{"offloaded", in.offloaded},
                          std::pair{"spared", spared_},
                          std::pair{"frames", c.frames},
                          std::pair{"octets", c.octets},
                          std::pair{"lost", c.lost},
                          std::pair{"overflowed", c.overflowed},
                          std::pair{"reordered", c.reordered},
                          std::pair{"duplicated", c.duplicated},
                          std::pair{"corrupted", c.corrupted},
                          std::pair{"line_full", line_full_},
                          std::pair{"sent", out.sent},
                          std::pair{"egress_full", out.egress_full}};
  std::string text = "{";
  for (const auto& [name, value] : fields)
    text += (text.size() > 1 ? ", \"" : "\"") + std::string{name} + "\": " + std::to_string(value);
  return text + "}";
}

}  // namespace penstock::impair
