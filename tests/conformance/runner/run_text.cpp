// A text with its settings: guessed profile, variants, families.
#include <algorithm>

#include "tests/conformance/runner/runner.h"

namespace penstock::script {
namespace {

/// Words that only one family has fix the family.
void narrow(const Script& script, Settings& settings) {
  for (const Event& event : script.events) {
    const Icmp* icmp = std::get_if<Icmp>(&event.what);
    if (icmp == nullptr) continue;
    if (icmp->type == "packet_too_big" || icmp->v6) settings.v4 = false;
    if (icmp->code == "frag_needed" || icmp->v4) settings.v6 = false;
  }
}

const Option* option_of(const Packet& packet, Option::Kind kind) {
  for (const Option& one : packet.options)
    if (one.kind == kind) return &one;
  return nullptr;
}

/// What the first SYN that must leave says about how the stack is configured.
void adopt(const Script& script, Settings& settings) {
  using Kind = Option::Kind;
  const Packet* offer = nullptr;
  for (const Event& event : script.events) {
    const Packet* packet = std::get_if<Packet>(&event.what);
    if (packet == nullptr || (packet->flags & kFlagSyn) == 0) continue;
    if (packet->inbound) offer = packet;
    if (packet->inbound || packet->any_options) continue;
    const auto in_use = [&](Kind kind) {
      return option_of(*packet, kind) != nullptr || (offer != nullptr && option_of(*offer, kind) == nullptr);
    };
    settings.limits.sack = settings.limits.sack && in_use(Kind::sack_permitted);
    settings.limits.timestamps = settings.limits.timestamps && in_use(Kind::timestamps);
    settings.limits.window_scaling = settings.limits.window_scaling && in_use(Kind::window_scale);
    if (const Option* scale = option_of(*packet, Kind::window_scale); scale != nullptr && scale->a <= 14)
      settings.limits.window_shift = static_cast<std::uint8_t>(scale->a);
    const Option* mss = option_of(*packet, Kind::mss);
    if (mss != nullptr && !settings.mtu_given && mss->a > 0 && mss->a < 65000) {
      settings.mtu_v4 = static_cast<std::uint16_t>(mss->a + 40);
      settings.mtu_v6 = static_cast<std::uint16_t>(mss->a + 60);
    }
    if (packet->window && *packet->window > 0 && *packet->window < 65535)
      settings.limits.receive_budget_octets = *packet->window;
    return;
  }
}

/// The stack that a script was written for, by its words or by the options of its first SYN; empty if nothing tells.
std::string_view written_for(std::string_view text, const Script& script) {
  using Kind = Option::Kind;
  if (const std::string_view known = Settings::profile_of(text); !known.empty()) return known;
  for (const Event& event : script.events) {
    const Packet* packet = std::get_if<Packet>(&event.what);
    if (packet == nullptr || packet->inbound || (packet->flags & kFlagSyn) == 0) continue;
    // BSD pads at the end, and sends the scale before what Linux sends first.
    if (option_of(*packet, Kind::end) != nullptr) return "freebsd";
    const Option* const scale = option_of(*packet, Kind::window_scale);
    const Option* const sack = option_of(*packet, Kind::sack_permitted);
    if (sack != nullptr) return scale != nullptr && scale < sack ? "freebsd" : "linux";
  }
  return "";
}

FamilyVerdict refused(int line, const std::string& why) { return {true, {Result::unsupported, line, why, {}}}; }

std::vector<FamilyVerdict> run_as(std::string_view profile, const Script& script, const Invocation& invocation) {
  Settings settings;
  if (!settings.start(profile)) return {refused(0, "no such profile: " + std::string{profile})};
  for (const Setting& one : script.directives)
    if (const std::string problem = settings.set(one.key, one.value); !problem.empty())
      return {refused(one.line, problem)};
  for (const Setting& one : script.options)
    if (const std::string problem = settings.option(one.key, one.value); !problem.empty())
      return {refused(one.line, problem)};
  for (const auto& [key, value] : invocation.changes)
    if (const std::string problem = settings.set(key, value); !problem.empty()) return {refused(0, problem)};
  narrow(script, settings);
  if (settings.adopt_syn) adopt(script, settings);
  std::vector<FamilyVerdict> out;
  if (settings.v4) out.push_back({true, play(script, settings, true)});
  if (settings.v6) out.push_back({false, play(script, settings, false)});
  return out;
}

/// What passes in `other` passes; of two that do not, the one that got further in the script counts.
void improve(std::vector<FamilyVerdict>& out, const std::vector<FamilyVerdict>& other) {
  for (std::size_t k = 0; k < std::min(out.size(), other.size()); ++k) {
    const Verdict &is = out[k].verdict, &may = other[k].verdict;
    if (is.result == Result::pass) continue;
    if (may.result == Result::pass || may.line > is.line) out[k] = other[k];
  }
}

std::vector<FamilyVerdict> run_variant(std::string_view text, std::string_view defined, const Invocation& invocation) {
  const std::variant<Script, Refusal> parsed = parse(text, defined);
  if (const Refusal* refusal = std::get_if<Refusal>(&parsed)) return {refused(refusal->line, refusal->why)};
  const Script& script = std::get<Script>(parsed);
  if (invocation.profile != "auto") return run_as(invocation.profile, script, invocation);
  const std::string_view stack = written_for(text, script);
  std::vector<FamilyVerdict> out = run_as(stack.empty() ? "linux" : stack, script, invocation);
  const bool says = !script.directives.empty() && script.directives.front().key == "profile";
  if (stack.empty() && !says) improve(out, run_as("freebsd", script, invocation));
  return out;
}

}  // namespace

std::vector<FamilyVerdict> run_text(std::string_view text, const Invocation& invocation) {
  const std::vector<std::string> variants = conditions_of(text);
  std::vector<FamilyVerdict> out = run_variant(text, variants.empty() ? "" : variants.front(), invocation);
  for (std::size_t i = 1; i < variants.size(); ++i) improve(out, run_variant(text, variants[i], invocation));
  return out;
}

std::string_view name_of(Result result) {
  switch (result) {
    case Result::pass:
      return "pass";
    case Result::fail:
      return "fail";
    case Result::unsupported:
      break;
  }
  return "unsupported";
}

}  // namespace penstock::script
