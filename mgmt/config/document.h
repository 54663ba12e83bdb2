// document.h - YAML text as a tree in which every node knows its place.
//
// Model     one document of scalars, lists and maps. Duplicate keys are kept, so that the reader can report them.
// Errors    findings with their place; syntax errors end the parse, refused constructs (anchors, aliases, tags,
//           complex keys) do not.
// Limits    octets, nodes and depth: loader.h.
// Not here  meaning of keys and values (reader.h).
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::config {

/// Line and column, counted from 1. Columns count characters.
struct Place {
  int line{1};
  int column{1};
  friend auto operator<=>(const Place&, const Place&) = default;
};

/// A problem before its file has a name.
struct Finding {
  Place place;
  std::string what;
  std::string remedy;
};
using Findings = std::vector<Finding>;

struct YamlEntry;
struct YamlNode {
  enum class Kind { null, scalar, list, map };
  Kind kind{Kind::null};
  Place place;
  std::string text;                ///< of a scalar
  bool quoted{};                   ///< the scalar stood in quotes: it is text, whatever it looks like
  bool refused{};                  ///< a finding already says why this value cannot be used
  std::vector<YamlNode> items;     ///< of a list
  std::vector<YamlEntry> entries;  ///< of a map, in order

  /// The value of the first entry with this key, or nullptr.
  [[nodiscard]] const YamlNode* find(std::string_view key) const;
};
struct YamlEntry {
  std::string key;
  Place place;  ///< of the key
  YamlNode value;
};

/// The document's root, or nullopt after a syntax error or a broken limit. Appends to `findings`.
[[nodiscard]] std::optional<YamlNode> parse_document(std::string_view text, Findings& findings);

}  // namespace penstock::config
