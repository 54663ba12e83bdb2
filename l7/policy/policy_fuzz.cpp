// Any requests and clients against any rules and limits: authorization says what a plain reading of its rules says,
// token buckets give what plain arithmetic gives, answers come back to the question that they were given to.
//
// Input     one octet that chooses the part, then
//             rules: lines. "t" kind flags value ["=" name] is a term, "r" action ends a rule, an empty line the
//             rules; then client, method, path, and "name:value" headers.
//             limits and answers: operations of four octets each.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "dataplane/core/require.h"
#include "l7/policy/answer_cache.h"
#include "l7/policy/authorize.h"
#include "l7/policy/rate_limiter.h"

namespace penstock::policy {
namespace {

using control::PolicyTerm;
using control::TermKind;

std::string_view take_line(std::string_view& rest) {
  const std::size_t end = std::min(rest.find('\n'), rest.size());
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return line;
}

// --- Rules, read plainly.

std::string folded(std::string_view text) {
  std::string out{text};
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string unescaped(std::string_view path) {
  const std::string_view digits = "0123456789abcdef";
  std::string out;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const std::string pair = folded(path.substr(std::min(i + 1, path.size()), 2));
    const bool escape = path[i] == '%' && pair.size() == 2 && digits.find(pair[0]) != std::string_view::npos &&
                        digits.find(pair[1]) != std::string_view::npos;
    out += escape ? static_cast<char>(digits.find(pair[0]) * 16 + digits.find(pair[1])) : path[i];
    if (escape) i += 2;
  }
  return out;
}

bool bits_agree(const IpAddress& a, const IpAddress& b, unsigned count) {
  if (a.is_v4() != b.is_v4()) return false;
  const unsigned first = a.is_v4() ? 96 : 0;
  for (unsigned bit = first; bit < first + count; ++bit)
    if (((a.octets[bit / 8] ^ b.octets[bit / 8]) >> (7 - bit % 8) & 1) != 0) return false;
  return true;
}

struct Book {
  std::string texts;
  std::vector<PolicyTerm> terms;
  std::vector<control::AuthorizationRule> rules;

  [[nodiscard]] std::string_view text(control::TextRef ref) const {
    return std::string_view{texts}.substr(ref.offset, ref.octets);
  }
  control::TextRef add(std::string_view words) {
    const control::TextRef ref{static_cast<std::uint32_t>(texts.size()), static_cast<std::uint32_t>(words.size())};
    texts += words;
    return ref;
  }
  /// What a snapshot may hold; other lines are no terms.
  void add_term(std::string_view line) {
    if (line.size() < 2 || line[0] < '0' || line[0] > '6') return;
    PolicyTerm term{static_cast<TermKind>(line[0] - '0'), 0, 0, 0, {}, {}, {}};
    const bool header = term.kind >= TermKind::header_present;
    if (header && line[1] == '!') term.flags = control::kTermInvert;
    std::string_view value = line.substr(2);
    if (header) {
      const std::size_t equals = value.rfind('=');
      if (equals == std::string_view::npos || equals + 1 == value.size()) return;
      term.name = add(folded(value.substr(equals + 1)));
      value = value.substr(0, equals);
    }
    if (term.kind == TermKind::source) {
      const auto prefix = IpPrefix::parse(value);
      if (!prefix) return;
      term.source = prefix->address;
      term.source_bits = prefix->bits;
    } else {
      term.value = add(value);
    }
    terms.push_back(term);
  }
  void end_rule(char action) {
    const std::uint32_t first = rules.empty() ? 0 : rules.back().first_term + rules.back().term_count;
    rules.push_back({first,
                     static_cast<std::uint32_t>(terms.size()) - first,
                     action == 'd' ? control::PolicyAction::deny : control::PolicyAction::allow,
                     {}});
  }
  [[nodiscard]] bool holds(const PolicyTerm& term, const Facts& facts) const {
    const std::string_view value = text(term.value);
    switch (term.kind) {
      case TermKind::source:
        return bits_agree(term.source, facts.client, term.source_bits);
      case TermKind::method:
        return facts.request.method == value;
      case TermKind::path:
        return unescaped(facts.request.path) == value;
      case TermKind::path_prefix:
        return unescaped(facts.request.path).starts_with(value);
      case TermKind::header_present:
      case TermKind::header_exact:
      case TermKind::header_prefix:
        break;
    }
    bool any = false;
    for (const route::HeaderField& field : facts.request.headers) {
      if (folded(field.name) != text(term.name)) continue;
      any |= term.kind == TermKind::header_present || field.value == value ||
             (term.kind == TermKind::header_prefix && field.value.starts_with(value));
    }
    return any != (term.flags != 0);
  }
  /// Any of its sources, any of its methods, any of its paths, all of its headers.
  [[nodiscard]] bool holds(const control::AuthorizationRule& rule, const Facts& facts) const {
    const auto any_of = [&](auto is_kind) {
      bool named = false, held = false;
      for (std::uint32_t t = rule.first_term; t < rule.first_term + rule.term_count; ++t) {
        if (!is_kind(terms[t].kind)) continue;
        named = true;
        held |= holds(terms[t], facts);
      }
      return !named || held;
    };
    for (std::uint32_t t = rule.first_term; t < rule.first_term + rule.term_count; ++t)
      if (terms[t].kind >= TermKind::header_present && !holds(terms[t], facts)) return false;
    return any_of([](TermKind k) { return k == TermKind::source; }) &&
           any_of([](TermKind k) { return k == TermKind::method; }) &&
           any_of([](TermKind k) { return k == TermKind::path || k == TermKind::path_prefix; });
  }
};

void authorization(std::string_view text) {
  Book book;
  for (std::string_view line = take_line(text); !line.empty(); line = take_line(text)) {
    if (line[0] == 't') book.add_term(line.substr(1));
    if (line[0] == 'r') book.end_rule(line.size() > 1 ? line[1] : 'a');
  }
  route::RequestView request{};
  const IpAddress client = IpAddress::parse(take_line(text)).value_or(IpAddress::v4(10, 0, 0, 1));
  request.method = take_line(text);
  request.path = take_line(text);
  std::vector<route::HeaderField> fields;
  while (!text.empty() && fields.size() < 100) {
    const std::string_view line = take_line(text);
    const std::size_t colon = std::min(line.find(':'), line.size());
    fields.push_back(route::HeaderField::of(line.substr(0, colon), line.substr(std::min(colon + 1, line.size()))));
  }
  request.headers = fields;
  control::HttpPolicyRecord policy;
  policy.rule_count = static_cast<std::uint32_t>(book.rules.size());
  policy.otherwise = control::PolicyAction::deny;
  control::PolicyTables tables;
  tables.rules = book.rules;
  tables.terms = book.terms;
  tables.texts = book.texts;
  const Facts facts{request, client};
  control::PolicyAction expected = policy.otherwise;
  for (std::size_t r = book.rules.size(); r-- > 0;)
    if (book.holds(book.rules[r], facts)) expected = book.rules[r].action;
  require(authorize(tables, policy, facts) == expected, "a rule is read in two ways");
}

// --- Limits and answers, by operations of four octets.

struct Operation {
  unsigned what, who;
  Duration later;
};
bool take_operation(std::string_view& text, Operation& into) {
  if (text.size() < 4) return false;
  const auto octet = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  into = {octet(0), octet(1), std::chrono::microseconds{octet(2) << 8 | octet(3)}};
  text.remove_prefix(4);
  return true;
}

constexpr std::array kLimits{control::RateLimitRecord{1, 1'000'000, 3, 0},
                             control::RateLimitRecord{7, 50'000'000, 1, 0},
                             control::RateLimitRecord{9, 1, 1'000'000, 0}};

IpAddress client_of(unsigned who) {
  IpAddress out = who % 2 == 0 ? IpAddress::v4(10, 0, 0, static_cast<std::uint8_t>(who)) : IpAddress{};
  if (who % 2 != 0) {
    out.octets = {0xfd, static_cast<std::uint8_t>(who / 16)};
    out.octets[15] = static_cast<std::uint8_t>(who);  // within a /64 that others share
  }
  return out;
}

/// When a bucket is full again, by limit and client; the clients of a /64 are one.
void rate_limits(std::string_view text) {
  RateLimiter limiter{42};
  limiter.configure(kLimits, 1);
  std::map<std::pair<unsigned, unsigned>, Instant> full;
  Instant now{std::chrono::seconds{1000}};
  Operation op{};
  while (take_operation(text, op)) {
    now += op.later;
    if (op.what >= 0xf0) limiter.configure(kLimits, 1);  // a reload that changes nothing
    const unsigned index = static_cast<unsigned>(op.what % kLimits.size());
    const bool of_client = (op.what & 0x08) != 0;
    const unsigned who = op.who % 2 == 0 ? op.who : 256 + op.who / 16;
    const Duration step{static_cast<Duration::rep>(kLimits[index].token_ns)};
    const Duration span = step * kLimits[index].burst;
    Instant& bucket = full[{index, of_client ? 1 + who : 0}];
    bucket = std::max(bucket, now);
    const Duration expected = std::max(bucket + step - now - span, Duration{0});
    if (expected == Duration{0}) bucket += step;
    const Duration got = of_client ? limiter.take(index, client_of(op.who), now) : limiter.take(index, now);
    require(got == expected, "a bucket holds something else than it should");
  }
  require(limiter.evicted() == 0, "so few clients have room");
}

void answers(std::string_view text) {
  const Hash128 key{3, 4};
  AnswerCache cache;
  std::map<unsigned, std::pair<Verdict, Instant>> known;
  Instant now{std::chrono::seconds{1000}};
  Operation op{};
  while (take_operation(text, op)) {
    now += std::chrono::microseconds{op.what};
    const unsigned facts = op.who % 64;
    const std::string words(facts, static_cast<char>('a' + facts % 26));
    const Hash128 hash = keyed_hash(key, words);
    require(hash == keyed_hash(key, std::string_view{"x" + words}.substr(1)), "a hash depends on where the text lies");
    if (op.who >= 128) {
      const auto verdict = static_cast<Verdict>(op.what);
      cache.put(hash, verdict, now + op.later);
      known[facts] = {verdict, now + op.later};
    }
    const auto got = cache.find(hash, now);
    const auto at = known.find(facts);
    const bool holds = at != known.end() && at->second.second > now;
    require(got.has_value() == holds && (!holds || *got == at->second.first), "an answer to another question");
  }
}

}  // namespace
}  // namespace penstock::policy

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock::policy;
  if (size == 0 || size > 4'096) return 0;
  const std::string_view text{reinterpret_cast<const char*>(data) + 1, size - 1};
  switch (data[0] % 4) {
    case 0:
      rate_limits(text);
      break;
    case 1:
      answers(text);
      break;
    default:
      authorization(text);
  }
  return 0;
}
