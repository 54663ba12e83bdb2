#include "l7/http1/target.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <bit>

#include "dataplane/core/require.h"
#include "l7/http1/chars.h"

namespace penstock::http1 {

namespace {

constexpr std::size_t kBlock = 64;

struct TargetScan {
  std::size_t end;       // first octet that is no URI character (or, by policy, no printable one)
  std::size_t question;  // first question mark, or end
  bool special;          // something that needs a closer look before the end
};

TargetScan scan_target(std::string_view text, const Classifier& classifier, bool non_uri) {
  TargetScan out{text.size(), text.size(), false};
  bool question = false;
  for (std::size_t begin = 0; begin < text.size(); begin += kBlock) {
    TargetMasks m;
    const std::size_t octets = std::min(kBlock, text.size() - begin);
    classifier.target(text.data() + begin, octets, &m);
    if (non_uri)
      for (std::size_t i = 0; i < octets; ++i) m.uri |= std::uint64_t{is(text[begin + i], kNonUriChar)} << i;
    const auto run = static_cast<std::size_t>(std::countr_one(m.uri));
    const std::uint64_t before = run == kBlock ? ~std::uint64_t{0} : (std::uint64_t{1} << run) - 1;
    out.special |= (m.special & before) != 0;
    if (!question && (m.question & before) != 0) {
      question = true;
      out.question = begin + static_cast<std::size_t>(std::countr_zero(m.question & before));
    }
    if (run < octets) {
      out.end = begin + run;
      break;
    }
  }
  if (!question) out.question = out.end;
  return out;
}

/// Octet or escape that `text` begins with: its value, and how many octets it takes. octets 0: malformed escape.
struct Unit {
  char value;
  std::uint8_t octets;
  [[nodiscard]] bool escaped() const { return octets == 3; }
};
Unit unit_at(std::string_view text) {
  if (text[0] != '%') return {text[0], 1};
  if (text.size() < 3) return {0, 0};
  const int high = hex_value(text[1]), low = hex_value(text[2]);
  if (high < 0 || low < 0) return {0, 0};
  return {static_cast<char>(high * 16 + low), 3};
}

/// Escapes of the query are only checked for being well-formed and no NUL.
RejectReason check_escapes(std::string_view text) {
  for (std::size_t at = text.find('%'); at != std::string_view::npos; at = text.find('%', at + 3)) {
    const Unit unit = unit_at(text.substr(at));
    if (unit.octets == 0) return RejectReason::percent_encoding;
    if (unit.value == 0) return RejectReason::encoded_nul;
  }
  return RejectReason::none;
}

/// Is this segment "." or ".." when its escapes are resolved? 1 and 2 dots, else 0.
int dots_of(std::string_view segment) {
  int dots = 0;
  while (!segment.empty()) {
    const Unit unit = unit_at(segment);
    if (unit.value != '.' || unit.octets == 0 || ++dots > 2) return 0;
    segment.remove_prefix(unit.octets);
  }
  return dots;
}

enum class Separator : std::uint8_t { none, kept, plain };  // kept: some servers split here, we and our output do not
Separator separator(Unit unit, const HttpValidationPolicy& policy) {
  const auto by_rule = [](PathRule rule) { return rule == PathRule::normalise ? Separator::plain : Separator::kept; };
  if (unit.value == '/') return unit.escaped() ? by_rule(policy.encoded_slash) : Separator::plain;
  if (unit.value == '\\') return by_rule(policy.encoded_backslash);
  return Separator::none;
}

/// What a server may see in a path beside the plain octets.
struct PathFinds {
  bool slash{}, backslash{};
  bool dot_segment{};  // between separators that stand in what is forwarded
  bool hidden_dots{};  // beside a separator that is forwarded in its escape: no normalising reaches it
};
PathFinds find_in_path(std::string_view path, const HttpValidationPolicy& policy) {
  PathFinds finds;
  Separator left = Separator::plain;
  std::size_t segment = 1;  // behind the first slash
  for (std::size_t at = 1; at <= path.size();) {
    const Unit unit = at < path.size() ? unit_at(path.substr(at)) : Unit{'/', 1};
    const Separator here = separator(unit, policy);
    finds.slash |= unit.escaped() && unit.value == '/';
    finds.backslash |= unit.value == '\\';
    if (here != Separator::none) {
      const bool dots = dots_of(path.substr(segment, at - segment)) != 0;
      finds.dot_segment |= dots;
      finds.hidden_dots |= dots && (left == Separator::kept || here == Separator::kept);
      segment = at + unit.octets;
      left = here;
    }
    at += unit.octets;
  }
  return finds;
}

RejectReason judge_path(std::string_view path, const HttpValidationPolicy& policy, bool& normalise) {
  if (const RejectReason reason = check_escapes(path); reason != RejectReason::none) return reason;
  const PathFinds finds = find_in_path(path, policy);
  const auto refused = [&normalise](bool found, PathRule rule) {
    normalise |= found && rule == PathRule::normalise;
    return found && rule == PathRule::reject;
  };
  if (refused(finds.slash, policy.encoded_slash)) return RejectReason::encoded_slash;
  if (refused(finds.backslash, policy.encoded_backslash)) return RejectReason::encoded_backslash;
  if (refused(finds.dot_segment, policy.dot_segments)) return RejectReason::dot_segment;
  if (finds.hidden_dots && policy.dot_segments == PathRule::normalise) return RejectReason::dot_segment;
  return RejectReason::none;
}

Span span_of(std::size_t begin, std::size_t end) {
  return {static_cast<std::uint16_t>(begin), static_cast<std::uint16_t>(end - begin)};
}

/// scheme "://" authority path-abempty: cuts the authority out; `at` becomes where the path begins.
RejectReason take_authority(std::size_t& at, std::size_t end, const HttpValidationPolicy& policy, RequestHead& head) {
  const std::string_view target = head.text.substr(at, end - at);
  std::size_t scheme = 0;
  if (target.size() > 7 && same_folded(target.substr(0, 7), "http://")) scheme = 7;
  if (target.size() > 8 && same_folded(target.substr(0, 8), "https://")) scheme = 8;
  if (scheme == 0 || !policy.absolute_form) return RejectReason::target_form;
  const std::size_t length = std::min(target.find_first_of("/?", scheme), target.size()) - scheme;
  const std::string_view authority = target.substr(scheme, length);
  if (authority.find('@') != std::string_view::npos) return RejectReason::userinfo;
  head.authority = span_of(at + scheme, at + scheme + length);
  at += scheme + length;
  return check_authority(authority, false, policy.allow_sub_delims_in_host);
}

}  // namespace

RejectReason split_target(std::size_t begin, std::size_t limit, const HttpValidationPolicy& policy,
                          const Classifier& classifier, RequestHead& head) {
  const std::string_view line = head.text.substr(begin, limit - begin);
  const TargetScan scan = scan_target(line, classifier, policy.allow_non_uri_target_octets);
  const std::size_t end = begin + scan.end;
  if (end == limit) return RejectReason::request_line_malformed;  // no version behind it
  if (head.text[end] != ' ')
    return head.text[end] == '\t' ? RejectReason::request_line_malformed : RejectReason::target_malformed;
  if (scan.end == 0) return RejectReason::request_line_malformed;     // two spaces
  const Span whole = span_of(begin, end), empty = span_of(end, end);  // copied from registers, not from each other:
  head.target = whole;                                                // a load of two fresh stores would stall
  head.authority = empty;
  head.path = empty;
  head.query = empty;
  head.path_needs_normalising = false;

  const std::string_view target = whole.in(head.text);
  if (head.method == Method::connect) {
    head.form = TargetForm::authority;
    head.authority = whole;
    if (target.find('@') != std::string_view::npos) return RejectReason::userinfo;
    return check_authority(target, true, policy.allow_sub_delims_in_host) == RejectReason::none
               ? RejectReason::none
               : RejectReason::target_form;
  }
  if (target == "*") {
    head.form = TargetForm::asterisk;
    return head.method == Method::options ? RejectReason::none : RejectReason::target_form;
  }
  head.form = TargetForm::origin;
  std::size_t path = begin;
  if (target[0] != '/') {
    head.form = TargetForm::absolute;
    if (const RejectReason reason = take_authority(path, end, policy, head); reason != RejectReason::none)
      return reason;
  }
  const std::size_t query = std::max(path, begin + scan.question);
  head.path = span_of(path, query);
  head.query = span_of(query, end);
  if (!scan.special) return RejectReason::none;
  const RejectReason reason = check_escapes(head.query.in(head.text));
  if (reason != RejectReason::none || head.path.octets == 0) return reason;
  return judge_path(head.path.in(head.text), policy, head.path_needs_normalising);
}

RejectReason check_authority(std::string_view authority, bool port_needed, bool allow_sub_delims) {
  constexpr std::size_t kHostOctetsMax = 255;
  std::size_t host_end = run_of(authority, kHostChar);
  if (!authority.empty() && authority[0] == '[') {
    const std::size_t close = authority.find(']');
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (close == std::string_view::npos || close - 1 >= text.size()) return RejectReason::host_malformed;
    in6_addr address;
    authority.copy(text.data(), close - 1, 1);
    if (inet_pton(AF_INET6, text.data(), &address) != 1) return RejectReason::host_malformed;
    host_end = close + 1;
  } else {
    while (allow_sub_delims && host_end < authority.size()) {
      const bool escape = authority[host_end] == '%' && unit_at(authority.substr(host_end)).octets == 3;
      if (!escape && !is(authority[host_end], kHostChar | kSubDelim)) break;
      host_end += escape ? 3 : 1;
    }
    if (host_end == 0 || host_end > kHostOctetsMax) return RejectReason::host_malformed;
  }
  if (host_end == authority.size()) return port_needed ? RejectReason::host_malformed : RejectReason::none;
  if (authority[host_end] != ':') return RejectReason::host_malformed;
  const std::string_view port = authority.substr(host_end + 1);
  if (port.empty() || port.size() > 5 || !all(port, kDigit)) return RejectReason::host_malformed;
  unsigned number = 0;
  for (const char digit : port) number = number * 10 + static_cast<unsigned>(digit - '0');
  return number <= 65535 ? RejectReason::none : RejectReason::host_malformed;
}

std::string_view normalise_path(std::string_view path, const HttpValidationPolicy& policy, std::span<char> out) {
  require(!path.empty() && out.size() >= path.size(), "no room to normalise a path");
  std::size_t size = 1, segment = 1;
  out[0] = '/';
  for (std::size_t at = 1; at <= path.size();) {
    const bool end = at == path.size();
    const Unit unit = end ? Unit{'/', 1} : unit_at(path.substr(at));
    if (separator(unit, policy) == Separator::plain) {
      const std::string_view written{out.data() + segment, size - segment};
      const int dots = policy.dot_segments == PathRule::normalise ? dots_of(written) : 0;
      if (dots == 0 && !end) out[size++] = '/';
      if (dots != 0) size = segment;
      if (dots == 2 && segment > 1)
        size = std::string_view{out.data(), segment - 1}.rfind('/') + 1;  // the segment before goes too
      segment = size;
    } else {
      path.copy(out.data() + size, unit.octets, at);
      size += unit.octets;
    }
    at += unit.octets;
  }
  return {out.data(), size};
}

}  // namespace penstock::http1
