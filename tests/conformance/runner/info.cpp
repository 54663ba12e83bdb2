#include "tests/conformance/runner/info.h"

#include <array>

namespace penstock::script {
namespace {

using tcp::Entry;

struct Named {
  std::string_view name;
  std::int64_t value;
};
constexpr std::array kConstants{
    Named{"TCP_ESTABLISHED", 1},
    Named{"TCP_SYN_SENT", 2},
    Named{"TCP_SYN_RECV", 3},
    Named{"TCP_FIN_WAIT1", 4},
    Named{"TCP_FIN_WAIT2", 5},
    Named{"TCP_TIME_WAIT", 6},
    Named{"TCP_CLOSE", 7},
    Named{"TCP_CLOSE_WAIT", 8},
    Named{"TCP_LAST_ACK", 9},
    Named{"TCP_LISTEN", 10},
    Named{"TCP_CLOSING", 11},
    Named{"TCP_CA_Open", 0},
    Named{"TCP_CA_Disorder", 1},
    Named{"TCP_CA_CWR", 2},
    Named{"TCP_CA_Recovery", 3},
    Named{"TCP_CA_Loss", 4},
    Named{"True", 1},
    Named{"False", 0},
    Named{"TCPI_OPT_TIMESTAMPS", 1},
    Named{"TCPI_OPT_SACK", 2},
    Named{"TCPI_OPT_WSCALE", 4},
    Named{"TCPI_OPT_ECN", 8},
    Named{"TCPI_OPT_ECN_SEEN", 16},
    Named{"TCPI_OPT_SYN_DATA", 32},
    Named{"TCPI_ESTABLISHED", 4},
    Named{"TCPI_SYN_SENT", 2},
    Named{"TCPI_SYN_RECEIVED", 3},
    Named{"TCPI_FIN_WAIT_1", 6},
    Named{"TCPI_FIN_WAIT_2", 9},
    Named{"TCPI_TIME_WAIT", 10},
    Named{"TCPI_CLOSED", 0},
    Named{"TCPI_CLOSE_WAIT", 5},
    Named{"TCPI_LAST_ACK", 8},
    Named{"TCPI_LISTEN", 1},
    Named{"TCPI_CLOSING", 7},
};

struct Connection {
  const Socket& socket;
  const tcp::Pools& pools;
  Instant now;
  bool bsd;
  [[nodiscard]] const tcp::Endpoint& ep() const { return socket.ep; }
  /// Entries sent and not acknowledged that have `flag`; all of them when it is zero.
  [[nodiscard]] std::int64_t count(std::uint8_t flag) const {
    std::int64_t out = 0;
    if (socket.over()) return out;
    for (tcp::Index i = ep().queue.head(); i != ep().queue.first_unsent() && i != tcp::kNoIndex;
         i = pools.entries[i].next)
      out += flag == 0 || pools.entries[i].is(flag) ? 1 : 0;
    return out;
  }
};

std::int64_t state_of(const Connection& c) {
  constexpr std::array<std::int64_t, tcp::kStateCount> kLinux{7, 2, 3, 1, 4, 5, 11, 6, 8, 9};
  constexpr std::array<std::int64_t, tcp::kStateCount> kBsd{0, 2, 3, 4, 6, 9, 7, 10, 5, 8};
  const tcp::State state = c.socket.waiting ? tcp::State::time_wait : c.ep().state;
  return (c.bsd ? kBsd : kLinux)[static_cast<std::size_t>(state)];
}

std::int64_t congestion_state_of(const Connection& c) {
  switch (c.ep().recovery.phase()) {
    case tcp::Phase::recovery:
      return 3;
    case tcp::Phase::loss:
      return 4;
    case tcp::Phase::open:
      break;
  }
  return c.ep().queue.sacked() > 0 ? 1 : 0;
}

std::int64_t options_of(const Connection& c) {
  return (c.ep().timestamps.on ? 1 : 0) + (c.ep().sack ? 2 : 0) + (c.ep().window_scaling ? 4 : 0);
}

std::int64_t threshold_of(const Connection& c) {
  const std::uint32_t octets = c.ep().congestion.ssthresh();
  return octets >= 0x7fffffff ? 0x7fffffff : c.bsd ? octets : octets / c.ep().payload_max();
}

std::int64_t age_ms(const Connection& c, CoarseMs then) {
  return tcp::age_of(then, c.now) / std::chrono::milliseconds{1};
}

struct InfoField {
  std::string_view name;
  std::int64_t (*value)(const Connection&);
};
constexpr std::array kFields{
    InfoField{"tcpi_state", state_of},
    InfoField{"tcpi_ca_state", congestion_state_of},
    InfoField{"tcpi_options", options_of},
    InfoField{"tcpi_retransmits", [](const Connection& c) -> std::int64_t { return c.ep().retries; }},
    InfoField{"tcpi_probes",
              [](const Connection& c) -> std::int64_t {
                const bool persists = c.ep().timer_kind == tcp::TimerKind::persist;
                return c.ep().keepalive_probes + (persists ? c.ep().retries : 0);
              }},
    InfoField{"tcpi_backoff",
              [](const Connection& c) -> std::int64_t {
                return c.ep().timer_kind == tcp::TimerKind::persist ? c.ep().persist_backoff : c.ep().rto.backoff();
              }},
    InfoField{"tcpi_rto",
              [](const Connection& c) -> std::int64_t {
                return c.ep().rto.timeout(c.socket.limits) / std::chrono::microseconds{1};
              }},
    InfoField{"tcpi_rtt", [](const Connection& c) -> std::int64_t { return c.ep().rto.srtt_us(); }},
    InfoField{"tcpi_min_rtt", [](const Connection& c) -> std::int64_t { return c.ep().rto.min_rtt_us(); }},
    InfoField{"tcpi_snd_mss", [](const Connection& c) -> std::int64_t { return c.ep().payload_max(); }},
    InfoField{
        "tcpi_advmss",
        [](const Connection& c) -> std::int64_t { return c.ep().pmtu.offered() - (c.ep().timestamps.on ? 12 : 0); }},
    InfoField{"tcpi_unacked", [](const Connection& c) { return c.count(0); }},
    InfoField{"tcpi_sacked", [](const Connection& c) { return c.count(Entry::kSacked); }},
    InfoField{"tcpi_lost", [](const Connection& c) { return c.count(Entry::kLost); }},
    InfoField{"tcpi_retrans", [](const Connection& c) { return c.count(Entry::kRetransmitted); }},
    InfoField{"tcpi_total_retrans",
              [](const Connection& c) -> std::int64_t {
                return static_cast<std::int64_t>(c.socket.engine->counters().retransmitted);
              }},
    InfoField{"tcpi_snd_cwnd",
              [](const Connection& c) -> std::int64_t {
                return c.ep().congestion.cwnd() / (c.bsd ? 1u : c.ep().payload_max());
              }},
    InfoField{"tcpi_snd_ssthresh", threshold_of},
    InfoField{"tcpi_snd_wscale", [](const Connection& c) -> std::int64_t { return c.ep().send_window.shift(); }},
    InfoField{"tcpi_rcv_wscale", [](const Connection& c) -> std::int64_t { return c.ep().receive_window.shift(); }},
    InfoField{"tcpi_snd_wnd", [](const Connection& c) -> std::int64_t { return c.ep().send_window.octets(); }},
    InfoField{"tcpi_rcv_wnd",
              [](const Connection& c) -> std::int64_t { return c.ep().receive_window.size(c.ep().rcv_nxt); }},
    InfoField{"tcpi_notsent_bytes", [](const Connection& c) -> std::int64_t { return c.ep().queue.unsent_span(); }},
    InfoField{"tcpi_last_data_sent", [](const Connection& c) { return age_ms(c, c.ep().last_sent); }},
    InfoField{"tcpi_last_data_recv",
              [](const Connection& c) -> std::int64_t {
                return (c.now - c.socket.data_came.value_or(c.socket.opened)) / std::chrono::milliseconds{1};
              }},
    InfoField{"tcpi_bytes_received",
              [](const Connection& c) { return static_cast<std::int64_t>(c.ep().octets_delivered); }},
    InfoField{"tcpi_bytes_acked", [](const Connection& c) { return static_cast<std::int64_t>(c.ep().octets_acked); }},
    InfoField{"tcpi_last_ack_recv", [](const Connection& c) { return age_ms(c, c.ep().last_heard); }},
};

}  // namespace

std::optional<std::int64_t> info_of(const Subject& subject, std::string_view field) {
  if (subject.socket == nullptr) return std::nullopt;
  const Socket& socket = *subject.socket;
  if (field == "tcpi_state" && socket.kind == Socket::Kind::listening) return subject.bsd ? 1 : 10;
  if (field == "tcpi_state" && socket.kind == Socket::Kind::fresh) return subject.bsd ? 0 : 7;
  if (socket.kind != Socket::Kind::connection) return std::nullopt;
  for (const InfoField& one : kFields)
    if (one.name == field) return one.value(Connection{socket, subject.pools, subject.now, subject.bsd});
  return std::nullopt;
}

std::optional<std::int64_t> info_constant(std::string_view name) {
  for (const Named& one : kConstants)
    if (one.name == name) return one.value;
  return std::nullopt;
}

}  // namespace penstock::script
