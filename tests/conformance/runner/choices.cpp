#include "tests/conformance/runner/choices.h"

namespace penstock::script {
namespace {

/// RFC 6937 and RFC 6675 pace the repair differently, in octets or in segments; both are in use.
constexpr std::string_view kPace = "how fast a repair goes is a stack's own (RFC 6675, RFC 6937)";

bool is_pace(std::string_view what, const Sent& came, const Packet& expected, const Scene& scene) {
  if (!is_repairing(scene) || came.octets == 0 || expected.octets == 0) return false;
  if (what == "length") return true;
  // Which hole is repaired first is no choice; whether new data goes between is.
  const auto is_new = [&](std::uint32_t seq) { return !SeqNum{seq}.precedes(SeqNum{scene.sent_end}); };
  return what == "sequence number" && (is_new(came.seq.value()) || is_new(expected.seq));
}

bool is_probe(const Sent& came, const Packet& expected, const Scene& scene) {
  const bool zero = scene.socket != nullptr && scene.socket->connected() && scene.socket->ep.send_window.octets() == 0;
  return zero && expected.octets <= 1 && came.octets <= 1 && (came.flags & expected.flags & kFlagAck) != 0;
}

/// Small data behind full segments that are not acknowledged yet: RFC 9293 s3.7.4 keeps it back, Minshall's variant of
/// Nagle's algorithm does not.
bool is_held_back(const Packet& expected, const Scene& scene) {
  if (scene.socket == nullptr || !scene.socket->limits.nagle || !scene.socket->connected()) return false;
  const tcp::Endpoint& ep = scene.socket->ep;
  const std::uint32_t waits = ep.queue.unsent_span();
  return waits == expected.octets && waits > 0 && waits < ep.payload_max() && ep.queue.una().precedes(ep.queue.nxt());
}

/// Several stacks repeat the first few SYNs at one pace.
bool is_repeated_syn(const Packet& expected, const Scene& scene) {
  const bool opening = scene.socket != nullptr && scene.socket->kind == Socket::Kind::connection &&
                       scene.socket->ep.state == tcp::State::syn_sent;
  return opening && (expected.flags & (kFlagSyn | kFlagAck)) == kFlagSyn;
}

constexpr std::string_view kOldTimeout = "a first timeout of three seconds, as before RFC 6298";

}  // namespace

bool is_repairing(const Scene& scene) {
  return scene.socket != nullptr && scene.socket->connected() && scene.socket->ep.recovery.phase() != tcp::Phase::open;
}

std::string_view choice_in(std::string_view what, const Sent& came, const Packet& expected, const Scene& scene) {
  const bool sizes = !scene.settings.window_sizes && came.window > 0 && expected.window.value_or(0) > 0;
  if (what == "window" && sizes) return "the window's size";
  if (scene.settings.strict_choices) return "";
  if (what == "length" && scene.path_known && came.octets > expected.octets)
    return "a path MTU that another connection learned";
  if (what == "options" && scene.too_big && (expected.flags & kFlagSyn) != 0)
    return "the segment size offered follows the path, not the interface (RFC 9293 s3.7.1)";
  if ((what == "length" || what == "sequence number") && is_probe(came, expected, scene))
    return "how a zero window is probed is a stack's own (RFC 9293 s3.8.6.1)";
  return is_pace(what, came, expected, scene) ? kPace : "";
}

std::string_view choice_in_silence(const Packet& expected, const Scene& scene) {
  if (scene.settings.strict_choices) return "";
  if (is_repeated_syn(expected, scene))
    return "SYNs that are repeated at one pace, not at doubled ones (RFC 6298 s5.5)";
  if (expected.octets == 0) return "";
  if (is_held_back(expected, scene)) return "a variant of Nagle's algorithm that lets this go (RFC 9293 s3.7.4)";
  return is_repairing(scene) ? kPace : "";
}

std::string_view choice_in_time(Duration interval, const Scene& scene) {
  constexpr Duration kOldInitial = std::chrono::seconds{3};
  const Duration off = interval > kOldInitial ? interval - kOldInitial : kOldInitial - interval;
  if (scene.settings.strict_choices || off > std::chrono::microseconds{scene.settings.tolerance_us}) return "";
  return kOldTimeout;
}

std::string_view choice_in_assertion(std::string_view failure, const Scene& scene) {
  const auto is_about = [&](std::string_view what) { return failure.find(what) != std::string_view::npos; };
  if (scene.settings.strict_choices) return "";
  if (is_about("tcpi_snd_ssthresh")) return "the slow start threshold is a stack's own";
  return is_about("tcpi_rto == 3000000'") ? kOldTimeout : "";
}

std::string_view choice_in_call(const Call& call, std::int64_t result, const Scene& scene) {
  const bool writes = call.name.starts_with("write") || call.name.starts_with("send");
  if (scene.settings.strict_choices || !writes || result <= 0) return "";
  return "how much a send buffer takes, and when, is a stack's own";
}

}  // namespace penstock::script
