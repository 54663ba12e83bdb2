// known_fields.h - field names that the proxy knows, found by a perfect hash made at compile time.
//
// Model     known_field() hashes the first and last eight octets, then compares the whole name without regard to case.
// Units     a name's index is its KnownField; `unknown` for all others.
// Shape     64 names at most, so that a head's names fit a 64-bit mask.
// Errors    none.
#pragma once
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace penstock::http1 {

enum class KnownField : std::uint8_t {
  unknown,
  host,
  content_length,
  transfer_encoding,
  connection,
  upgrade,
  expect,
  te,
  trailer,
  keep_alive,
  proxy_connection,
  http2_settings,
  via,
  forwarded,
  x_forwarded_for,
  x_forwarded_proto,
  x_forwarded_host,
  x_forwarded_port,
  x_real_ip,
  x_request_id,
  traceparent,
  tracestate,
  baggage,
  b3,
  x_b3_traceid,
  x_b3_spanid,
  x_b3_sampled,
  cookie,
  set_cookie,
  authorization,
  proxy_authorization,
  proxy_authenticate,
  www_authenticate,
  content_type,
  content_encoding,
  content_range,
  content_language,
  content_location,
  range,
  accept,
  accept_encoding,
  accept_language,
  accept_ranges,
  user_agent,
  server,
  date,
  origin,
  referer,
  cache_control,
  etag,
  age,
  location,
  if_none_match,
  if_modified_since,
  last_modified,
  max_forwards,
  vary,
  retry_after,
  sec_websocket_key,
  sec_websocket_accept,
  count
};
inline constexpr std::size_t kKnownFieldCount = static_cast<std::size_t>(KnownField::count);
static_assert(kKnownFieldCount <= 64);
[[nodiscard]] constexpr std::uint64_t bit(KnownField field) { return std::uint64_t{1} << static_cast<unsigned>(field); }

/// What a proxy does with a field by its name alone.
enum FieldUse : std::uint8_t {
  kPass = 0,
  kHopByHop = 1,    ///< RFC 9110 s7.6.1: ends here
  kOurs = 2,        ///< framing, routing, connection: the serialiser writes it anew
  kEndToEnd = 4,    ///< Connection may not name it
  kFraming = 8,     ///< Connection may never name it
  kNoTrailer = 16,  ///< RFC 9110 s6.5.1: no meaning, or a dangerous one, in a trailer section
};
struct KnownFieldInfo {
  KnownField field;
  std::string_view name;  ///< lower case, at most 24 octets
  std::uint8_t use;
};
/// One row per KnownField, in enum order.
inline constexpr std::array kKnownFields{
    KnownFieldInfo{KnownField::unknown, "", kPass},
    KnownFieldInfo{KnownField::host, "host", kOurs | kFraming | kNoTrailer},
    KnownFieldInfo{KnownField::content_length, "content-length", kOurs | kFraming | kNoTrailer},
    KnownFieldInfo{KnownField::transfer_encoding, "transfer-encoding", kOurs | kHopByHop | kFraming | kNoTrailer},
    KnownFieldInfo{KnownField::connection, "connection", kOurs | kHopByHop | kNoTrailer},
    KnownFieldInfo{KnownField::upgrade, "upgrade", kOurs | kHopByHop | kNoTrailer},
    KnownFieldInfo{KnownField::expect, "expect", kOurs | kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::te, "te", kOurs | kHopByHop | kNoTrailer},
    KnownFieldInfo{KnownField::trailer, "trailer", kOurs | kFraming | kNoTrailer},
    KnownFieldInfo{KnownField::keep_alive, "keep-alive", kHopByHop | kNoTrailer},
    KnownFieldInfo{KnownField::proxy_connection, "proxy-connection", kHopByHop | kNoTrailer},
    KnownFieldInfo{KnownField::http2_settings, "http2-settings", kHopByHop | kNoTrailer},
    KnownFieldInfo{KnownField::via, "via", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::forwarded, "forwarded", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::x_forwarded_for, "x-forwarded-for", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::x_forwarded_proto, "x-forwarded-proto", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::x_forwarded_host, "x-forwarded-host", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::x_forwarded_port, "x-forwarded-port", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::x_real_ip, "x-real-ip", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::x_request_id, "x-request-id", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::traceparent, "traceparent", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::tracestate, "tracestate", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::baggage, "baggage", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::b3, "b3", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::x_b3_traceid, "x-b3-traceid", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::x_b3_spanid, "x-b3-spanid", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::x_b3_sampled, "x-b3-sampled", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::cookie, "cookie", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::set_cookie, "set-cookie", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::authorization, "authorization", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::proxy_authorization, "proxy-authorization", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::proxy_authenticate, "proxy-authenticate", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::www_authenticate, "www-authenticate", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::content_type, "content-type", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::content_encoding, "content-encoding", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::content_range, "content-range", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::content_language, "content-language", kEndToEnd},
    KnownFieldInfo{KnownField::content_location, "content-location", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::range, "range", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::accept, "accept", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::accept_encoding, "accept-encoding", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::accept_language, "accept-language", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::accept_ranges, "accept-ranges", kEndToEnd},
    KnownFieldInfo{KnownField::user_agent, "user-agent", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::server, "server", kEndToEnd},
    KnownFieldInfo{KnownField::date, "date", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::origin, "origin", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::referer, "referer", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::cache_control, "cache-control", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::etag, "etag", kEndToEnd},
    KnownFieldInfo{KnownField::age, "age", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::location, "location", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::if_none_match, "if-none-match", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::if_modified_since, "if-modified-since", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::last_modified, "last-modified", kEndToEnd},
    KnownFieldInfo{KnownField::max_forwards, "max-forwards", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::vary, "vary", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::retry_after, "retry-after", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::sec_websocket_key, "sec-websocket-key", kEndToEnd | kNoTrailer},
    KnownFieldInfo{KnownField::sec_websocket_accept, "sec-websocket-accept", kEndToEnd | kNoTrailer},
};
static_assert(kKnownFields.size() == kKnownFieldCount);
static_assert([] {
  for (std::size_t i = 0; i < kKnownFields.size(); ++i)
    if (static_cast<std::size_t>(kKnownFields[i].field) != i || kKnownFields[i].name.size() > 24) return false;
  return true;
}());
[[nodiscard]] constexpr const KnownFieldInfo& info_of(KnownField field) {
  return kKnownFields[static_cast<std::size_t>(field)];
}

namespace detail {

/// A name as words: its first and its last eight octets with bit 5 set, which folds letters. Shorter ones are padded
/// with zeros, and both words are the same.
struct NameWords {
  std::uint64_t head{}, tail{};
  friend bool operator==(const NameWords&, const NameWords&) = default;
};
inline constexpr std::uint64_t kFold = 0x2020202020202020u;

[[nodiscard]] constexpr std::uint64_t word_at(std::string_view name, std::size_t at) {
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < 8 && at + i < name.size(); ++i)
    word |= std::uint64_t{static_cast<unsigned char>(name[at + i] | 0x20)} << 8 * i;
  return word;
}
[[nodiscard]] constexpr NameWords words_of(std::string_view name) {
  const std::uint64_t head = word_at(name, 0);
  return {head, name.size() > 8 ? word_at(name, name.size() - 8) : head};
}
/// The same from memory: eight octets from `name` on are readable.
[[nodiscard]] inline NameWords load_words(const char* name, std::size_t octets) {
  static_assert(std::endian::native == std::endian::little);
  const auto load = [](const char* from) {
    std::uint64_t word;
    std::memcpy(&word, from, sizeof word);
    return word | kFold;
  };
  std::uint64_t head = load(name);
  if (octets < 8) return {head &= (std::uint64_t{1} << 8 * octets) - 1, head};
  return {head, load(name + octets - 8)};
}

struct NameSlot {
  NameWords words{};
  std::uint64_t middle{};  ///< octets 8..15 of names longer than 16
  KnownField field{};
  std::uint8_t octets{};
};
inline constexpr unsigned kNameShift = 55;
[[nodiscard]] constexpr std::size_t slot_of(NameWords words, std::size_t octets, std::uint64_t multiplier) {
  return static_cast<std::size_t>(((words.head ^ (words.tail << 1)) + octets) * multiplier >> kNameShift);
}
struct NameTable {
  std::uint64_t multiplier{};
  std::array<NameSlot, 512> slots{};
};
/// Tries multipliers until no two names share a slot; the compiler does it once.
inline constexpr NameTable kNameTable = [] {
  std::uint64_t multiplier = 0x9e3779b97f4a7c15u;
  for (int tries = 0; tries < 400; ++tries, multiplier = multiplier * 6364136223846793005u + 1442695040888963407u) {
    std::array<bool, 512> taken{};
    bool perfect = true;
    for (std::size_t i = 1; i < kKnownFields.size() && perfect; ++i) {
      bool& slot = taken[slot_of(words_of(kKnownFields[i].name), kKnownFields[i].name.size(), multiplier | 1)];
      perfect = !slot;
      slot = true;
    }
    if (!perfect) continue;
    NameTable table{.multiplier = multiplier | 1, .slots = {}};
    for (std::size_t i = 1; i < kKnownFields.size(); ++i) {
      const std::string_view name = kKnownFields[i].name;
      table.slots[slot_of(words_of(name), name.size(), table.multiplier)] = {
          words_of(name), word_at(name, 8), kKnownFields[i].field, static_cast<std::uint8_t>(name.size())};
    }
    return table;
  }
  return NameTable{};
}();
static_assert(kNameTable.multiplier != 0, "no perfect hash found");

/// FieldUse by name, one octet each.
inline constexpr std::array<std::uint8_t, kKnownFieldCount> kUses = [] {
  std::array<std::uint8_t, kKnownFieldCount> out{};
  for (std::size_t i = 0; i < kKnownFieldCount; ++i) out[i] = kKnownFields[i].use;
  return out;
}();

}  // namespace detail

[[nodiscard]] inline std::uint8_t use_of(KnownField field) { return detail::kUses[static_cast<std::size_t>(field)]; }

/// The field of that name, or unknown. Setting bit 5 folds letters, and no octet but control octets, which never come
/// here, becomes a letter, digit or dash by it. `readable` octets from `name` on are in memory.
[[nodiscard, gnu::always_inline]] inline KnownField known_field(const char* name, std::size_t octets,
                                                                std::size_t readable) {
  std::array<char, 8> copy{};
  if (readable < copy.size()) [[unlikely]] {
    std::memcpy(copy.data(), name, octets);
    name = copy.data();
  }
  const detail::NameWords words = detail::load_words(name, octets);
  const detail::NameSlot& slot =
      detail::kNameTable.slots[detail::slot_of(words, octets, detail::kNameTable.multiplier)];
  bool same = words == slot.words && slot.octets == octets;
  if (octets > 16 && same) {
    std::uint64_t middle;
    std::memcpy(&middle, name + 8, sizeof middle);
    same = (middle | detail::kFold) == slot.middle;
  }
  return same ? slot.field : KnownField::unknown;
}
[[nodiscard]] inline KnownField known_field(std::string_view name) {
  return name.empty() ? KnownField::unknown : known_field(name.data(), name.size(), name.size());
}

}  // namespace penstock::http1
