// settings.h - how the stack under test is set up, and how strictly a script is compared.
//
// Model     a profile gives the starting values; flags, directives (//@ key=value), option lines (--key=value) and
//           known sysctl names in shell blocks change single ones. The same keys serve flags and directives.
//             penstock   our defaults; everything is compared, option order and PSH too
//             linux      what public scripts for Linux expect: quick acknowledgements, Nagle, unbounded slow start;
//                        how large a window is follows its memory accounting, so a difference there is no verdict
//             freebsd    64 KiB buffer rounded to segments, 200 ms RTO slop, no RACK, options in any order
//           The last two also take from the script's first SYN what it says about the configuration: segment size,
//           window scale, which options are on. profile_of() guesses from a script's words.
// Units     microseconds or Duration; octets.
// Errors    an unknown key, or a value that asks for what is not there, gives the reason; the script is then
// unsupported.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/tcp/limits.h"

namespace penstock::script {

struct Settings {
  tcp::Limits limits;
  std::uint32_t timers_max{200'000};  ///< timers that may fire in one script
  std::uint16_t mtu_v4{1500};
  std::uint16_t mtu_v6{1520};  ///< so that the segment size is 1460 in both families
  std::int64_t tolerance_us{4000};
  std::int64_t ts_tick_us{0};     ///< zero: TS values are not compared
  std::int64_t early_acks_us{0};  ///< by how much a pure acknowledgement may come before its time (RFC 9293 s3.8.6.3)
  bool strict_options{true};      ///< order and padding
  bool strict_push{true};         ///< the PSH bit
  bool strict_end{true};          ///< nothing unexpected may have left at the end
  bool quick_acks{false};         ///< no delay until the application has written
  bool adopt_syn{false};          ///< segment size, scale and options in use come from the script's first SYN
  bool fin_repeats{false};        ///< a pure acknowledgement stands for one that repeats the FIN
  bool window_slack{false};   ///< a window may be smaller than expected by less than a segment (RFC 9293 s3.8.6.2.2)
  bool spare_dsack{false};    ///< a DSACK where none is expected is passed over (RFC 2883 lets a receiver choose)
  bool window_sizes{true};    ///< how large a window is, is compared; otherwise only whether it is zero
  bool strict_choices{true};  ///< what the standards leave to a stack is compared (choices.h)
  bool unsent_acks{true};  ///< acknowledgements of what was not sent are answered (RFC 9293 s3.10.7.4); Linux does not
  bool missing_ts{false};  ///< segments of the peer may lack timestamps that were agreed on (RFC 7323 s3.2: dropped)
  bool mtu_given{false};
  bool round_buffer{false};  ///< receive budget is a multiple of the segment size
  bool cookies{false};       ///< a listener keeps nothing for a SYN
  bool drop_syn_fin{false};  ///< SYN with FIN is ignored; otherwise the SYN alone is taken
  bool bsd{false};           ///< errno, soft ICMP errors, and unread data at close() as BSD has them
  Duration keepalive_idle{std::chrono::hours{2}};  ///< where a socket asks for keepalive
  Duration connect_timeout{0};                     ///< zero: only retries end a connect
  bool icmp_aborts_syn_sent{true};                 ///< a hard ICMP error ends a connection in SYN-SENT
  std::uint32_t buffer_factor{1};                  ///< SO_RCVBUF and SO_SNDBUF hold this many times what was asked
  bool v4{true}, v6{true};                         ///< families to run in
  std::vector<std::string> notes;                  ///< what was ignored

  /// By the names that Linux and FreeBSD use; false if it is another.
  static bool choose_congestion(tcp::Limits& limits, std::string_view name);
  /// "freebsd" or "linux", from the names that a script uses; empty when none of them tells.
  [[nodiscard]] static std::string_view profile_of(std::string_view text);
  /// The keys of set() with their values, a line each kind.
  [[nodiscard]] static std::string keys();
  /// Starting values of a profile; false if there is no such one.
  bool start(std::string_view profile);
  /// Empty, or why the setting cannot be had.
  [[nodiscard]] std::string set(std::string_view key, std::string_view value);
  /// A line `--key=value` of a script.
  [[nodiscard]] std::string option(std::string_view key, std::string_view value);
  /// A shell block: known sysctl names are set, the rest is noted.
  [[nodiscard]] std::string shell(std::string_view text);

 private:
  [[nodiscard]] std::string route(std::string_view text);
  [[nodiscard]] std::string sysctl(std::string_view name, std::string_view value);
  [[nodiscard]] std::string sysctl_freebsd(std::string_view name, std::int64_t value);
  [[nodiscard]] std::string sysctl_linux(std::string_view name, std::string_view value);
};

}  // namespace penstock::script
