#include "l7/route/listener_tables.h"

namespace penstock::route {

Result<ListenerTables> ListenerTables::load(const control::SnapshotView& snapshot, const ListenerTables* previous) {
  ListenerTables out;
  const auto listeners = snapshot.http_listeners();
  out.tables_.reserve(listeners.size());
  for (std::size_t i = 0; i < listeners.size(); ++i) {
    const auto bad = [&](std::string what) {
      return control::snapshot_problem(control::SnapshotSection::http_listeners, i, std::move(what));
    };
    // Listeners keep their order unless some come or go; a wrong guess costs time only.
    const LoadedTable* before = previous != nullptr && i < previous->size() ? &(*previous)[i] : nullptr;
    auto table = LoadedTable::load(snapshot.route_image_of(listeners[i]), before);
    if (!table) return bad(table.error().text());
    if (table->view().cluster_count() != listeners[i].cluster_count)
      return bad("route table names " + std::to_string(table->view().cluster_count()) + " clusters, the record " +
                 std::to_string(listeners[i].cluster_count));
    if (table->view().route_count() != listeners[i].route_count)
      return bad("route table has " + std::to_string(table->view().route_count()) + " routes, the record " +
                 std::to_string(listeners[i].route_count));
    out.tables_.push_back(std::move(*table));
  }
  return out;
}

std::size_t ListenerTables::linear_hosts() const {
  std::size_t sum = 0;
  for (const LoadedTable& table : tables_) sum += table.linear_hosts();
  return sum;
}

std::size_t ListenerTables::deserialised() const {
  std::size_t sum = 0;
  for (const LoadedTable& table : tables_) sum += table.deserialised();
  return sum;
}

Status grow(Scratch& scratch, const ListenerTables& tables) {
  for (std::size_t i = 0; i < tables.size(); ++i)
    if (Status grown = scratch.grow(tables[i]); !grown) return grown;
  return Done{};
}

}  // namespace penstock::route
