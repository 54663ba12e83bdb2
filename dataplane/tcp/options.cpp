#include "dataplane/tcp/options.h"

#include <algorithm>

namespace penstock::tcp {
namespace {

constexpr std::uint8_t kEnd = 0, kNop = 1, kMss = 2, kWindowShift = 3, kSackPermitted = 4, kSack = 5, kTimestamps = 8;
// NOP, NOP, kind, length: how nearly every segment begins that carries timestamps (RFC 7323 appendix A).
constexpr std::uint32_t kTimestampsAligned = 0x0101080a;

void read_sack(ByteView body, Options& into) {
  if (body.empty() || body.size() % 8 != 0) {
    into.malformed = true;
    return;
  }
  into.sack_count = 0;
  for (std::size_t at = 0; at < body.size() && into.sack_count < kSackBlocksMax; at += 8)
    into.sack[into.sack_count++] = {SeqNum{load_be<std::uint32_t>(body, at).host()},
                                    SeqNum{load_be<std::uint32_t>(body, at + 4).host()}};
}

/// One option with its kind and length taken off.
void read_option(std::uint8_t kind, ByteView body, Options& into) {
  switch (kind) {
    case kMss:
      if (body.size() != 2) break;
      into.has_mss = true;
      into.mss = load_be<std::uint16_t>(body, 0).host();
      return;
    case kWindowShift:
      if (body.size() != 1) break;
      into.has_window_shift = true;
      into.window_shift = std::min(std::to_integer<std::uint8_t>(body[0]), kWindowShiftMax);
      return;
    case kSackPermitted:
      if (!body.empty()) break;
      into.sack_permitted = true;
      return;
    case kSack:
      return read_sack(body, into);
    case kTimestamps:
      if (body.size() != 8) break;
      into.has_timestamps = true;
      into.ts_value = load_be<std::uint32_t>(body, 0).host();
      into.ts_echo = load_be<std::uint32_t>(body, 4).host();
      return;
    default:
      return;  // unknown: skipped
  }
  into.malformed = true;
}

class Writer {
 public:
  explicit Writer(OptionBytes& out) : out_{out} {}
  void octet(std::uint8_t value) { out_.bytes[out_.octets++] = std::byte{value}; }
  void half(std::uint16_t value) {
    store_be(ByteSpan{out_.bytes}, out_.octets, Be16::from_host(value));
    out_.octets = static_cast<std::uint8_t>(out_.octets + 2);
  }
  void word(std::uint32_t value) {
    store_be(ByteSpan{out_.bytes}, out_.octets, Be32::from_host(value));
    out_.octets = static_cast<std::uint8_t>(out_.octets + 4);
  }
  void timestamps(const Options& options) {
    octet(kTimestamps), octet(10), word(options.ts_value), word(options.ts_echo);
  }

 private:
  OptionBytes& out_;
};

}  // namespace

Options parse_options(ByteView bytes) {
  Options out;
  parse_options_into(bytes, out);
  return out;
}

void parse_options_into(ByteView bytes, Options& out) {
  out.has_mss = out.has_window_shift = out.sack_permitted = out.has_timestamps = out.malformed = false;
  out.mss = 0;
  out.window_shift = 0;
  out.ts_value = out.ts_echo = 0;
  out.sack_count = 0;
  std::size_t at = 0;
  if (bytes.size() >= 12 && load_be<std::uint32_t>(bytes, 0).host() == kTimestampsAligned) {
    out.has_timestamps = true;
    out.ts_value = load_be<std::uint32_t>(bytes, 4).host();
    out.ts_echo = load_be<std::uint32_t>(bytes, 8).host();
    at = 12;
  }
  while (at < bytes.size()) {
    const auto kind = std::to_integer<std::uint8_t>(bytes[at]);
    if (kind == kEnd) break;
    if (kind == kNop) {
      ++at;
      continue;
    }
    const std::size_t left = bytes.size() - at;
    const std::size_t length = left >= 2 ? std::to_integer<std::size_t>(bytes[at + 1]) : 0;
    if (length < 2 || length > left) {
      out.malformed = true;
      break;
    }
    read_option(kind, bytes.subspan(at + 2, length - 2), out);
    at += length;
  }
}

void write_timestamps(std::uint32_t value, std::uint32_t echo, OptionBytes& into) {
  const ByteSpan bytes{into.bytes};
  store_be(bytes, 0, Be32::from_host(kTimestampsAligned));
  store_be(bytes, 4, Be32::from_host(value));
  store_be(bytes, 8, Be32::from_host(echo));
  into.octets = 12;
}

OptionBytes write_syn_options(const Options& options) {
  OptionBytes out;
  Writer write{out};
  if (options.has_mss) write.octet(kMss), write.octet(4), write.half(options.mss);
  if (options.has_timestamps) {
    if (options.sack_permitted)
      write.octet(kSackPermitted), write.octet(2);
    else
      write.octet(kNop), write.octet(kNop);
    write.timestamps(options);
  } else if (options.sack_permitted) {
    write.octet(kNop), write.octet(kNop), write.octet(kSackPermitted), write.octet(2);
  }
  if (options.has_window_shift)
    write.octet(kNop), write.octet(kWindowShift), write.octet(3), write.octet(options.window_shift);
  return out;
}

OptionBytes write_options(const Options& options, std::size_t room) {
  OptionBytes out;
  Writer write{out};
  room = std::min(room, kOptionOctetsMax);
  if (options.has_timestamps) write.octet(kNop), write.octet(kNop), write.timestamps(options);
  if (room < out.octets + 12u) return out;
  const std::size_t fit = std::min<std::size_t>(options.sack_count, (room - out.octets - 4) / 8);
  if (fit == 0) return out;
  write.octet(kNop), write.octet(kNop), write.octet(kSack), write.octet(static_cast<std::uint8_t>(2 + 8 * fit));
  for (std::size_t i = 0; i < fit; ++i)
    write.word(options.sack[i].start.value()), write.word(options.sack[i].end.value());
  return out;
}

}  // namespace penstock::tcp
