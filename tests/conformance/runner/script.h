// script.h - a test script in the packetdrill language, as data.
//
// Model     a list of events with times: a packet that arrives or must leave, an ICMP message that arrives, a socket
//           call with its result, a shell block (not run), statements about the connection. parse() makes it from text.
// Units     microseconds; sequence numbers as the script writes them.
// Errors    a text that cannot be read, or says what the runner does not know, is unsupported: never passed.
// Not here  what events do (runner.h), settings that options and shell blocks change (settings.h).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace penstock::script {

/// When an event is due.
struct When {
  enum class Kind : std::uint8_t { absolute, relative, any };
  Kind kind{Kind::relative};
  std::int64_t us{};
  std::optional<std::int64_t> end_us;  ///< of a range; for a call: when it returns
};

struct Field;

/// An argument or result of a call.
struct Value {
  enum class Kind : std::uint8_t { any, number, name, text, list, record };
  Kind kind{Kind::any};
  std::int64_t number{};
  std::string text;           ///< of a name (also of `f(x)`, as "f(...)") or a string
  std::vector<Value> items;   ///< of a list
  std::vector<Field> fields;  ///< of a record
  [[nodiscard]] bool is(Kind what) const { return kind == what; }
};

/// `key = value` of a record.
struct Field {
  std::string key;
  Value value;
};

/// One TCP option.
struct Option {
  enum class Kind : std::uint8_t { end, nop, mss, window_scale, sack_permitted, sack, timestamps, fast_open, other };
  Kind kind{Kind::nop};
  std::uint32_t a{};  ///< value of MSS, window scale, TS val
  std::uint32_t b{};  ///< TS ecr; octets of a fast open cookie
  bool any{};         ///< TS val is not said
  std::string raw;    ///< what follows kind (`a`) and length of another option, as hex digits
  std::vector<std::pair<std::uint32_t, std::uint32_t>> blocks;
};

struct Packet {
  bool inbound{};
  std::uint8_t flags{};
  std::uint8_t ecn{};  ///< of the IP header
  bool accurate{};     ///< the bit that accurate ECN took from the reserved ones
  std::uint32_t seq{};
  std::uint32_t octets{};
  std::optional<std::uint32_t> ack;
  std::optional<std::uint16_t> window;
  std::uint16_t urgent{};
  bool any_options{};
  bool any_seq{};
  std::vector<Option> options;
};

struct Icmp {
  bool inbound{};
  bool v6{};  ///< written for IPv6
  bool v4{};  ///< written for IPv4
  std::string type;
  std::string code;
  std::uint32_t mtu{};
  std::optional<std::uint32_t> quoted;
};

struct Call {
  std::string name;
  std::vector<Value> arguments;
  Value result;
  std::string error;  ///< errno's name
};

struct Shell {
  std::string text;
};
struct Assertions {
  std::string text;
};

struct Event {
  int line{};
  When when;
  std::variant<Packet, Icmp, Call, Shell, Assertions> what;
};

struct Setting {
  int line{};
  std::string key;
  std::string value;
};

struct Script {
  std::vector<Setting> options;     ///< lines that begin with --
  std::vector<Setting> directives;  ///< comments that begin with //@
  std::vector<Event> events;
};

/// Why a script cannot be run.
struct Refusal {
  int line{};
  std::string why;
};

/// `defined` is the one name for which #ifdef holds.
[[nodiscard]] std::variant<Script, Refusal> parse(std::string_view text, std::string_view defined = "");
/// Names that the text asks for by #ifdef: its variants.
[[nodiscard]] std::vector<std::string> conditions_of(std::string_view text);

inline constexpr std::uint8_t kFlagFin = 1, kFlagSyn = 2, kFlagRst = 4, kFlagPsh = 8, kFlagAck = 16, kFlagUrg = 32,
                              kFlagEce = 64, kFlagCwr = 128;

}  // namespace penstock::script
