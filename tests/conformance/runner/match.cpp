#include "tests/conformance/runner/match.h"

#include <algorithm>

#include "tests/conformance/runner/options_text.h"

namespace penstock::script {
namespace {

std::string letters_of(std::uint8_t flags) {
  constexpr std::string_view kLetters = "FSRP.UEW";
  std::string out;
  for (const std::size_t bit : {1u, 0u, 2u, 3u, 5u, 6u, 7u, 4u})
    if ((flags >> bit & 1) != 0) out += kLetters[bit];
  return out.empty() ? "-" : out;
}

/// Without padding, in an order of their own.
std::vector<Option> normal(const std::vector<Option>& options) {
  std::vector<Option> out;
  for (const Option& one : options)
    if (one.kind != Option::Kind::nop && one.kind != Option::Kind::end) out.push_back(one);
  std::stable_sort(out.begin(), out.end(), [](const Option& a, const Option& b) { return a.kind < b.kind; });
  return out;
}

bool same(const Option& is, const Option& expected, const Settings& settings) {
  if (is.kind != expected.kind) return false;
  if (is.kind != Option::Kind::timestamps)
    return is.a == expected.a && is.b == expected.b && is.blocks == expected.blocks;
  const auto off = static_cast<std::int32_t>(is.a - expected.a);
  const std::int64_t off_us = expected.any ? 0 : std::abs(std::int64_t{off}) * settings.ts_tick_us;
  return is.b == expected.b && off_us <= settings.tolerance_us + settings.ts_tick_us;
}

bool is_sack(const Option& option) { return option.kind == Option::Kind::sack; }

/// A report of old data (RFC 2883) where none is expected.
bool is_spare_report(const Option& option, SeqNum ack) {
  return is_sack(option) && option.blocks.size() == 1 && SeqNum{option.blocks[0].second}.at_most(ack);
}

bool same_options(std::vector<Option> is, std::vector<Option> expected, const Settings& settings) {
  if (!settings.strict_options) {
    is = normal(is);
    expected = normal(expected);
  }
  return std::equal(is.begin(), is.end(), expected.begin(), expected.end(),
                    [&](const Option& a, const Option& b) { return same(a, b, settings); });
}

}  // namespace

Sent to_script(const Sent& sent, const Packet& expected, Mapping& mapping) {
  Sent out = sent;
  if ((sent.flags & kFlagSyn) != 0 && !mapping.local_known) {
    mapping.local = sent.seq.value() - expected.seq;
    mapping.local_known = true;
  }
  // A reset that answers a segment without ACK has the number zero (RFC 9293 s3.10.7.1).
  const bool bare_reset = (sent.flags & kFlagRst) != 0 && sent.seq.value() == 0;
  if (!bare_reset) out.seq = SeqNum{sent.seq.value() - mapping.local};
  if ((sent.flags & kFlagAck) != 0) out.ack = SeqNum{sent.ack.value() - mapping.remote_in(sent.flags)};
  if ((sent.flags & kFlagFin) != 0) mapping.fin = out.seq.value() + out.octets;
  for (Option& option : out.options) {
    const std::uint32_t remote = mapping.remote_in(sent.flags);
    for (auto& [start, end] : option.blocks) start -= remote, end -= remote;
    if (option.kind != Option::Kind::timestamps) continue;
    for (const Option& wanted : expected.options) {
      if (wanted.kind != Option::Kind::timestamps) continue;
      if (!mapping.has_first_ts && !wanted.any) {
        mapping.has_first_ts = true;
        mapping.first_ts_script = wanted.a;
        mapping.first_ts_wire = option.a;
      }
      if (!wanted.any) mapping.ts[wanted.a] = option.a;
    }
    option.a = option.a - mapping.first_ts_wire + mapping.first_ts_script;
  }
  return out;
}

std::string difference(const Sent& sent, const Packet& expected, const Settings& settings, std::uint32_t window_slack) {
  std::uint8_t compared = 0xff;
  if (!settings.strict_push) compared = static_cast<std::uint8_t>(compared & ~kFlagPsh);
  // A reset is judged by its number, whether it acknowledges or not (RFC 9293 s3.10.7.4).
  const bool resets = (sent.flags & expected.flags & kFlagRst) != 0;
  if (resets && !settings.strict_choices) compared = static_cast<std::uint8_t>(compared & ~kFlagAck);
  if ((sent.flags & compared) != (expected.flags & compared)) return "flags";
  const bool reset_without_ack = resets && (sent.flags & expected.flags & kFlagAck) == 0;
  if (!expected.any_seq && sent.seq.value() != expected.seq) return "sequence number";
  if (sent.octets != expected.octets) return "length";
  if (!reset_without_ack && sent.ack.value() != expected.ack.value_or(0)) return "acknowledgement number";
  const bool means_nothing = (expected.flags & kFlagRst) != 0 && !settings.strict_choices;  // nobody reads a reset's
  if (expected.window && !means_nothing &&
      (sent.window > *expected.window || sent.window + window_slack < *expected.window))
    return "window";
  std::vector<Option> options = sent.options;
  const bool expects_sack = std::any_of(expected.options.begin(), expected.options.end(), is_sack);
  if (settings.spare_dsack && !expects_sack && !options.empty() && is_spare_report(options.back(), sent.ack)) {
    options.pop_back();
    while (!options.empty() && options.back().kind == Option::Kind::nop) options.pop_back();
  }
  if (!expected.any_options && !same_options(options, expected.options, settings)) return "options";
  return "";
}

void repeat_fin(Sent& sent, const Packet& expected, const Mapping& mapping) {
  const bool asked = expected.flags == (kFlagFin | kFlagAck) && expected.octets == 0 && mapping.fin == expected.seq;
  if (!asked || sent.flags != kFlagAck || sent.octets != 0 || sent.seq.value() != expected.seq + 1) return;
  sent.seq = SeqNum{expected.seq};
  sent.flags = expected.flags;
}

bool joins(const Sent& sent, const Sent& next, std::int64_t tolerance_us) {
  constexpr std::uint8_t kLast = kFlagPsh | kFlagFin;
  return next.key == sent.key && next.octets > 0 && (sent.flags & kFlagFin) == 0 &&
         (next.flags & ~kLast) == (sent.flags & ~kLast) && next.seq == sent.seq + SeqSpan{sent.octets} &&
         next.ack == sent.ack && next.at - sent.at <= std::chrono::microseconds{tolerance_us};
}

std::string text_of(const Packet& packet) {
  std::string out = letters_of(packet.flags) + " " + std::to_string(packet.seq) + ":" +
                    std::to_string(packet.seq + packet.octets) + "(" + std::to_string(packet.octets) + ")";
  if (packet.ack) out += " ack " + std::to_string(*packet.ack);
  if (packet.window) out += " win " + std::to_string(*packet.window);
  if (packet.any_options) return out + " <...>";
  return packet.options.empty() ? out : out + " " + text_of(packet.options);
}

std::string text_of(const Sent& sent) {
  std::string out = letters_of(sent.flags) + " " + std::to_string(sent.seq.value()) + ":" +
                    std::to_string(sent.seq.value() + sent.octets) + "(" + std::to_string(sent.octets) + ")";
  if ((sent.flags & kFlagAck) != 0) out += " ack " + std::to_string(sent.ack.value());
  out += " win " + std::to_string(sent.window);
  return sent.options.empty() ? out : out + " " + text_of(sent.options);
}

}  // namespace penstock::script
