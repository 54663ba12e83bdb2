#include "tests/conformance/runner/icmp_kinds.h"

#include <algorithm>
#include <array>
#include <span>
#include <string>

namespace penstock::script {
namespace {

constexpr std::array kKinds{
    IcmpKind{"unreachable", "frag_needed", true, false, true, ""},
    IcmpKind{"packet_too_big", "", false, true, true, ""},
    IcmpKind{"unreachable", "port_unreachable", true, true, false, "ECONNREFUSED"},
    IcmpKind{"unreachable", "port", true, true, false, "ECONNREFUSED"},
    IcmpKind{"unreachable", "protocol_unreachable", true, false, false, "ECONNREFUSED"},
    IcmpKind{"unreachable", "net_prohibited", true, false, false, "ECONNREFUSED"},
    IcmpKind{"unreachable", "host_prohibited", true, false, false, "ECONNREFUSED"},
    IcmpKind{"unreachable", "packet_filtered", true, false, false, "ECONNREFUSED"},
    IcmpKind{"unreachable", "admin_prohibited", false, true, false, "ECONNREFUSED"},
    IcmpKind{"time_exceeded", "ttl_exceeded_in_transit", true, false, false, "", "EHOSTUNREACH"},
    IcmpKind{"time_exceeded", "hop_limit_exceeded", false, true, false, "", "EHOSTUNREACH"},
    IcmpKind{"time_exceeded", "exceeded_hop_limit", false, true, false, "", "EHOSTUNREACH"},
    IcmpKind{"time_exceeded", "*", true, true, false, ""},
    IcmpKind{"parameter_problem", "unknown_next_header", false, true, false, "EPROTO", "ECONNREFUSED"},
    IcmpKind{"parameter_problem", "*", true, true, false, ""},
    IcmpKind{"redirect", "*", true, true, false, ""},
    IcmpKind{"source_quench", "*", true, false, false, ""},
    IcmpKind{"echo_request", "*", true, true, false, ""},
    IcmpKind{"echo_reply", "*", true, true, false, ""},
    IcmpKind{"timestamp_request", "*", true, false, false, ""},
    IcmpKind{"timestamp_reply", "*", true, false, false, ""},
    IcmpKind{"information_request", "*", true, false, false, ""},
    IcmpKind{"information_reply", "*", true, false, false, ""},
    IcmpKind{"address_mask_request", "*", true, false, false, ""},
    IcmpKind{"address_mask_reply", "*", true, false, false, ""},
};
// RFC 792 and RFC 1122 s3.2.2.1, by code.
constexpr std::array<std::string_view, 16> kUnreachable4{"net_unreachable",
                                                         "host_unreachable",
                                                         "protocol_unreachable",
                                                         "port_unreachable",
                                                         "frag_needed",
                                                         "source_route_failed",
                                                         "net_unknown",
                                                         "host_unknown",
                                                         "source_host_isolated",
                                                         "net_prohibited",
                                                         "host_prohibited",
                                                         "net_unreachable_for_tos",
                                                         "host_unreachable_for_tos",
                                                         "packet_filtered",
                                                         "precedence_violation",
                                                         "precedence_cutoff"};
// RFC 4443 s3.1; 2 (beyond scope of source address) under its old name.
constexpr std::array<std::string_view, 5> kUnreachable6{"no_route", "admin_prohibited", "not_neighbour",
                                                        "address_unreachable", "port_unreachable"};
constexpr std::array<std::string_view, 2> kShort{"net", "host"};

std::optional<unsigned> number_after(std::string_view word, std::string_view prefix) {
  if (!word.starts_with(prefix) || word.size() == prefix.size() || word.size() > prefix.size() + 3) return std::nullopt;
  unsigned value = 0;
  for (const char c : word.substr(prefix.size())) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  return value;
}

/// The names of what was written as numbers; other numbers stay.
Icmp named(const Icmp& icmp, bool v4) {
  Icmp out = icmp;
  const std::optional<unsigned> type = number_after(icmp.type, "type_");
  if (type == (v4 ? 3u : 1u)) out.type = "unreachable";
  if (type == (v4 ? 11u : 3u)) out.type = "time_exceeded";
  if (type == (v4 ? 12u : 4u)) out.type = "parameter_problem";
  if (type == 2u && !v4) out.type = "packet_too_big";
  const std::optional<unsigned> code = number_after(icmp.code, "code_");
  const auto codes =
      v4 ? std::span<const std::string_view>{kUnreachable4} : std::span<const std::string_view>{kUnreachable6};
  if (code && out.type == "unreachable" && *code < codes.size()) out.code = codes[*code];
  if (code && out.type == "packet_too_big") out.code = "";
  return out;
}

bool is_one_of(std::span<const std::string_view> words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

std::optional<IcmpKind> kind_of(const Icmp& written, bool v4) {
  const Icmp icmp = named(written, v4);
  for (const IcmpKind& kind : kKinds)
    if (kind.type == icmp.type && (kind.code == icmp.code || kind.code == "*")) return kind;
  const bool soft = is_one_of(kUnreachable4, icmp.code) || is_one_of(kUnreachable6, icmp.code) ||
                    is_one_of(kShort, icmp.code) || number_after(icmp.code, "code_");
  const bool numbered = number_after(icmp.type, "type_").has_value();
  if ((icmp.type == "unreachable" && soft) || numbered) return IcmpKind{"", "", true, true, false, ""};
  return std::nullopt;
}

}  // namespace penstock::script
