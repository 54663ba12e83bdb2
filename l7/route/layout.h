// layout.h - the flat form of a compiled route table.
//
// Model     a table image holds the domains and one host image per virtual host; a host image holds everything of one
//           virtual host, its Hyperscan database included. An image is a header, then sections of fixed-size records;
//           offsets and indices, no pointers: it may live anywhere, such as in a snapshot shared between processes.
// Units     octets; times in milliseconds; host byte order.
// Shape     sections begin at multiples of 64; sizes asserted below. docs/architecture/routing.md.
// Errors    none here; open() in table_view.h checks every index and offset once, so that lookups need not.
// Rule      a change of any record raises kLayout.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "dataplane/core/be.h"
#include "l7/route/limits.h"

namespace penstock::route {

inline constexpr std::uint64_t kTableMagic = 0x31656c62'61747072;  // "rptable1", little-endian
inline constexpr std::uint64_t kHostMagic = 0x31747368'6f687072;   // "rphosht1"
inline constexpr std::uint32_t kLayout = 1;
inline constexpr std::size_t kImageAlign = 64;

struct SectionRef {
  std::uint64_t offset;  ///< from the start of the image
  std::uint32_t count;
  std::uint32_t entry_octets;
};
template <std::size_t kSections>
struct ImageHeader {
  std::uint64_t magic;
  std::uint32_t layout;
  std::uint32_t sections_count;
  std::uint64_t octets;        ///< the whole image
  std::uint64_t content_hash;  ///< hash64() over everything behind the header
  std::array<SectionRef, kSections> sections;
};

/// A text in the section `text` of the same image.
struct Text {
  std::uint32_t offset{0};
  std::uint32_t octets{0};
};
struct Range {
  std::uint32_t begin{0};
  std::uint32_t count{0};
};

// ---- A trie over octets, path-compressed; one cache line per node.

inline constexpr std::uint32_t kNoRoute = 0xffffffff;
/// Where routes end in a trie or a regular expression: kDirect with the number of the one route that needs no further
/// conditions; else the beginning of a list. Routes behind an unconditional one can never win and are left out.
inline constexpr std::uint32_t kDirect = 0x80000000;
inline constexpr std::uint32_t kNoList = 0x7fffffff;
// Bits of one list entry; the rest is the route. A list ends with the entry that has kLast.
inline constexpr std::uint32_t kUnconditional = 0x80000000;
inline constexpr std::uint32_t kLast = 0x40000000;
inline constexpr std::uint32_t kListRoute = 0x3fffffff;

inline constexpr std::size_t kNodeKeys = 8;
inline constexpr std::size_t kNodeLabel = 24;
inline constexpr std::uint8_t kNoKey = 0xff;  ///< never in an ASCII text
struct alignas(64) TrieNode {
  std::uint32_t children;  ///< index of the first child; children stand side by side, behind their parent
  std::uint16_t child_count;
  std::uint8_t label_octets;  ///< that follow the key octet by which the parent chose this node
  std::uint8_t zero;
  std::uint32_t subtree_min;  ///< lowest route of any kind at or below this node; kNoRoute
  std::uint32_t regex_min;    ///< lowest route of the expressions whose fixed beginning ends here; kNoRoute
  std::uint32_t prefix;       ///< routes that match whatever follows (kDirect or list, kNoList)
  std::uint32_t exact;        ///< routes that match if nothing follows
  std::uint32_t segment;      ///< routes that match if nothing or '/' follows
  std::uint32_t fanout;       ///< index of a Fanout if child_count > kNodeKeys
  std::array<std::uint8_t, kNodeKeys> keys;    ///< first octets of the children in order, then kNoKey
  std::array<std::uint8_t, kNodeLabel> label;  ///< then zeros
};
static_assert(sizeof(TrieNode) == 64);
/// Child by octet: its position plus one, 0 = none. Texts are ASCII.
struct Fanout {
  std::array<std::uint8_t, 128> child;
};

// ---- Records of a host image.

enum class ConditionSource : std::uint8_t { header, query };
enum ConditionFlags : std::uint8_t { kInvert = 1, kMissingAsEmpty = 2, kIgnoreCase = 4 };
inline constexpr std::uint8_t kConditionFlagsAll = 7;

struct ProgramRef {
  Range insts;
  Range sets;
  std::uint32_t entry{0};
};
struct Condition {
  std::uint8_t source;  ///< ConditionSource
  std::uint8_t kind;    ///< ValueKind
  std::uint8_t flags;
  std::uint8_t zero;
  std::uint32_t name_hash;  ///< header_name_hash() of a header's name
  Text name;                ///< a header's in lower case
  Text value;
  std::int64_t low;
  std::int64_t high;
  ProgramRef program;
  std::uint32_t zero_2;
};
static_assert(sizeof(Condition) == 64);

/// What deciding about a route needs beside its path; apart from the rest, which only the winner needs.
struct RouteGate {
  Range conditions;
  std::uint16_t methods;       ///< bit of Method; 0 = every method
  std::uint16_t method_count;  ///< methods by name, for those without a bit
  std::uint32_t method_names;  ///< index into `names`
};
static_assert(sizeof(RouteGate) == 16);

struct RegexRecord {
  std::uint32_t routes;       ///< kDirect or list
  std::uint32_t min_route;    ///< ascending over the records; number of the record = id in the database
  std::uint32_t in_database;  ///< 0: Hyperscan cannot take it, its program decides
  ProgramRef program;
  Text prefix;  ///< fixed beginning
};
static_assert(sizeof(RegexRecord) == 40);

/// Which expressions of the host match a path (compile/automaton_builder.h): an automaton over classes of octets, cut
/// off at a number of states. Its first states have fixed meanings.
inline constexpr std::uint16_t kAutomatonDead = 0;  ///< none can match any more
inline constexpr std::uint16_t kAutomatonAsk = 1;   ///< unknown
inline constexpr std::uint16_t kAutomatonStart = 2;
/// A state is kAutomatonRow with the number of its row of successors, or, if only one class leads on, class << 16 |
/// next: chains of fixed text lie in few cache lines.
inline constexpr std::uint32_t kAutomatonRow = 0x80000000;
/// In automaton_accept: some expression may match, which one is for Hyperscan to say.
inline constexpr std::uint32_t kAutomatonUnknown = 0xfffffffe;
struct AutomatonFacts {
  std::uint32_t row_count;
  std::uint32_t class_count;
  std::array<std::uint8_t, 128> classes;  ///< of an ASCII octet
};
static_assert(sizeof(AutomatonFacts) == 136);

enum class ActionKind : std::uint8_t { forward, redirect, direct_response };
enum RouteFlags : std::uint8_t { kPrefixRewrite = 1, kRegexRewrite = 2, kPathRedirect = 4, kStripQuery = 8 };
inline constexpr std::uint8_t kRouteFlagsAll = 15;

struct EditRanges {
  Range remove;  ///< in `names`
  Range edits;   ///< in `edits`
};
struct RouteRecord {
  std::uint8_t action;     ///< ActionKind
  std::uint8_t path_kind;  ///< PathKind
  std::uint8_t flags;
  std::uint8_t retries;
  std::uint16_t status;
  std::uint16_t port;
  Text name;
  std::uint32_t path_octets;  ///< of the literal in the match
  std::uint32_t weight_sum;   ///< of the clusters; > 0 for forward
  Range clusters;
  Text rewrite;  ///< new prefix, substitution, or whole path of a redirect
  ProgramRef rewrite_program;
  Text host;  ///< of a rewrite or redirect
  Text scheme;
  Text body;
  EditRanges request;
  EditRanges response;
  std::uint32_t timeout_ms;
  std::uint32_t idle_timeout_ms;
  std::uint32_t per_try_timeout_ms;
  std::uint32_t retry_on;
  std::uint32_t retry_status_count;
  std::array<std::uint16_t, kRetryStatusMax> retry_statuses;
};
static_assert(sizeof(RouteRecord) == 152);

struct ClusterRecord {
  std::uint32_t cluster;     ///< index of its name in the table image
  std::uint32_t weight_end;  ///< sum of the weights up to and with this one
};
struct EditRecord {
  Text name;  ///< lower case
  Text value;
  std::uint32_t name_hash;
  std::uint32_t mode;  ///< HeaderEditMode
};

enum class HostSection : std::uint8_t {
  facts,              ///< HostFacts, exactly one
  gates,              ///< RouteGate per route
  routes,             ///< RouteRecord per route
  lists,              ///< std::uint32_t
  nodes,              ///< TrieNode; node 0 and facts.fold_root are roots
  fanouts,            ///< Fanout
  conditions,         ///< Condition
  regexes,            ///< RegexRecord
  insts,              ///< Inst
  sets,               ///< OctetSet
  automaton,          ///< AutomatonFacts, one if there are expressions
  automaton_states,   ///< std::uint32_t
  automaton_rows,     ///< std::uint16_t by row and class: the next state
  automaton_accept,   ///< std::uint32_t by state, if the path ends here: kNoRoute, kAutomatonUnknown, or a list
  automaton_matches,  ///< std::uint32_t: lists of expressions in order, the last of each with kLast
  clusters,           ///< ClusterRecord
  edits,              ///< EditRecord
  names,              ///< Text: methods, headers to remove
  text,               ///< octets
  database,           ///< octets: serialised Hyperscan database; empty = not ready or not needed
  count
};
struct HostFacts {
  Text name;
  std::uint32_t fold_root;     ///< trie of the routes that ignore case; 0 = none
  std::uint32_t program_only;  ///< expressions that are not in the database
  std::uint32_t insts_max;     ///< of any program: what scratch must hold
  std::uint32_t rewrites;      ///< regex rewrites: whether scratch needs captures
  std::uint64_t regex_hash;    ///< hash of the expressions of the database
};
static_assert(sizeof(HostFacts) == 32);
using HostHeader = ImageHeader<static_cast<std::size_t>(HostSection::count)>;

// ---- Records of a table image.

enum class TableSection : std::uint8_t {
  facts,     ///< TableFacts, exactly one
  hosts,     ///< HostRecord
  domains,   ///< DomainRecord: exact domains
  slots,     ///< std::uint32_t: open addressing over domain_hash(), a power of two; kEmptySlot or domain
  nodes,     ///< TrieNode: node 0 is the root of "prefix*", facts.suffix_root of "*suffix", reversed; `prefix` = host
  fanouts,   ///< Fanout
  clusters,  ///< Text: cluster names
  text,      ///< octets
  images,    ///< octets: host images, each at a multiple of 64
  count
};
inline constexpr std::uint32_t kEmptySlot = 0xffffffff;
inline constexpr std::uint32_t kNoHost = 0xffffffff;
struct TableFacts {
  std::uint32_t suffix_root;
  std::uint32_t any_host;  ///< of domain "*"; kNoHost
};
struct HostRecord {
  std::uint64_t image;  ///< offset in `images`
  std::uint64_t octets;
  std::uint32_t first_route;  ///< number of its route 0 in the whole table
  std::uint32_t route_count;
};
struct DomainRecord {
  Text name;  ///< lower case
  std::uint32_t hash;
  std::uint32_t host;
};
using TableHeader = ImageHeader<static_cast<std::size_t>(TableSection::count)>;

/// Methods with a bit of their own in RouteGate::methods.
enum class Method : std::uint8_t { get, head, post, put, delete_, connect, options, trace, patch, other };
inline constexpr std::size_t kMethodBits = 9;

}  // namespace penstock::route
