#include "l7/route/header_edit.h"

#include <algorithm>

#include "l7/route/route_config.h"

namespace penstock::route {
namespace {

bool is(const HeaderField& field, std::string_view lower_name, std::uint32_t hash) {
  return field.name_hash == hash && equals_folded(field.name, lower_name);
}

}  // namespace

std::optional<std::size_t> edit_headers(const HostView& host, const EditRanges& edits, std::span<const HeaderField> in,
                                        std::span<HeaderField> out) {
  std::size_t count = 0;
  const auto removed = HostView::part(host.names, edits.remove);
  for (const HeaderField& field : in) {
    const bool drop = std::any_of(removed.begin(), removed.end(),
                                  [&](Text name) { return equals_folded(field.name, host.at(name)); });
    if (drop) continue;
    if (count == out.size()) return std::nullopt;
    out[count++] = field;
  }
  for (const EditRecord& edit : HostView::part(host.edits, edits.edits)) {
    const std::string_view name = host.at(edit.name);
    const auto same = [&](const HeaderField& field) { return is(field, name, edit.name_hash); };
    const auto lines = out.first(count);
    const bool present = std::any_of(lines.begin(), lines.end(), same);
    const HeaderEditMode mode{static_cast<std::uint8_t>(edit.mode)};
    if ((mode == HeaderEditMode::add_if_absent && present) || (mode == HeaderEditMode::set_if_present && !present))
      continue;
    if (mode == HeaderEditMode::set || mode == HeaderEditMode::set_if_present)
      count = static_cast<std::size_t>(std::remove_if(lines.begin(), lines.end(), same) - lines.begin());
    if (count == out.size()) return std::nullopt;
    out[count++] = {name, host.at(edit.value), edit.name_hash};
  }
  return count;
}

}  // namespace penstock::route
