// policy_layout.h - records of a snapshot for what may be done with a request: authorization, rate limits, faults,
// mirrors.
//
// Model     a route, and a listener for all of its requests, may have an HttpPolicyRecord. Its authorization rules are
//           tried in order; the first whose terms hold decides. Terms of one rule: any of its sources, any of its
//           methods, any of its paths, all of its headers; a kind that the rule does not name holds.
// Units     times in milliseconds, tokens in nanoseconds, shares in millionths; limits are of the whole node.
// Shape     fixed sizes, asserted; part of the layout of snapshot_layout.h and its number.
// Errors    none here; policy_check.cpp checks values and relations.
// Limits    limits.h.
// Not here  how they are carried out (l7/policy, l7/proxy/policy.cpp).
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "dataplane/core/addresses.h"

namespace penstock::control {

/// A text in the section `texts`.
struct TextRef {
  std::uint32_t offset{0};
  std::uint32_t octets{0};
};

inline constexpr std::uint32_t kNoPolicy = 0xffffffff;

enum class TermKind : std::uint8_t {
  source,          ///< the client's address lies in a prefix
  method,          ///< is this
  path,            ///< without query, its escapes decoded, is this
  path_prefix,     ///< ... begins with this
  header_present,  ///< some line of this name
  header_exact,    ///< some line of this name has this value
  header_prefix    ///< ... begins with it
};
enum TermFlags : std::uint8_t {
  kTermInvert = 1  ///< of headers: no line does
};

struct PolicyTerm {
  TermKind kind;
  std::uint8_t flags;        ///< TermFlags
  std::uint8_t source_bits;  ///< in the address's own family
  std::uint8_t zero;
  TextRef name;      ///< of a header, in lower case
  TextRef value;     ///< method, path, or value of a header
  IpAddress source;  ///< host bits cleared
};
static_assert(sizeof(PolicyTerm) == 36);

enum class PolicyAction : std::uint8_t {
  allow,
  deny,
  ask,      ///< the daemon decides by rules of its own: HttpPolicyRecord::ask
  external  ///< the daemon asks an authorizer: HttpPolicyRecord::external
};

/// Facts about a request that a question carries; the client's address always.
enum QuestionFacts : std::uint8_t { kFactMethod = 1, kFactHost = 2, kFactPath = 4, kFactQuery = 8 };
inline constexpr std::uint8_t kQuestionFactsAll = 15;

/// Who decides about a request, what it has to know, and what holds when it says nothing in time.
struct QuestionTargetRecord {
  std::uint64_t id;           ///< of what it says: another one when that changes
  std::uint32_t deadline_ms;  ///< above 0
  PolicyAction by_default;    ///< allow or deny
  std::uint8_t facts;         ///< QuestionFacts
  std::uint16_t zero;
  std::uint32_t first_header;  ///< into question_headers: these lines of the request are facts, too
  std::uint32_t header_count;
};
static_assert(sizeof(QuestionTargetRecord) == 24);

struct AuthorizationRule {
  std::uint32_t first_term;
  std::uint32_t term_count;
  PolicyAction action;
  std::array<std::uint8_t, 3> zero;
};
static_assert(sizeof(AuthorizationRule) == 12);

/// A bucket of `burst` tokens, one more every `token_ns`, never more than it holds. A request takes one.
struct RateLimitRecord {
  std::uint64_t id;        ///< stays with what it limits over snapshots
  std::uint64_t token_ns;  ///< above 0
  std::uint32_t burst;     ///< above 0
  std::uint32_t zero;
};
static_assert(sizeof(RateLimitRecord) == 24);

struct HttpPolicyRecord {
  std::uint32_t first_rule{0};
  std::uint32_t rule_count{0};
  PolicyAction otherwise{PolicyAction::allow};  ///< no rule matches; allow or deny
  std::array<std::uint8_t, 3> zero{};
  std::uint32_t ask{kNoPolicy};                ///< into question_targets, for rules that ask
  std::uint32_t external{kNoPolicy};           ///< into question_targets, for rules that ask an authorizer
  std::uint32_t rate_limit{kNoPolicy};         ///< into rate_limits: of all requests
  std::uint32_t client_rate_limit{kNoPolicy};  ///< into rate_limits: of each client's address
  // A fault happens to requests for which all of its terms (headers) hold.
  std::uint32_t first_fault_term{0};
  std::uint32_t fault_term_count{0};
  std::uint32_t delay_millionths{0};        ///< of the requests wait
  std::uint32_t delay_ms{0};                ///< so long; above 0 with a share above 0
  std::uint32_t abort_millionths{0};        ///< of the requests are answered
  std::uint32_t abort_status{0};            ///< with this; 200..599 with a share above 0
  std::uint32_t mirror_cluster{kNoPolicy};  ///< into clusters: gets a copy
  std::uint32_t mirror_millionths{0};       ///< of so many requests
  std::uint32_t max_body_octets{0};         ///< of a request that is forwarded; 0 = the listener's limit holds
};
static_assert(sizeof(HttpPolicyRecord) == 64);

/// The sections above.
struct PolicyTables {
  std::span<const HttpPolicyRecord> policies{};
  std::span<const AuthorizationRule> rules{};
  std::span<const PolicyTerm> terms{};
  std::span<const RateLimitRecord> rate_limits{};
  std::string_view texts{};
  std::span<const QuestionTargetRecord> question_targets{};
  std::span<const TextRef> question_headers{};

  [[nodiscard]] std::string_view text(TextRef ref) const { return texts.substr(ref.offset, ref.octets); }
};

}  // namespace penstock::control
