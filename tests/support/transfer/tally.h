// tally.h - how connections ended, added up, and as one line of JSON.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "tests/support/transfer/connection.h"

namespace penstock::transfer {

struct OutcomeName {
  Outcome outcome;
  const char* name;
};
inline constexpr std::array kOutcomes{OutcomeName{Outcome::ok, "ok"},
                                      OutcomeName{Outcome::refused, "refused"},
                                      OutcomeName{Outcome::reset, "reset"},
                                      OutcomeName{Outcome::reset_sent, "reset_sent"},
                                      OutcomeName{Outcome::early_end, "early_end"},
                                      OutcomeName{Outcome::beyond, "beyond"},
                                      OutcomeName{Outcome::corrupted, "corrupted"},
                                      OutcomeName{Outcome::failed, "failed"},
                                      OutcomeName{Outcome::running, "open"}};

class Tally {
 public:
  void add(const Connection& connection, Instant now) {
    ++counts_[connection.outcome()];
    if (connection.outcome() == Outcome::failed) error_ = connection.failure();
    sent_ += connection.out.payload_sent();
    received_ += connection.in.payload_received();
    longest_quiet_ = std::max(longest_quiet_, connection.longest_quiet(now));
    if (connection.connected()) connect_times_.push_back(connection.connect_time());
  }
  void count(Outcome outcome, std::uint64_t more = 1) { counts_[outcome] += more; }
  [[nodiscard]] std::uint64_t of(Outcome outcome) const {
    const auto found = counts_.find(outcome);
    return found == counts_.end() ? 0 : found->second;
  }
  [[nodiscard]] std::uint64_t octets() const { return sent_ + received_; }

  /// Members of a JSON object, without the braces.
  [[nodiscard]] std::string text() const {
    std::string out;
    for (const OutcomeName& row : kOutcomes) out += member(row.name, of(row.outcome));
    out += member("octets_sent", sent_) + member("octets_received", received_);
    out += member("longest_quiet_ms", milliseconds(longest_quiet_));
    std::vector<Duration> times = connect_times_;
    std::sort(times.begin(), times.end());
    out += member("connect_p50_us", times.empty() ? 0 : microseconds(times[times.size() / 2]));
    out += member("connect_max_us", times.empty() ? 0 : microseconds(times.back()));
    return out + "\"error\": \"" + (error_ == 0 ? "" : std::strerror(error_)) + "\"";
  }

 private:
  static std::uint64_t milliseconds(Duration d) { return static_cast<std::uint64_t>(d.count() / 1'000'000); }
  static std::uint64_t microseconds(Duration d) { return static_cast<std::uint64_t>(d.count() / 1'000); }
  static std::string member(const char* name, std::uint64_t value) {
    return "\"" + std::string{name} + "\": " + std::to_string(value) + ", ";
  }

  std::map<Outcome, std::uint64_t> counts_;
  std::uint64_t sent_{}, received_{};
  Duration longest_quiet_{};
  std::vector<Duration> connect_times_;
  int error_{};
};

}  // namespace penstock::transfer
