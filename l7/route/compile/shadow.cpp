#include "l7/route/compile/shadow.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_map>

#include "l7/route/compile/regex_syntax.h"
#include "l7/route/text_fold.h"

namespace penstock::route {
namespace {

std::string folded(std::string_view text) {
  std::string out{text};
  for (char& c : out) c = fold(c);
  return out;
}

/// Texts that are to be equal to a literal, or to begin with it.
struct Literal {
  std::string_view text;
  bool ignore_case;
};
enum class Extent : std::uint8_t { whole, beginning };

/// Does every text that `narrow` stands for also equal, or begin with, `wide`?
bool lies_within(const Literal& narrow, const Literal& wide, Extent extent) {
  if (narrow.ignore_case && !wide.ignore_case) return false;
  const std::string inner = wide.ignore_case ? folded(narrow.text) : std::string{narrow.text};
  const std::string outer = wide.ignore_case ? folded(wide.text) : std::string{wide.text};
  return extent == Extent::whole ? inner == outer : inner.starts_with(outer);
}

/// `beginning`: what every match of an expression begins with; of a literal the literal.
bool takes_path(const PathMatch& wide, const PathMatch& narrow, std::string_view beginning) {
  const Literal inner{beginning, narrow.ignore_case};
  const Literal outer{wide.value, wide.ignore_case};
  const bool whole_known = narrow.kind == PathKind::exact || narrow.kind == PathKind::segment_prefix;
  switch (wide.kind) {
    case PathKind::regex:
      return narrow.kind == PathKind::regex && narrow.value == wide.value;
    case PathKind::exact:
      return narrow.kind == PathKind::exact && lies_within(inner, outer, Extent::whole);
    case PathKind::prefix:
      return lies_within(inner, outer, Extent::beginning);
    case PathKind::segment_prefix: {
      const std::string below = wide.value + "/";
      return (whole_known && lies_within(inner, outer, Extent::whole)) ||
             lies_within(inner, {below, wide.ignore_case}, Extent::beginning);
    }
  }
  return false;
}

/// Holds only if the header or parameter is there.
bool demands_presence(const ValueMatch& match) {
  return !match.missing_as_empty && !(match.kind == ValueKind::present && match.invert);
}

/// Of one name: `weak` holds wherever `strong` does.
bool follows(const ValueMatch& weak, const ValueMatch& strong) {
  if (weak.kind == strong.kind && weak.value == strong.value && weak.low == strong.low && weak.high == strong.high &&
      weak.ignore_case == strong.ignore_case && weak.invert == strong.invert &&
      weak.missing_as_empty == strong.missing_as_empty)
    return true;
  if (weak.invert || (!weak.missing_as_empty && !demands_presence(strong))) return false;
  if (weak.kind == ValueKind::present) return true;
  if (strong.invert || weak.missing_as_empty != strong.missing_as_empty) return false;
  const Literal inner{strong.value, strong.ignore_case}, outer{weak.value, weak.ignore_case};
  if (weak.kind == ValueKind::exact && strong.kind == ValueKind::exact) return lies_within(inner, outer, Extent::whole);
  return weak.kind == ValueKind::prefix && (strong.kind == ValueKind::exact || strong.kind == ValueKind::prefix) &&
         lies_within(inner, outer, Extent::beginning);
}

bool all_follow(const std::vector<ValueMatch>& weak, const std::vector<ValueMatch>& strong, bool names_fold) {
  const auto same_name = [&](const ValueMatch& a, const ValueMatch& b) {
    return names_fold ? folded(a.name) == folded(b.name) : a.name == b.name;
  };
  return std::all_of(weak.begin(), weak.end(), [&](const ValueMatch& w) {
    return std::any_of(strong.begin(), strong.end(),
                       [&](const ValueMatch& s) { return same_name(w, s) && follows(w, s); });
  });
}

bool takes_methods(const std::vector<std::string>& wide, const std::vector<std::string>& narrow) {
  const auto listed = [&](const std::string& method) {
    return std::find(wide.begin(), wide.end(), method) != wide.end();
  };
  return wide.empty() || (!narrow.empty() && std::all_of(narrow.begin(), narrow.end(), listed));
}

bool takes_all(const RouteMatch& wide, const RouteMatch& narrow, std::string_view beginning) {
  return takes_path(wide.path, narrow.path, beginning) && takes_methods(wide.methods, narrow.methods) &&
         all_follow(wide.headers, narrow.headers, true) && all_follow(wide.query_params, narrow.query_params, false);
}

bool has_conditions(const RouteMatch& match) {
  return !match.headers.empty() || !match.query_params.empty() || !match.methods.empty();
}

/// FNV-1a, one octet after the other, so that a text's hash passes through those of its beginnings.
constexpr std::uint64_t kHashBegin = 0xcbf2'9ce4'8422'2325;
constexpr std::uint64_t hash_step(std::uint64_t hash, char octet) {
  return (hash ^ static_cast<std::uint8_t>(octet)) * 0x0000'0100'0000'01b3;
}

/// Reachable routes so far, by their literals without regard to case. Hashes only propose: takes_all() decides.
class Rivals {
 public:
  explicit Rivals(const VirtualHost& host) : host_{host} {}

  /// Whose literal `beginning` begins with.
  [[nodiscard]] const std::uint32_t* find(const RouteMatch& match, std::string_view beginning) const {
    std::uint64_t hash = kHashBegin;
    for (std::size_t octets = 0;; ++octets) {
      if (const std::uint32_t* found = find_at(literals_, hash, match, beginning)) return found;
      if (octets == beginning.size()) break;
      hash = hash_step(hash, fold(beginning[octets]));
    }
    return match.path.kind == PathKind::regex ? find_at(regexes_, hash_of(match.path.value), match, beginning)
                                              : nullptr;
  }
  void add(std::uint32_t route) {
    const RouteMatch& match = host_.routes[route].match;
    auto& list = match.path.kind == PathKind::regex ? regexes_[hash_of(match.path.value)]
                                                    : literals_[hash_of(folded(match.path.value))];
    if (list.size() < (has_conditions(match) ? kShadowRivals : 2 * kShadowRivals)) list.push_back(route);
  }

 private:
  using Lists = std::unordered_map<std::uint64_t, std::vector<std::uint32_t>>;

  static std::uint64_t hash_of(std::string_view text) {
    std::uint64_t hash = kHashBegin;
    for (const char octet : text) hash = hash_step(hash, octet);
    return hash;
  }
  [[nodiscard]] const std::uint32_t* find_at(const Lists& lists, std::uint64_t hash, const RouteMatch& match,
                                             std::string_view beginning) const {
    const auto list = lists.find(hash);
    if (list == lists.end()) return nullptr;
    const auto found = std::find_if(list->second.begin(), list->second.end(), [&](std::uint32_t route) {
      return takes_all(host_.routes[route].match, match, beginning);
    });
    return found == list->second.end() ? nullptr : &*found;
  }

  const VirtualHost& host_;
  Lists literals_, regexes_;
};

}  // namespace

std::vector<Shadowed> shadowed_routes(const VirtualHost& host) {
  std::vector<Shadowed> out;
  Rivals rivals{host};
  for (std::uint32_t route = 0; route < host.routes.size(); ++route) {
    const RouteMatch& match = host.routes[route].match;
    std::string beginning = match.path.value;
    if (match.path.kind == PathKind::regex) {
      const auto regex = parse_regex(match.path.value);
      if (!regex) continue;
      beginning = literal_prefix(*regex);
    }
    if (const std::uint32_t* by = rivals.find(match, beginning))
      out.push_back({route, *by});
    else
      rivals.add(route);  // what a shadowed route takes, the other one takes too
  }
  return out;
}

}  // namespace penstock::route
