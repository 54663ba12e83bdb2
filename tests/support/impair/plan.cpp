#include "tests/support/impair/plan.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace penstock::impair {
namespace {

struct Suffix {
  std::string_view name;
  double factor;
};
constexpr std::array kTimes{Suffix{"ns", 1}, Suffix{"us", 1e3}, Suffix{"ms", 1e6}, Suffix{"s", 1e9}};
constexpr std::array kRates{Suffix{"k", 1e3}, Suffix{"m", 1e6}, Suffix{"g", 1e9}};
constexpr double kTimeMax = 60e9;  // a minute; beyond, the connection is dead anyway
constexpr double kRateMax = 1e12;

/// A number that is not negative, and what stands behind it.
std::optional<std::pair<double, std::string_view>> number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc{} || !(value >= 0)) return std::nullopt;
  return std::pair{value, text.substr(static_cast<std::size_t>(end - text.data()))};
}

template <std::size_t N>
std::optional<double> scaled(std::string_view text, const std::array<Suffix, N>& suffixes, double limit) {
  const auto parsed = number(text);
  if (!parsed) return std::nullopt;
  for (const Suffix& suffix : suffixes)
    if (parsed->second == suffix.name && parsed->first * suffix.factor <= limit) return parsed->first * suffix.factor;
  return std::nullopt;
}

bool set_chance(PerMillion& out, std::string_view text) {
  const auto parsed = number(text);
  if (!parsed || !parsed->second.empty() || parsed->first > 100) return false;
  out = static_cast<PerMillion>(parsed->first * 10'000 + 0.5);
  return true;
}

bool set_time(Duration& out, std::string_view text) {
  const auto value = scaled(text, kTimes, kTimeMax);
  if (value) out = Duration{static_cast<Duration::rep>(*value + 0.5)};
  return value.has_value();
}

bool set_count(std::uint32_t& out, std::string_view text) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size();
}

bool set_rate(std::uint64_t& out, std::string_view text) {
  const auto value = scaled(text, kRates, kRateMax);
  if (value) out = static_cast<std::uint64_t>(*value + 0.5);
  return value.has_value();
}

/// CHANCExFRAMES
bool set_burst(Plan& plan, std::string_view text) {
  const std::size_t at = text.find('x');
  return at != std::string_view::npos && set_chance(plan.burst, text.substr(0, at)) &&
         set_count(plan.burst_frames, text.substr(at + 1)) && plan.burst_frames > 0;
}

bool set(Plan& plan, std::string_view name, std::string_view value) {
  if (name == "loss") return set_chance(plan.loss, value);
  if (name == "burst") return set_burst(plan, value);
  if (name == "reorder") return set_chance(plan.reorder, value);
  if (name == "reorder-frames") return set_count(plan.reorder_frames, value);
  if (name == "reorder-delay") return set_time(plan.reorder_delay, value);
  if (name == "duplicate") return set_chance(plan.duplicate, value);
  if (name == "corrupt") return set_chance(plan.corrupt, value);
  if (name == "delay") return set_time(plan.delay, value);
  if (name == "jitter") return set_time(plan.jitter, value);
  if (name == "rate") return set_rate(plan.bits_per_second, value);
  if (name == "queue") return set_time(plan.queue, value);
  return false;
}

}  // namespace

Result<Plan, std::string> parse_plan(std::string_view text) {
  Plan plan;
  if (text == "none") return plan;
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(','));
    const std::size_t at = item.find('=');
    if (at == std::string_view::npos || !set(plan, item.substr(0, at), item.substr(at + 1)))
      return "impairment '" + std::string{item} + "' is not understood (example: loss=1,reorder=2,delay=1ms)";
    text.remove_prefix(std::min(text.size(), item.size() + 1));
  }
  return plan;
}

}  // namespace penstock::impair
