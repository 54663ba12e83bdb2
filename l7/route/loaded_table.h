// loaded_table.h - a table ready for lookups: opened, databases deserialised, scratch sized.
//
// Model     made at adoption, outside of the packet path; immutable afterwards, so workers may share one or own one
//           each. Scratch belongs to one worker and is grown before the table is adopted.
// Units     octets.
// Shape     one entry per host beside the image, which must outlive the table.
// Errors    load(): a Problem when the image is not sound. A database that this machine cannot take is no error:
//           that host's expressions are then tried one by one (DatabaseState).
// Trust     a database is machine-specific and opaque: its checksum finds damage, not malice. Images come from the
//           own management daemon only.
// Not here  matching (match.h).
#pragma once
#include <memory>
#include <vector>

#include "l7/route/table_view.h"
#include "l7/route/trie.h"

struct hs_database;
struct hs_scratch;

namespace penstock::route {

enum class DatabaseState : std::uint8_t {
  not_needed,  ///< the host has no expression that needs one
  ready,
  missing,  ///< not compiled yet: linear until the next table brings it
  refused   ///< made for another machine or damaged: linear
};

class LoadedTable {
 public:
  /// Databases that `previous` has already are shared with it instead of deserialised again.
  [[nodiscard]] static Result<LoadedTable> load(ByteView image, const LoadedTable* previous = nullptr);

  [[nodiscard]] const TableView& view() const { return view_; }
  /// nullptr: linear.
  [[nodiscard]] const hs_database* database(std::size_t host) const { return databases_[host].database.get(); }
  [[nodiscard]] DatabaseState database_state(std::size_t host) const { return databases_[host].state; }
  [[nodiscard]] std::size_t linear_hosts() const;
  [[nodiscard]] std::size_t deserialised() const { return deserialised_; }

 private:
  struct HostDatabase {
    std::shared_ptr<const hs_database> database;
    std::uint64_t regex_hash{0};
    DatabaseState state{DatabaseState::not_needed};
  };
  explicit LoadedTable(TableView view) : view_{std::move(view)} {}
  [[nodiscard]] HostDatabase load_database(const HostView& host, const LoadedTable* previous);
  TableView view_;
  std::vector<HostDatabase> databases_;
  std::size_t deserialised_{0};
};

/// Of one worker; read by whoever publishes its counters.
struct LookupCounters {
  std::uint64_t decided{0};        ///< lookups in which the automaton found expressions that match
  std::uint64_t scans{0};          ///< lookups that asked Hyperscan
  std::uint64_t linear{0};         ///< lookups that tried expressions one by one: the host has no database
  std::uint64_t scan_failures{0};  ///< lookups that did so because a scan failed; never expected
};

/// What one worker needs for lookups, for any table it was grown for.
class Scratch {
 public:
  Scratch();
  /// Before adopting `table`; never shrinks. A Problem when memory is short.
  [[nodiscard]] Status grow(const LoadedTable& table);

  // For match.cpp and rewrite.cpp.
  struct Buffers {
    std::array<char, kPathOctetsMax + kTextPad> path;
    std::array<char, kPathOctetsMax + kTextPad> folded_path;
    std::array<char, kPathOctetsMax + kTextPad> rewritten;
    std::array<char, kDomainOctetsMax + 1 + kTextPad> host;
    std::array<char, kDomainOctetsMax + 1 + kTextPad> reversed_host;
  };
  [[nodiscard]] Buffers& buffers() { return *buffers_; }
  [[nodiscard]] ProgramScratch& programs() { return programs_; }
  [[nodiscard]] hs_scratch* hyperscan() { return hyperscan_.get(); }
  [[nodiscard]] LookupCounters& counters() { return counters_; }

 private:
  struct FreeScratch {
    void operator()(hs_scratch* scratch) const;
  };
  std::unique_ptr<Buffers> buffers_;
  ProgramScratch programs_;
  std::unique_ptr<hs_scratch, FreeScratch> hyperscan_;
  LookupCounters counters_;
};

}  // namespace penstock::route
