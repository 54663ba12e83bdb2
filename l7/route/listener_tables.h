// listener_tables.h - the route tables of a snapshot, loaded: what a worker routes HTTP by.
//
// Model     one LoadedTable per HttpListenerRecord, made by the control thread before the snapshot is adopted;
//           immutable afterwards. Databases that the table before at the same place had already are shared with
//           it.
// Units     numbers of http_listeners.
// Errors    load(): the listener whose image is not sound, or whose record counts other clusters or routes than the
//           image has: the snapshot is refused.
// Not here  the snapshot's own rules (dataplane/control/http_check.cpp), matching (match.h).
#pragma once
#include <vector>

#include "dataplane/control/snapshot_view.h"
#include "l7/route/loaded_table.h"

namespace penstock::route {

class ListenerTables {
 public:
  /// No listener.
  ListenerTables() = default;
  /// The snapshot's bytes begin at a multiple of 64 and outlive the tables.
  [[nodiscard]] static Result<ListenerTables> load(const control::SnapshotView& snapshot,
                                                   const ListenerTables* previous = nullptr);

  [[nodiscard]] std::size_t size() const { return tables_.size(); }
  /// By ListenerRecord::http.
  [[nodiscard]] const LoadedTable& operator[](std::size_t http) const { return tables_[http]; }
  /// Hosts that try their expressions one by one, all tables.
  [[nodiscard]] std::size_t linear_hosts() const;
  [[nodiscard]] std::size_t deserialised() const;

 private:
  std::vector<LoadedTable> tables_;
};

/// Before adopting `tables`; scratch never shrinks.
[[nodiscard]] Status grow(Scratch& scratch, const ListenerTables& tables);

}  // namespace penstock::route
