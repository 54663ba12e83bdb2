// table_view.h - a compiled route table, read in place.
//
// Model     open() checks all of an image once; afterwards every accessor and every lookup is in bounds by
//           construction. Views refer to the image, which must outlive them.
// Units     routes are numbered within their host; HostRecord::first_route leads to numbers of the table.
// Shape     spans into the image; opening allocates (one entry per host), lookups do not.
// Errors    open(): a Problem; total, any octets may come.
// Limits    limits.h.
// Not here  whether the table is right: tries with wrong minima are memory-safe but route wrongly
//           (compile/verify.h compares with the reference).
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "dataplane/core/result.h"
#include "l7/route/flat_image.h"
#include "l7/route/layout.h"
#include "l7/route/regex_program.h"

namespace penstock::route {

struct HostView {
  std::span<const RouteGate> gates;
  std::span<const std::uint32_t> lists;
  std::span<const TrieNode> nodes;
  std::span<const Fanout> fanouts;
  std::span<const Condition> conditions;
  std::span<const RegexRecord> regexes;
  std::span<const Inst> insts;
  std::span<const OctetSet> sets;
  std::span<const AutomatonFacts> automaton;
  std::span<const std::uint32_t> automaton_states;
  std::span<const std::uint16_t> automaton_rows;
  std::span<const std::uint32_t> automaton_accept;
  std::span<const std::uint32_t> automaton_matches;
  std::string_view text;
  std::span<const RouteRecord> routes;
  std::span<const ClusterRecord> clusters;
  std::span<const EditRecord> edits;
  std::span<const Text> names;
  ByteView database;
  HostFacts facts{};
  HostRecord record{};
  std::uint64_t content_hash{0};

  [[nodiscard]] std::string_view at(Text ref) const { return text.substr(ref.offset, ref.octets); }
  template <typename Record>
  [[nodiscard]] static std::span<const Record> part(std::span<const Record> all, Range range) {
    return all.subspan(range.begin, range.count);
  }
  [[nodiscard]] Program program(const ProgramRef& ref) const {
    return {part(insts, ref.insts), part(sets, ref.sets), static_cast<std::uint16_t>(ref.entry)};
  }
};

class TableView {
 public:
  [[nodiscard]] static Result<TableView> open(ByteView image);

  [[nodiscard]] std::span<const HostView> hosts() const { return hosts_; }
  [[nodiscard]] std::span<const DomainRecord> domains() const { return domains_; }
  [[nodiscard]] std::span<const std::uint32_t> slots() const { return slots_; }
  [[nodiscard]] std::span<const TrieNode> nodes() const { return nodes_; }
  [[nodiscard]] std::span<const Fanout> fanouts() const { return fanouts_; }
  [[nodiscard]] const TableFacts& facts() const { return facts_; }
  [[nodiscard]] std::string_view at(Text ref) const { return text_.substr(ref.offset, ref.octets); }
  [[nodiscard]] std::size_t cluster_count() const { return clusters_.size(); }
  [[nodiscard]] std::string_view cluster_name(std::size_t index) const { return at(clusters_[index]); }
  [[nodiscard]] std::size_t route_count() const {
    return hosts_.empty() ? 0 : hosts_.back().record.first_route + hosts_.back().record.route_count;
  }

 private:
  TableView() = default;
  std::vector<HostView> hosts_;
  std::span<const DomainRecord> domains_;
  std::span<const std::uint32_t> slots_;
  std::span<const TrieNode> nodes_;
  std::span<const Fanout> fanouts_;
  std::span<const Text> clusters_;
  std::string_view text_;
  TableFacts facts_{};
};

/// One host image alone, as it stands in a table's section `images`.
[[nodiscard]] Result<HostView> open_host(ByteView image, bool check_hash);

}  // namespace penstock::route
