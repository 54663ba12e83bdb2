#include "mgmt/compile/id_registry.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace penstock::compile {
namespace {

constexpr std::array<std::string_view, 4> kKindNames{"listener", "cluster", "endpoint", "http"};
constexpr std::string_view kSavedTitle = "penstock-ids 1";
constexpr std::string_view kNoSlotText = "-";

/// The text up to the next `end`, which is taken away with it; the whole rest when there is none.
std::string_view cut(std::string_view& rest, char end) {
  const std::size_t at = std::min(rest.find(end), rest.size());
  const std::string_view out = rest.substr(0, at);
  rest.remove_prefix(std::min(at + 1, rest.size()));
  return out;
}

std::optional<std::uint32_t> number(std::string_view text) {
  std::uint32_t value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<std::uint32_t> IdRegistry::take_slot() {
  if (state_.next_slot < slot_max_) return state_.next_slot++;
  if (state_.free_slots.empty()) return std::nullopt;
  return state_.free_slots.extract(state_.free_slots.begin()).value();
}

void IdRegistry::begin() {
  before_ = state_;
  for (auto& [key, record] : state_.records) record.in_use = false;
}

std::optional<IdRegistry::Ids> IdRegistry::acquire(Kind kind, std::string_view key) {
  const auto [at, fresh] = state_.records.try_emplace(Key{kind, std::string{key}});
  Record& record = at->second;
  if (fresh) {
    if (kind != Kind::cluster) {
      const auto slot = take_slot();
      if (!slot) {
        state_.records.erase(at);
        return std::nullopt;
      }
      record.stat_slot = *slot;
    }
    record.id = state_.next_id++;
  }
  record.in_use = true;
  return Ids{record.id, record.stat_slot};
}

void IdRegistry::commit() {
  std::erase_if(state_.records,
                [](const auto& entry) { return !entry.second.in_use && entry.second.stat_slot == kNoSlot; });
  before_ = {};
}

void IdRegistry::rollback() {
  state_ = std::move(before_);
  before_ = {};
}

std::vector<IdRegistry::Entry> IdRegistry::retired() const {
  std::vector<Entry> out;
  for (const auto& [key, record] : state_.records)
    if (!record.in_use) out.push_back({key.first, key.second, record.id, record.stat_slot, false});
  return out;
}

void IdRegistry::release(std::uint32_t stat_slot) {
  const std::size_t gone = std::erase_if(state_.records, [&](const auto& entry) {
    return !entry.second.in_use && entry.second.stat_slot == stat_slot && stat_slot != kNoSlot;
  });
  if (gone != 0) state_.free_slots.insert(stat_slot);
}

// One line per key: kind, id, slot, "used" or "retired", key. Keys have no line ends: the loader refuses them.
std::string IdRegistry::save() const {
  std::string out = std::string{kSavedTitle} + " " + std::to_string(state_.next_id) + "\n";
  for (const auto& [key, record] : state_.records) {
    out += kKindNames[static_cast<std::size_t>(key.first)];
    out += " " + std::to_string(record.id) + " ";
    out += record.stat_slot == kNoSlot ? std::string{kNoSlotText} : std::to_string(record.stat_slot);
    out += record.in_use ? " used " : " retired ";
    out += key.second + "\n";
  }
  return out;
}

void IdRegistry::begin_anew(std::uint32_t first) {
  state_ = {};
  state_.next_id = first;
  before_ = {};
}

Status IdRegistry::restore(std::string_view saved) {
  int line_number = 1;
  const auto bad = [&](std::string what) {
    return Problem{"saved ids, line " + std::to_string(line_number), std::move(what),
                   "remove the file; ids begin anew"};
  };
  std::string_view title = cut(saved, '\n');
  if (!title.starts_with(kSavedTitle)) return bad("title is not `" + std::string{kSavedTitle} + "`");
  title.remove_prefix(std::min(kSavedTitle.size() + 1, title.size()));
  const auto next_id = number(title);
  if (!next_id) return bad("next id is no number");
  State state;
  state.next_id = *next_id;
  std::set<std::uint32_t> ids;
  std::set<std::uint32_t> slots;
  while (!saved.empty()) {
    ++line_number;
    std::string_view line = cut(saved, '\n');
    const auto kind = std::find(kKindNames.begin(), kKindNames.end(), cut(line, ' '));
    const auto id = number(cut(line, ' '));
    const std::string_view slot_text = cut(line, ' ');
    const auto slot = slot_text == kNoSlotText ? std::optional{kNoSlot} : number(slot_text);
    const std::string_view use = cut(line, ' ');
    if (kind == kKindNames.end() || !id || !slot || (use != "used" && use != "retired") || line.empty())
      return bad("is not `kind id slot used|retired key`");
    if (*id == 0 || *id >= *next_id || !ids.insert(*id).second) return bad("id is used twice or not below the next");
    const bool has_slot = *slot != kNoSlot;
    if (has_slot == (*kind == "cluster")) return bad("only listeners and endpoints have a slot");
    if (has_slot && (*slot >= slot_max_ || !slots.insert(*slot).second)) return bad("slot is used twice or too high");
    const Key key{static_cast<Kind>(kind - kKindNames.begin()), std::string{line}};
    if (!state.records.emplace(key, Record{*id, *slot, use == "used"}).second) return bad("key stands here twice");
  }
  // Slots below the highest may have counted for keys that are forgotten: they count as given back.
  state.next_slot = slots.empty() ? 0 : *slots.rbegin() + 1;
  for (std::uint32_t slot = 0; slot < state.next_slot; ++slot)
    if (!slots.contains(slot)) state.free_slots.insert(slot);
  state_ = std::move(state);
  before_ = {};
  return Done{};
}

}  // namespace penstock::compile
