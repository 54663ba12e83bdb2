#include "l7/route/condition.h"

#include <algorithm>
#include <charconv>

#include "l7/route/route_config.h"

namespace penstock::route {
namespace {

/// The lines of one header from the first on, with ',' between; a query parameter is a single piece.
struct Value {
  std::span<const HeaderField> fields;  ///< begins with the first line
  std::string_view name;                ///< lower case
  std::uint32_t name_hash;
  std::string_view single;  ///< if fields is empty

  template <typename Visit>
  void each_piece(Visit visit) const {
    if (fields.empty()) return visit(single);
    visit(fields.front().value);
    for (const HeaderField& field : fields.subspan(1))
      if (field.name_hash == name_hash && equals_folded(field.name, name)) {
        visit(std::string_view{","});
        visit(field.value);
      }
  }
};

bool same(std::string_view piece, std::string_view expected, bool ignore_case) {
  return ignore_case ? equals_folded(piece, expected) : piece == expected;
}

bool is_exact(const Value& value, std::string_view expected, bool ignore_case) {
  bool holds = true;
  value.each_piece([&](std::string_view piece) {
    holds = holds && piece.size() <= expected.size() && same(piece, expected.substr(0, piece.size()), ignore_case);
    if (holds) expected.remove_prefix(piece.size());
  });
  return holds && expected.empty();
}

bool has_prefix(const Value& value, std::string_view expected, bool ignore_case) {
  bool holds = true;
  value.each_piece([&](std::string_view piece) {
    const std::size_t octets = std::min(piece.size(), expected.size());
    holds = holds && same(piece.substr(0, octets), expected.substr(0, octets), ignore_case);
    if (holds) expected.remove_prefix(octets);
  });
  return holds && expected.empty();
}

bool in_range(const Value& value, std::int64_t low, std::int64_t high) {
  std::string_view text;
  std::size_t pieces = 0;
  value.each_piece([&](std::string_view piece) {
    text = piece;
    ++pieces;
  });
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return pieces == 1 && error == std::errc{} && end == text.data() + text.size() && number >= low && number < high;
}

bool value_holds(const HostView& host, const Condition& condition, const Value& value, ProgramScratch& scratch) {
  const bool ignore_case = (condition.flags & kIgnoreCase) != 0;
  switch (ValueKind{condition.kind}) {
    case ValueKind::present:
      return true;
    case ValueKind::exact:
      return is_exact(value, host.at(condition.value), ignore_case);
    case ValueKind::prefix:
      return has_prefix(value, host.at(condition.value), ignore_case);
    case ValueKind::range:
      return in_range(value, condition.low, condition.high);
    case ValueKind::regex: {
      ProgramRun run{host.program(condition.program), scratch};
      value.each_piece([&](std::string_view piece) { run.feed(piece); });
      return run.matched();
    }
  }
  return false;
}

/// What a missing header or parameter amounts to: nothing holds, unless it counts as empty or must be missing.
bool missing_holds(const HostView& host, const Condition& condition, ProgramScratch& scratch) {
  const bool invert = (condition.flags & kInvert) != 0;
  if ((condition.flags & kMissingAsEmpty) != 0) return value_holds(host, condition, {{}, {}, 0, {}}, scratch) != invert;
  return ValueKind{condition.kind} == ValueKind::present && invert;
}

}  // namespace

Method method_of(std::string_view token) {
  static constexpr std::string_view kNames[kMethodBits] = {"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                                           "CONNECT", "OPTIONS", "TRACE", "PATCH"};
  for (std::size_t i = 0; i < kMethodBits; ++i)
    if (kNames[i] == token) return static_cast<Method>(i);
  return Method::other;
}

bool Conditions::hold(std::uint32_t route) {
  const RouteGate& gate = host_.gates[route];
  if (!method_holds(gate)) return false;
  for (const Condition& condition : HostView::part(host_.conditions, gate.conditions)) {
    const bool holds =
        ConditionSource{condition.source} == ConditionSource::header ? header_holds(condition) : query_holds(condition);
    if (!holds) return false;
  }
  return true;
}

bool Conditions::method_holds(const RouteGate& gate) {
  if (gate.methods == 0 && gate.method_count == 0) return true;
  if (method_ < 0) method_ = static_cast<int>(method_of(request_.method));
  if (static_cast<Method>(method_) != Method::other) return (gate.methods >> method_ & 1) != 0;
  for (const Text name : HostView::part(host_.names, Range{gate.method_names, gate.method_count}))
    if (host_.at(name) == request_.method) return true;
  return false;
}

bool Conditions::header_holds(const Condition& condition) {
  const std::string_view name = host_.at(condition.name);
  for (std::size_t i = 0; i < request_.headers.size(); ++i) {
    const HeaderField& field = request_.headers[i];
    if (field.name_hash != condition.name_hash || !equals_folded(field.name, name)) continue;
    const Value value{request_.headers.subspan(i), name, condition.name_hash, {}};
    return value_holds(host_, condition, value, scratch_) != ((condition.flags & kInvert) != 0);
  }
  return missing_holds(host_, condition, scratch_);
}

bool Conditions::query_holds(const Condition& condition) {
  const std::string_view name = host_.at(condition.name);
  std::string_view rest = request_.query;
  if (rest.starts_with('?')) rest.remove_prefix(1);
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const std::size_t equals = std::min(pair.find('='), pair.size());
    if (pair.empty() || pair.substr(0, equals) != name) continue;
    const Value value{{}, {}, 0, pair.substr(std::min(equals + 1, pair.size()))};
    return value_holds(host_, condition, value, scratch_) != ((condition.flags & kInvert) != 0);
  }
  return missing_holds(host_, condition, scratch_);
}

}  // namespace penstock::route
