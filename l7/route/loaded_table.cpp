#include "l7/route/loaded_table.h"

#include <hs/hs_runtime.h>

#include <algorithm>
#include <unordered_map>

namespace penstock::route {
namespace {

void free_database(const hs_database* database) { hs_free_database(const_cast<hs_database*>(database)); }

}  // namespace

LoadedTable::HostDatabase LoadedTable::load_database(const HostView& host, const LoadedTable* previous) {
  if (host.regexes.size() == host.facts.program_only) return {};
  if (host.database.empty()) return {nullptr, 0, DatabaseState::missing};
  if (previous != nullptr)
    for (const HostDatabase& known : previous->databases_)
      if (known.state == DatabaseState::ready && known.regex_hash == host.facts.regex_hash) return known;
  hs_database_t* database = nullptr;
  // Fails when the database was made for instructions that this processor lacks, or by another version.
  if (hs_deserialize_database(reinterpret_cast<const char*>(host.database.data()), host.database.size(), &database) !=
      HS_SUCCESS)
    return {nullptr, 0, DatabaseState::refused};
  ++deserialised_;
  return {{database, free_database}, host.facts.regex_hash, DatabaseState::ready};
}

Result<LoadedTable> LoadedTable::load(ByteView image, const LoadedTable* previous) {
  auto view = TableView::open(image);
  if (!view) return view.error();
  LoadedTable table{std::move(*view)};
  const bool platform = hs_valid_platform() == HS_SUCCESS;
  for (const HostView& host : table.view_.hosts()) {
    HostDatabase database = platform ? table.load_database(host, previous) : HostDatabase{};
    if (!platform && host.regexes.size() != host.facts.program_only) database.state = DatabaseState::refused;
    table.databases_.push_back(std::move(database));
  }
  return table;
}

std::size_t LoadedTable::linear_hosts() const {
  return static_cast<std::size_t>(std::count_if(databases_.begin(), databases_.end(), [](const HostDatabase& database) {
    return database.state == DatabaseState::missing || database.state == DatabaseState::refused;
  }));
}

void Scratch::FreeScratch::operator()(hs_scratch* scratch) const { hs_free_scratch(scratch); }

Scratch::Scratch() : buffers_{std::make_unique<Buffers>()} {}

Status Scratch::grow(const LoadedTable& table) {
  for (std::size_t i = 0; i < table.view().hosts().size(); ++i) {
    const HostView& host = table.view().hosts()[i];
    programs_.grow(host.facts.insts_max, host.facts.rewrites != 0);
    if (table.database(i) == nullptr) continue;
    hs_scratch_t* scratch = hyperscan_.release();
    // Keeps what is large enough; on failure the old one stays valid.
    const hs_error_t error = hs_alloc_scratch(table.database(i), &scratch);
    hyperscan_.reset(scratch);
    if (error != HS_SUCCESS)
      return Problem{"route table: host " + std::string{host.at(host.facts.name)},
                     "no scratch memory for its expressions (Hyperscan error " + std::to_string(error) + ")",
                     "free memory; the previous table stays in use"};
  }
  return Done{};
}

}  // namespace penstock::route
