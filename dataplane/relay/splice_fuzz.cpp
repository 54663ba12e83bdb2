// Any TCP header through the translator of spliced flows. First 32 octets: the direction; the rest: the header, whose
// length is made right.
// What must hold: the sum that is told makes the checksum right again; numbers, blocks and timestamps move by the
// constants; what was not negotiated is gone; nothing else changes.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "dataplane/core/require.h"
#include "dataplane/relay/splice.h"
#include "dataplane/tcp/options.h"

namespace {

using namespace penstock;
constexpr std::size_t kControl = 32, kLeast = 20, kMost = 60;

relay::SpliceDirection direction_of(const std::uint8_t* octets) {
  relay::SpliceDirection d{};
  const auto word = [&](std::size_t i) {
    std::uint32_t out;
    std::memcpy(&out, octets + 4 * i, sizeof out);
    return out;
  };
  d.seq_delta = word(0);
  d.ack_delta = word(1);
  d.tsval_delta = word(2);
  d.tsecr_delta = word(3);
  d.echo_from = word(4);
  d.echo_last = word(5);
  d.window_shift = static_cast<std::int8_t>(octets[24] % 29 - 14);
  d.sender_shift = static_cast<std::uint8_t>(octets[25] % 15);
  d.flags = static_cast<std::uint8_t>(octets[26] & 7u);
  d.seq_end = d.ack = d.edge = SeqNum{word(7)};
  return d;
}

struct Header {
  std::array<std::byte, kMost> octets{};
  std::size_t size{};
  [[nodiscard]] ByteSpan span() { return ByteSpan{octets}.first(size); }
  [[nodiscard]] std::uint32_t word(std::size_t at) const { return load_be<std::uint32_t>(octets, at).host(); }
  [[nodiscard]] std::uint8_t flags() const { return std::to_integer<std::uint8_t>(octets[13]); }
  [[nodiscard]] tcp::Options options() const {
    return tcp::parse_options(ByteView{octets}.subspan(kLeast, size - kLeast));
  }
};

std::uint16_t plain_shift(std::uint32_t field, int shift) {
  for (; shift < 0; ++shift) field /= 2;
  for (; shift > 0; --shift) field = std::min(field * 2, 65535u);
  return static_cast<std::uint16_t>(field);
}

void require_options(const tcp::Options& before, const tcp::Options& after, bool has_ack,
                     const relay::SpliceDirection& d) {
  if (before.malformed) return;
  require(!after.malformed && !after.has_mss && !after.has_window_shift && !after.sack_permitted,
          "an option that was not negotiated passed");
  const bool stamps = (d.flags & relay::kSpliceTimestamps) != 0, sack = (d.flags & relay::kSpliceSack) != 0;
  require(after.has_timestamps == (before.has_timestamps && stamps), "timestamps came or went");
  if (after.has_timestamps) {
    require(after.ts_value == before.ts_value + d.tsval_delta, "TSval");
    const bool old =
        (d.flags & relay::kSpliceOldEcho) != 0 && static_cast<std::int32_t>(before.ts_echo - d.echo_from) < 0;
    const std::uint32_t echo = before.ts_echo == 0 ? 0 : old ? d.echo_last : before.ts_echo + d.tsecr_delta;
    require(after.ts_echo == (has_ack ? echo : before.ts_echo), "TSecr");
  }
  require(after.sack_count == (sack ? before.sack_count : 0), "blocks came or went");
  for (std::size_t i = 0; i < after.sack_count; ++i) {
    require(after.sack[i].start == before.sack[i].start + SeqSpan{d.ack_delta}, "left edge");
    require(after.sack[i].end == before.sack[i].end + SeqSpan{d.ack_delta}, "right edge");
  }
}

void fuzz_header(const Header& in, const relay::SpliceDirection& d) {
  Header out = in;
  const std::uint16_t delta = relay::translate(out.span(), d);
  const bool has_ack = (in.flags() & wire::kTcpAck) != 0;
  require(out.word(4) == in.word(4) + d.seq_delta, "sequence number");
  require(out.word(8) == (has_ack ? in.word(8) + d.ack_delta : in.word(8)), "acknowledgement");
  const auto window = load_be<std::uint16_t>(in.octets, 14).host();
  const bool syn = (in.flags() & wire::kTcpSyn) != 0;
  require(load_be<std::uint16_t>(out.octets, 14).host() == (syn ? window : plain_shift(window, d.window_shift)),
          "window");
  require(out.word(0) == in.word(0) && out.word(16) == in.word(16) && out.octets[12] == in.octets[12] &&
              out.octets[13] == in.octets[13],
          "what is not ours changed");
  store_be(out.span(), 16, wire::updated_checksum(load_be<std::uint16_t>(out.octets, 16), delta));
  require(wire::sum_is_valid(wire::sum_of(out.span())), "checksum");
  require_options(in.options(), out.options(), has_ack, d);
}

void fuzz_quote(const Header& in, const relay::SpliceDirection& d) {
  for (const std::size_t octets : {std::size_t{8}, std::size_t{13}, std::size_t{18}, in.size}) {
    Header out = in;
    const ByteSpan quote = ByteSpan{out.octets}.first(octets);
    const std::uint64_t before = wire::sum_of(quote);
    const std::uint16_t delta = relay::translate_quote(quote, d);
    const auto folded = [](std::uint64_t sum) { return wire::fold(sum) % 0xffff; };
    require(folded(wire::add_sums(before, delta)) == folded(wire::sum_of(quote)), "sum of a quote");
    require(out.word(4) == in.word(4) + d.ack_delta, "quoted sequence number");
    require(std::equal(out.octets.begin() + static_cast<std::ptrdiff_t>(octets), out.octets.end(),
                       in.octets.begin() + static_cast<std::ptrdiff_t>(octets)),
            "a quote leaves its place");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < kControl + kLeast) return 0;
  relay::SpliceDirection d = direction_of(data);
  Header in;
  in.size = std::min(size - kControl, kMost) / 4 * 4;
  std::memcpy(in.octets.data(), data + kControl, in.size);
  in.octets[12] = static_cast<std::byte>(in.size / 4 << 4);
  store_be(in.span(), 16, Be16{});
  store_be(in.span(), 16, wire::checksum_from(wire::sum_of(in.span())));
  fuzz_header(in, d);
  fuzz_quote(in, d);
  const relay::SpliceDirection before = d;
  relay::SpliceDirection other = d;
  other.seq_delta = 0u - d.ack_delta;
  other.ack_delta = 0u - d.seq_delta;
  other.seq_end += SeqSpan{d.ack_delta};
  other.ack += SeqSpan{d.seq_delta};
  other.edge += SeqSpan{d.seq_delta};
  const bool believed = relay::note(d, other, in.span(), static_cast<std::uint32_t>(size));
  require(believed || (before.seq_end == d.seq_end && before.ack == d.ack && before.edge == d.edge),
          "what was not believed is remembered");
  require(d.ack.at_most(other.seq_end + SeqSpan{other.seq_delta}), "an acknowledgement of what was not sent");
  require(before.seq_end.at_most(d.seq_end) && before.ack.at_most(d.ack) && before.edge.at_most(d.edge),
          "the sender went back");
  require((d.flags & ~before.flags) == 0, "a flag came from nowhere");
  return 0;
}
