#include "dataplane/relay/splice.h"

namespace penstock::relay {
namespace {

constexpr std::uint8_t kEnd = 0, kNop = 1, kSack = 5, kTimestamps = 8;
constexpr std::size_t kTimestampOctets = 10, kBlockOctets = 8;

void add_to(ByteSpan bytes, std::size_t at, std::uint32_t delta) {
  store_be(bytes, at, Be32::from_host(load_be<std::uint32_t>(bytes, at).host() + delta));
}

void blank(ByteSpan option) { std::fill(option.begin(), option.end(), std::byte{kNop}); }

void translate_one(ByteSpan option, bool has_ack, const SpliceDirection& d) {
  const auto kind = std::to_integer<std::uint8_t>(option[0]);
  if (kind == kTimestamps && option.size() == kTimestampOctets && (d.flags & kSpliceTimestamps) != 0) {
    add_to(option, 2, d.tsval_delta);
    if (has_ack) store_be(option, 6, Be32::from_host(translate_echo(load_be<std::uint32_t>(option, 6).host(), d)));
    return;
  }
  const bool blocks = kind == kSack && (option.size() - 2) % kBlockOctets == 0 && (d.flags & kSpliceSack) != 0;
  if (!blocks) return blank(option);
  for (std::size_t at = 2; at < option.size(); at += 4) add_to(option, at, d.ack_delta);
}

}  // namespace

std::uint64_t translate_options(ByteSpan options, bool has_ack, const SpliceDirection& d) {
  // Options lie anywhere, fields at odd offsets, too: both sums are taken of the whole list.
  const std::uint64_t before = wire::sum_of(options);
  for (std::size_t at = 0; at < options.size();) {
    const auto kind = std::to_integer<std::uint8_t>(options[at]);
    if (kind == kEnd) break;
    if (kind == kNop) {
      ++at;
      continue;
    }
    const std::size_t left = options.size() - at;
    const std::size_t octets = left < 2 ? 0 : std::to_integer<std::size_t>(options[at + 1]);
    if (octets < 2 || octets > left) {  // damage ends the list (RFC 9293 s3.1)
      blank(options.subspan(at));
      break;
    }
    translate_one(options.subspan(at, octets), has_ack, d);
    at += octets;
  }
  wire::ChecksumDelta delta;
  delta.change_sums(before, wire::sum_of(options));
  return delta.folded();
}

std::uint16_t translate_quote(ByteSpan segment, const SpliceDirection& to) {
  constexpr std::size_t kChecksum = wire::TcpView::kChecksumOffset;
  wire::ChecksumDelta fields;
  const auto change = [&](std::size_t at, std::uint32_t delta) {
    const Be32 old = load_be<std::uint32_t>(segment, at);
    add_to(segment, at, delta);
    fields.change(old, load_be<std::uint32_t>(segment, at));
  };
  // What the receiver adds to its acknowledgements leads back to the sender's numbers, and the other way round.
  change(4, to.ack_delta);
  if (segment.size() >= 12) change(8, to.seq_delta);
  wire::ChecksumDelta all;
  all.change_sums(0xffff, fields.folded());
  if (segment.size() < kChecksum + 2) return all.folded();
  const Be16 old = load_be<std::uint16_t>(segment, kChecksum);
  const Be16 fresh = wire::updated_checksum(old, fields.folded());
  store_be(segment, kChecksum, fresh);
  all.change(old, fresh);
  return all.folded();
}

}  // namespace penstock::relay
