#include "tests/conformance/runner/settings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace penstock::script {
namespace {

std::optional<std::int64_t> to_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// "40ms", "2s", "150us"; a plain number is microseconds.
std::optional<Duration> to_duration(std::string_view text) {
  std::int64_t unit_ns = 1000;
  for (const auto& [suffix, ns] :
       {std::pair<std::string_view, std::int64_t>{"us", 1000}, {"ms", 1'000'000}, {"s", 1'000'000'000}})
    if (text.ends_with(suffix)) {
      text.remove_suffix(suffix.size());
      unit_ns = ns;
      break;
    }
  const std::optional<std::int64_t> count = to_number(text);
  if (!count || *count < 0 || *count > 1'000'000'000) return std::nullopt;
  return Duration{*count * unit_ns};
}

using Milliseconds = std::chrono::milliseconds;

struct DurationKey {
  std::string_view key;
  Duration tcp::Limits::*member;
};
constexpr std::array kDurations{
    DurationKey{"rto_initial", &tcp::Limits::rto_initial},
    DurationKey{"rto_min", &tcp::Limits::rto_min},
    DurationKey{"rto_max", &tcp::Limits::rto_max},
    DurationKey{"rto_slop", &tcp::Limits::rto_slop},
    DurationKey{"rto_deviation_min", &tcp::Limits::rto_deviation_min},
    DurationKey{"delayed_ack", &tcp::Limits::delayed_ack},
    DurationKey{"persist_max", &tcp::Limits::persist_max},
    DurationKey{"time_wait", &tcp::Limits::time_wait},
    DurationKey{"fin_wait_2", &tcp::Limits::fin_wait_2},
    DurationKey{"keepalive_idle", &tcp::Limits::keepalive_idle},
    DurationKey{"keepalive_interval", &tcp::Limits::keepalive_interval},
    DurationKey{"user_timeout", &tcp::Limits::user_timeout},
};

struct FlagKey {
  std::string_view key;
  bool tcp::Limits::*member;
};
constexpr std::array kFlags{
    FlagKey{"nagle", &tcp::Limits::nagle},
    FlagKey{"sack", &tcp::Limits::sack},
    FlagKey{"hystart", &tcp::Limits::hystart},
    FlagKey{"rack", &tcp::Limits::rack},
    FlagKey{"timestamps", &tcp::Limits::timestamps},
    FlagKey{"window_scaling", &tcp::Limits::window_scaling},
    FlagKey{"restart_after_idle", &tcp::Limits::restart_after_idle},
};

struct OwnFlagKey {
  std::string_view key;
  bool Settings::*member;
};
constexpr std::array kOwnFlags{
    OwnFlagKey{"strict_options", &Settings::strict_options},
    OwnFlagKey{"strict_push", &Settings::strict_push},
    OwnFlagKey{"strict_end", &Settings::strict_end},
    OwnFlagKey{"quick_acks", &Settings::quick_acks},
    OwnFlagKey{"adopt_syn", &Settings::adopt_syn},
    OwnFlagKey{"window_slack", &Settings::window_slack},
    OwnFlagKey{"fin_repeats", &Settings::fin_repeats},
    OwnFlagKey{"cookies", &Settings::cookies},
    OwnFlagKey{"round_buffer", &Settings::round_buffer},
    OwnFlagKey{"icmp_aborts_syn_sent", &Settings::icmp_aborts_syn_sent},
    OwnFlagKey{"spare_dsack", &Settings::spare_dsack},
    OwnFlagKey{"window_sizes", &Settings::window_sizes},
    OwnFlagKey{"missing_ts", &Settings::missing_ts},
    OwnFlagKey{"strict_choices", &Settings::strict_choices},
    OwnFlagKey{"unsent_acks", &Settings::unsent_acks},
};

// What changes the protocol away from what we follow.
constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kRefused{{
    {"insecure_rst", "resets as before RFC 5961"},
    {"insecure_syn", "SYNs as before RFC 5961"},
    {"insecure_ack", "acknowledgements as before RFC 5961"},
    {"blackhole", "no resets for what belongs to nobody"},
    {"tolerate_missing_ts", "segments without the timestamps that were agreed on"},
    {"rexmit_drop_options", "options are left out of repeated SYNs"},
    {"udp_tunneling_port", "TCP in UDP"},
    {"rfc5827", "early retransmit, which RFC 8985 took the place of"},
}};

std::string bad(std::string_view key, std::string_view value) {
  return "no such setting or value: " + std::string{key} + "=" + std::string{value};
}

std::uint8_t shift_for(std::int64_t buffer_max) {
  std::uint8_t shift = 0;
  while (shift < 14 && (std::int64_t{65535} << shift) < buffer_max) ++shift;
  return shift;
}

struct NumberKey {
  std::string_view key;
  std::int64_t min, max;
  void (*put)(Settings& into, std::int64_t n);
};
constexpr std::int64_t kBudgetMax = (std::int64_t{1} << 30) - 1;
std::uint8_t octet(std::int64_t n) { return static_cast<std::uint8_t>(n); }
std::uint32_t word(std::int64_t n) { return static_cast<std::uint32_t>(n); }
constexpr std::array kNumbers{
    NumberKey{"retries", 0, 255, [](Settings& s, std::int64_t n) { s.limits.retries_max = octet(n); }},
    NumberKey{"syn_retries", 0, 255,
              [](Settings& s, std::int64_t n) { s.limits.syn_retries_max = s.limits.connect_retries_max = octet(n); }},
    NumberKey{"keepalive_probes", 0, 255, [](Settings& s, std::int64_t n) { s.limits.keepalive_probes = octet(n); }},
    NumberKey{"challenge_acks", 0, 255,
              [](Settings& s, std::int64_t n) { s.limits.challenge_acks_per_second = octet(n); }},
    NumberKey{"initial_window", 1, 255,
              [](Settings& s, std::int64_t n) { s.limits.initial_window_segments = octet(n); }},
    NumberKey{"slow_start_growth", 1, 255,
              [](Settings& s, std::int64_t n) { s.limits.slow_start_growth_segments = octet(n); }},
    NumberKey{"window_shift", 0, 14, [](Settings& s, std::int64_t n) { s.limits.window_shift = octet(n); }},
    NumberKey{"receive_budget", 0, kBudgetMax,
              [](Settings& s, std::int64_t n) { s.limits.receive_budget_octets = word(n); }},
    NumberKey{"send_budget", 0, kBudgetMax, [](Settings& s, std::int64_t n) { s.limits.send_budget_octets = word(n); }},
    NumberKey{"timers_max", 1, kBudgetMax, [](Settings& s, std::int64_t n) { s.timers_max = word(n); }},
    NumberKey{"mtu", 72, 65535,
              [](Settings& s, std::int64_t n) {
                s.mtu_v4 = s.mtu_v6 = static_cast<std::uint16_t>(n);
                s.mtu_given = true;
              }},
};

}  // namespace

bool Settings::start(std::string_view profile) {
  *this = Settings{};
  limits.send_entries_max = 8192;
  if (profile == "penstock") return true;
  strict_push = strict_end = strict_choices = false;
  adopt_syn = window_slack = spare_dsack = true;
  early_acks_us = 100000;
  limits.nagle = true;
  limits.send_budget_octets = 4 << 20;
  tolerance_us = 10000;
  if (profile == "linux") {
    quick_acks = missing_ts = true;
    window_sizes = unsent_acks = false;
    buffer_factor = 2;
    limits.window_shift = 8;
    limits.rto_deviation_min = limits.rto_min;
    limits.receive_budget_octets = 540000;
    limits.slow_start_growth_segments = 255;
    limits.hystart = false;
    return true;
  }
  if (profile != "freebsd") return false;
  strict_options = false;
  bsd = round_buffer = fin_repeats = true;
  mtu_v6 = 1500;
  limits.window_shift = 6;
  limits.receive_budget_octets = 65536;
  limits.rto_min = Milliseconds{30};
  limits.rto_slop = Milliseconds{200};
  limits.rto_max = std::chrono::seconds{64};
  limits.retries_max = limits.syn_retries_max = limits.connect_retries_max = 12;
  limits.slow_start_growth_segments = 2;
  limits.keepalive_probes = 8;
  limits.rack = limits.hystart = false;
  connect_timeout = std::chrono::seconds{75};
  return true;
}

std::string_view Settings::profile_of(std::string_view text) {
  const auto has = [text](std::string_view word) { return text.find(word) != std::string_view::npos; };
  for (const std::string_view word : {"net.inet.", "kern.ipc", "TCP_FUNCTION_BLK", "kldload", "TCP_KEEPINIT", "TCPI_",
                                      "SO_RCVBUF, [65536]", "sockstat"})
    if (has(word)) return "freebsd";
  for (const std::string_view word : {"net.ipv4", "defaults.sh", "/proc/sys/net", "TCP_CA_", "SOL_TCP", "tc qdisc"})
    if (has(word)) return "linux";
  return "";
}

bool Settings::choose_congestion(tcp::Limits& limits, std::string_view name) {
  const bool reno = name == "reno" || name == "newreno";
  if (!reno && name != "cubic") return false;
  limits.congestion_control = reno ? tcp::CongestionControl::reno : tcp::CongestionControl::cubic;
  return true;
}

std::string Settings::keys() {
  std::string times, flags;
  for (const DurationKey& one : kDurations) times += " " + std::string{one.key};
  for (const FlagKey& one : kFlags) flags += " " + std::string{one.key};
  for (const OwnFlagKey& one : kOwnFlags) flags += " " + std::string{one.key};
  std::string numbers;
  for (const NumberKey& one : kNumbers) numbers += " " + std::string{one.key};
  return "  TIME (40ms, 2s, 150us):" + times + " tolerance ts_tick early_acks\n  0|1:" + flags +
         "\n  NUMBER:" + numbers + "\n  congestion=reno|cubic\n";
}

std::string Settings::set(std::string_view key_in, std::string_view value) {
  std::string key{key_in};
  std::replace(key.begin(), key.end(), '-', '_');
  if (key == "profile") return start(value) ? "" : bad(key, value);
  if (key == "ip_version") return option(key, value);
  if (key == "congestion") return choose_congestion(limits, value) ? "" : bad(key, value);
  for (const DurationKey& one : kDurations)
    if (one.key == key) {
      const std::optional<Duration> duration = to_duration(value);
      if (!duration) return bad(key, value);
      limits.*one.member = *duration;
      return "";
    }
  if (key == "tolerance" || key == "ts_tick" || key == "early_acks") {
    const std::optional<Duration> duration = to_duration(value);
    if (!duration) return bad(key, value);
    (key == "tolerance" ? tolerance_us : key == "ts_tick" ? ts_tick_us : early_acks_us) = duration->count() / 1000;
    return "";
  }
  const std::optional<std::int64_t> number = to_number(value);
  const bool boolean = number && (*number == 0 || *number == 1);
  for (const FlagKey& one : kFlags)
    if (one.key == key && boolean) {
      limits.*one.member = *number != 0;
      return "";
    }
  for (const OwnFlagKey& one : kOwnFlags)
    if (one.key == key && boolean) {
      this->*one.member = *number != 0;
      return "";
    }
  for (const NumberKey& one : kNumbers)
    if (one.key == key && number && *number >= one.min && *number <= one.max) {
      one.put(*this, *number);
      return "";
    }
  return bad(key, value);
}

std::string Settings::option(std::string_view key, std::string_view value) {
  if (key == "tolerance_usecs") return set("tolerance", value);
  if (key == "tcp_ts_tick_usecs") return set("ts_tick", value);
  constexpr std::int64_t kMtuMin = 128;  // the engine has no segments below 88 octets
  if (key == "mtu" && to_number(value).value_or(0) < kMtuMin) return "an MTU below 128";
  if (key == "mtu") return set("mtu", value);
  if (key == "ip_version") {
    const bool four = value == "ipv4" || value == "4", six = value == "ipv6" || value == "6";
    if (!four && !six && value != "both") return bad(key, value);
    v4 = v4 && !six;
    v6 = v6 && !four;
    return "";
  }
  if (key.starts_with("wire_") || key.starts_with("so_") || key.starts_with("udp_encaps") || key == "tcp_md5_secret" ||
      key == "define")
    return "option --" + std::string{key};
  notes.push_back("option --" + std::string{key} + " ignored");
  return "";
}

std::string Settings::route(std::string_view text) {
  for (const std::string_view refused : {"netem", "limit 0", "iptables", "nft add", "tcp_metrics add", "mtu lock"})
    if (text.find(refused) != std::string_view::npos) return "a shell block with '" + std::string{refused} + "'";
  constexpr std::string_view kWindow = "initcwnd ";
  const std::size_t at = text.find(kWindow);
  if (at == std::string_view::npos) return "";
  const std::string_view word = text.substr(at + kWindow.size());
  const std::string_view number = word.substr(0, word.find_first_of(" \t\n\r;`"));
  return set("initial_window", number);
}

std::string Settings::shell(std::string_view text) {
  std::size_t at = 0;
  bool known = false;
  if (const std::string problem = route(text); !problem.empty()) return problem;
  if (text.find("defaults.sh") != std::string_view::npos) {  // what the public scripts' set-up file sets
    limits.restart_after_idle = false;
    limits.syn_retries_max = limits.connect_retries_max = 5;
  }
  while ((at = text.find('=', at)) != std::string_view::npos) {
    std::size_t begin = at;
    while (begin > 0 && std::string_view{" \t\n\r;`\"'"}.find(text[begin - 1]) == std::string_view::npos) --begin;
    std::string name{text.substr(begin, at - begin)};
    ++at;
    const bool quoted = at < text.size() && (text[at] == '"' || text[at] == '\'');
    const std::size_t end =
        std::min(text.size(), quoted ? text.find(text[at], at + 1) : text.find_first_of(" \t\n\r;`", at));
    if (quoted) ++at;
    std::replace(name.begin(), name.end(), '/', '.');
    if (name.starts_with(".proc.sys.")) name.erase(0, 10);
    const std::string problem = sysctl(name, text.substr(at, end - std::min(at, end)));
    if (!problem.empty()) return problem;
    known = true;
  }
  if (!known) notes.push_back("shell block ignored");
  return "";
}

std::string Settings::sysctl(std::string_view name, std::string_view value) {
  if (name == "net.ipv4.tcp_congestion_control" || name == "net.inet.tcp.cc.algorithm")
    return choose_congestion(limits, value) ? "" : "congestion control " + std::string{value};
  if (name == "net.ipv4.tcp_syn_linear_timeouts" && value != "0")
    return std::string{name} + ": SYNs repeated at one pace (RFC 6298 s5.5)";
  if (name.starts_with("net.ipv4.")) return sysctl_linux(name.substr(9), value);
  const std::optional<std::int64_t> number = to_number(value);
  if (number && (name.starts_with("net.inet.tcp.") || name.starts_with("kern.ipc.")))
    return sysctl_freebsd(name.substr(name.starts_with("net") ? 13 : 9), *number);
  if (name == "net.inet.tcp.functions_default" && value != "freebsd" && value != "rack")
    return "TCP stack " + std::string{value};
  notes.push_back(std::string{name} + " ignored");
  return "";
}

std::string Settings::sysctl_freebsd(std::string_view name, std::int64_t value) {
  if (value < 0) return "sysctl " + std::string{name} + "=" + std::to_string(value);
  const auto milliseconds = [&](Duration& into) { into = Milliseconds{value}; };
  if (value != 0)
    for (const auto& [refused, why] : kRefused)
      if (name == refused) return "sysctl " + std::string{name} + "=" + std::to_string(value) + ": " + std::string{why};
  if (name == "rfc6675_pipe" && value == 0) return "sysctl rfc6675_pipe=0: loss detection as before RFC 6675";
  if (name == "rfc1323") {
    limits.timestamps = value == 1 || value == 3;
    limits.window_scaling = value == 1 || value == 2;
  } else if (name == "sack.enable") {
    limits.sack = value != 0;
  } else if (name == "recvspace") {
    limits.receive_budget_octets = static_cast<std::uint32_t>(std::min<std::int64_t>(value, 1 << 30));
  } else if (name == "maxsockbuf") {
    limits.window_shift = shift_for(value);
  } else if (name == "rexmit_initial") {
    milliseconds(limits.rto_initial);
  } else if (name == "rexmit_min") {
    milliseconds(limits.rto_min);
  } else if (name == "rexmit_slop") {
    milliseconds(limits.rto_slop);
  } else if (name == "delacktime") {
    milliseconds(limits.delayed_ack);
  } else if (name == "delayed_ack") {
    if (value == 0) limits.delayed_ack = Duration::zero();
  } else if (name == "keepidle") {
    milliseconds(keepalive_idle);
  } else if (name == "keepinit") {
    milliseconds(connect_timeout);
  } else if (name == "drop_synfin") {
    drop_syn_fin = value != 0;
  } else if (name == "keepintvl") {
    milliseconds(limits.keepalive_interval);
  } else if (name == "keepcnt") {
    limits.keepalive_probes = static_cast<std::uint8_t>(std::min<std::int64_t>(value, 255));
  } else if (name == "msl") {
    limits.time_wait = 2 * Milliseconds{value};
  } else if (name == "finwait2_timeout") {
    milliseconds(limits.fin_wait_2);
  } else if (name == "initcwnd_segments" && value > 0) {
    limits.initial_window_segments = static_cast<std::uint8_t>(std::min<std::int64_t>(value, 255));
  } else if (name == "syncookies_only") {
    cookies = value != 0;
  } else if (name == "icmp_may_rst") {
    icmp_aborts_syn_sent = value != 0;
  } else {
    notes.push_back("sysctl " + std::string{name} + " ignored");
  }
  return "";
}

std::string Settings::sysctl_linux(std::string_view name, std::string_view value) {
  const std::string_view last = value.substr(value.find_last_of(" \t") + 1);
  const std::optional<std::int64_t> number = to_number(last);
  if (!number || *number < 0) {
    notes.push_back("sysctl " + std::string{name} + " ignored");
    return "";
  }
  const std::int64_t n = *number;
  if (name == "tcp_timestamps") {
    limits.timestamps = n != 0;
  } else if (name == "tcp_sack") {
    limits.sack = n != 0;
  } else if (name == "tcp_window_scaling") {
    limits.window_scaling = n != 0;
  } else if (name == "tcp_syn_retries" || name == "tcp_synack_retries") {
    limits.syn_retries_max = limits.connect_retries_max = static_cast<std::uint8_t>(std::min<std::int64_t>(n, 255));
  } else if (name == "tcp_retries2") {
    limits.retries_max = static_cast<std::uint8_t>(std::min<std::int64_t>(n, 255));
  } else if (name == "tcp_rto_max_ms") {
    limits.rto_max = Milliseconds{n};
  } else if (name == "tcp_rto_min_us") {
    limits.rto_min = limits.rto_deviation_min = std::chrono::microseconds{n};
  } else if (name == "tcp_syncookies") {
    cookies = n == 2;
  } else if (name == "tcp_shrink_window" || name == "tcp_mtu_probing") {
    if (n != 0) return "sysctl " + std::string{name} + "=" + std::to_string(n);
  } else if (name == "tcp_rmem") {
    limits.window_shift = shift_for(n);
  } else if (name == "tcp_recovery" || name == "tcp_early_retrans") {
    limits.rack = n != 0;
  } else if (name == "tcp_slow_start_after_idle") {
    limits.restart_after_idle = n != 0;
  } else if (name == "tcp_keepalive_intvl") {
    limits.keepalive_interval = std::chrono::seconds{n};
  } else if (name == "tcp_keepalive_probes") {
    limits.keepalive_probes = static_cast<std::uint8_t>(std::min<std::int64_t>(n, 255));
  } else if (name == "tcp_fin_timeout") {
    limits.fin_wait_2 = std::chrono::seconds{n};
  } else {
    notes.push_back("sysctl " + std::string{name} + " ignored");
  }
  return "";
}

}  // namespace penstock::script
