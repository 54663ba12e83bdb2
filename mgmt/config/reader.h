// reader.h - one table of fields per struct: it reads the YAML, and it writes the reference page.
//
// Model     a Field names a key, its kind of value (values.h) and its meaning; Field::read() puts the value into the
//           struct's member, Field::show() tells the default from a default-constructed struct. read_map() walks a
//           map by the table, so an unknown key, a missing one and a double one are found in one place.
// Errors    findings in the Reader, reading goes on. A value with a finding leaves the member at its default, and
//           the node is remembered as bad, so that later checks do not complain about it again.
#pragma once
#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "mgmt/config/document.h"

namespace penstock::config {

class Reader {
 public:
  explicit Reader(Findings& findings) : findings_{findings} {}
  /// A problem of the value itself.
  void bad_value(const YamlNode& node, std::string what, std::string remedy) {
    bad_.insert(&node);
    findings_.push_back({node.place, std::move(what), std::move(remedy)});
  }
  void problem(Place place, std::string what, std::string remedy) {
    findings_.push_back({place, std::move(what), std::move(remedy)});
  }
  /// A value with a finding made elsewhere.
  void remember_bad(const YamlNode& node) { bad_.insert(&node); }
  /// Findings so far.
  [[nodiscard]] std::size_t count() const { return findings_.size(); }
  [[nodiscard]] bool is_bad(const YamlNode& node) const { return bad_.contains(&node); }
  /// The key whose value is being read, for messages.
  [[nodiscard]] std::string_view key() const { return key_; }
  void set_key(std::string_view key) { key_ = key; }

 private:
  Findings& findings_;
  std::unordered_set<const YamlNode*> bad_;
  std::string_view key_;
};

template <typename T>
struct Field {
  std::string_view key;
  bool required;
  std::string_view meaning;
  std::string (*type)();
  std::string (*show)(const T& owner);  ///< the value as one would write it; "" when there is none
  void (*read)(Reader& reader, const YamlNode& node, T& owner);
};

/// What a struct is called in messages ("listener"), and its fields. Specialised in fields.h.
template <typename T>
struct Table;

enum class Presence : bool { optional, required };

template <typename M>
struct OwnerOf;
template <typename T, typename M>
struct OwnerOf<M T::*> {
  using Type = T;
};

/// A field kept in `Member`; `Value` is one of values.h.
template <auto Member, auto Value>
constexpr auto field(std::string_view key, Presence presence, std::string_view meaning) {
  using T = typename OwnerOf<decltype(Member)>::Type;
  return Field<T>{key,
                  presence == Presence::required,
                  meaning,
                  [] { return Value.type(); },
                  [](const T& owner) { return Value.show(owner.*Member); },
                  [](Reader& reader, const YamlNode& node, T& owner) { Value.read(reader, node, owner.*Member); }};
}

/// The candidate within two edits of `text`, or "".
[[nodiscard]] std::string_view near_match(std::string_view text, std::span<const std::string_view> candidates);
/// "did you mean `x`?" or `otherwise`.
[[nodiscard]] std::string hint(std::string_view text, std::span<const std::string_view> candidates,
                               std::string otherwise);
/// "a, b, c"
[[nodiscard]] std::string join(std::span<const std::string_view> words, std::string_view between = ", ");
/// Double keys of a map.
void check_double_keys(Reader& reader, const YamlNode& map);

template <typename T>
void read_map(Reader& reader, const YamlNode& node, T& owner) {
  constexpr std::string_view kind = Table<T>::name;
  const auto& fields = Table<T>::fields;
  if (node.refused) return reader.remember_bad(node);
  if (node.kind == YamlNode::Kind::null) {
    // `node:` with nothing below is a map without keys, unless some key is required.
    if (std::any_of(fields.begin(), fields.end(), [](const auto& field) { return field.required; }))
      reader.bad_value(node, std::string{kind} + " is empty", "give it its keys, or remove it");
    return;
  }
  if (node.kind == YamlNode::Kind::scalar || node.kind == YamlNode::Kind::list) {
    reader.bad_value(node, std::string{kind} + " must be a map of keys and values", "write `key: value` lines");
    return;
  }
  check_double_keys(reader, node);
  std::vector<std::string_view> keys;
  for (const Field<T>& field : fields) keys.push_back(field.key);
  for (const YamlEntry& entry : node.entries) {
    const auto field = std::find_if(fields.begin(), fields.end(), [&](const auto& f) { return f.key == entry.key; });
    if (field == fields.end()) {
      reader.problem(entry.place, "unknown key `" + entry.key + "` in " + std::string{kind},
                     hint(entry.key, keys, "known keys: " + join(keys)));
      continue;
    }
    reader.set_key(field->key);
    field->read(reader, entry.value, owner);
  }
  for (const Field<T>& field : fields)
    if (field.required && node.find(field.key) == nullptr)
      reader.problem(node.place, std::string{kind} + " has no `" + std::string{field.key} + "`",
                     "add `" + std::string{field.key} + ": ...`");
}

}  // namespace penstock::config
