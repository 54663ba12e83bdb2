// id_registry.h - which id and stat slot belongs to which name.
//
// Model     a key (kind and name) gets an id when first seen and keeps it as long as it is in use; ids are never
//           given twice. All but clusters also get a stat slot; a slot of a key that went out of use stays
//           reserved until release(), because flows of the old key may still count in it. A key that comes back
//           before that gets its old id and slot again. Slots never used are preferred: their counters begin at 0,
//           but for a registry that began anew (begin_anew()) under a running dataplane: it does not know which those
//           are. What stands in a slot is never reset, since flows of before go on counting there.
// Shape     one transaction per compile: begin(), acquire() for every key, then commit() or rollback().
// Errors    acquire() returns nullopt when all kStatSlotMax slots are taken.
// Limits    kStatSlotMax.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/control/limits.h"
#include "dataplane/core/result.h"

namespace penstock::compile {

class IdRegistry {
 public:
  enum class Kind : std::uint8_t { listener, cluster, endpoint, http };
  static constexpr std::uint32_t kNoSlot = 0xffffffff;
  struct Entry {
    Kind kind{};
    std::string key;
    std::uint32_t id{};
    std::uint32_t stat_slot{kNoSlot};  ///< kNoSlot for clusters
    bool in_use{};
    friend bool operator==(const Entry&, const Entry&) = default;
  };
  struct Ids {
    std::uint32_t id;
    std::uint32_t stat_slot;
  };

  explicit IdRegistry(std::uint32_t slot_max = control::kStatSlotMax) : slot_max_{slot_max} {}

  /// Starts a transaction: every key counts as unused until acquired again.
  void begin();
  [[nodiscard]] std::optional<Ids> acquire(Kind kind, std::string_view key);
  /// Keeps what was acquired; keys with a slot that were not acquired are retired, clusters forgotten.
  void commit();
  /// As if begin() had not been called.
  void rollback();

  [[nodiscard]] std::vector<Entry> retired() const;
  /// Forgets the retired key that holds this slot; no effect on slots in use.
  void release(std::uint32_t stat_slot);
  [[nodiscard]] std::size_t slots_taken() const { return state_.next_slot - state_.free_slots.size(); }

  [[nodiscard]] std::string save() const;
  /// Replaces the content; on error nothing changes.
  [[nodiscard]] Status restore(std::string_view saved);
  /// Instead of restore(), when what a predecessor gave out is not known: empty, and ids begin at `first`.
  void begin_anew(std::uint32_t first);

 private:
  using Key = std::pair<Kind, std::string>;
  struct Record {
    std::uint32_t id{};
    std::uint32_t stat_slot{kNoSlot};
    bool in_use{};
  };
  struct State {
    std::uint32_t next_id{1};
    std::uint32_t next_slot{0};
    std::set<std::uint32_t> free_slots;
    std::map<Key, Record> records;
  };
  [[nodiscard]] std::optional<std::uint32_t> take_slot();

  std::uint32_t slot_max_;
  State state_;
  State before_;  ///< of the open transaction
};

}  // namespace penstock::compile
