// values.h - the kinds of value that a configuration field can have.
//
// Model     each kind is a constant object with three functions: type() for the reference page, show() writes a
//           value as in YAML, read() parses one or leaves a finding. Bounds are data members, so the page and the
//           check cannot differ.
// Units     durations are written with a unit (ms, s, m, h) and kept in milliseconds; amounts of memory with KiB or
// MiB. Shape     usable as template arguments (make_field).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "mgmt/config/config.h"
#include "mgmt/config/reader.h"

namespace penstock::config {

/// The text of a scalar, or nullptr with a finding. `expected` completes "must be ...".
[[nodiscard]] const std::string* scalar(Reader& reader, const YamlNode& node, std::string_view expected);
[[nodiscard]] std::string duration_text(milliseconds value);

struct ApiVersion {
  [[nodiscard]] std::string type() const { return std::string{kApiVersion}; }
  [[nodiscard]] std::string show(const std::string&) const { return ""; }
  void read(Reader& reader, const YamlNode& node, std::string& out) const;
};

struct Integer {
  std::int64_t low;
  std::int64_t high;
  [[nodiscard]] std::string type() const;
  [[nodiscard]] std::string show(std::int64_t value) const { return std::to_string(value); }
  template <typename V>
  void read(Reader& reader, const YamlNode& node, V& out) const {
    if (const auto value = parse(reader, node)) out = static_cast<V>(*value);
  }
  [[nodiscard]] std::optional<std::int64_t> parse(Reader& reader, const YamlNode& node) const;
};
inline constexpr Integer kPortNumber{1, 65535};

/// A number with up to two digits behind the point, kept in hundredths.
struct Hundredths {
  std::int64_t low;
  std::int64_t high;
  [[nodiscard]] std::string type() const { return "number " + show(low) + ".." + show(high); }
  [[nodiscard]] std::string show(std::int64_t value) const;
  void read(Reader& reader, const YamlNode& node, std::uint32_t& out) const;
};

struct Span {
  std::int64_t low_ms;
  std::int64_t high_ms;
  [[nodiscard]] std::string type() const;
  [[nodiscard]] std::string show(milliseconds value) const { return duration_text(value); }
  void read(Reader& reader, const YamlNode& node, milliseconds& out) const;
};

/// An amount of memory, written with a unit (KiB, MiB) and kept in octets.
struct Octets {
  std::int64_t low;
  std::int64_t high;
  [[nodiscard]] std::string type() const;
  [[nodiscard]] std::string show(std::uint32_t value) const;
  void read(Reader& reader, const YamlNode& node, std::uint32_t& out) const;
};

struct Flag {
  [[nodiscard]] std::string type() const { return "true or false"; }
  [[nodiscard]] std::string show(bool value) const { return value ? "true" : "false"; }
  void read(Reader& reader, const YamlNode& node, bool& out) const;
};

/// Letters, digits, '.', '_' and '-'.
struct Name {
  std::size_t octets_max;
  [[nodiscard]] std::string type() const;
  [[nodiscard]] std::string show(const std::string& value) const { return value; }
  void read(Reader& reader, const YamlNode& node, std::string& out) const;
};

/// Any printable text; may be empty.
struct Text {
  std::size_t octets_max;
  [[nodiscard]] std::string type() const { return "text, at most " + std::to_string(octets_max) + " octets"; }
  [[nodiscard]] std::string show(const std::string& value) const { return value; }
  void read(Reader& reader, const YamlNode& node, std::string& out) const;
};

/// A map of header names and values.
struct Headers {
  route::HeaderEditMode mode;
  [[nodiscard]] std::string type() const { return "map of names and values"; }
  [[nodiscard]] std::string show(const std::vector<route::HeaderEdit>&) const { return ""; }
  void read(Reader& reader, const YamlNode& node, std::vector<route::HeaderEdit>& out) const;
};

/// One status, or two with '-' between them.
struct Statuses {
  [[nodiscard]] std::string type() const { return "status or range of statuses"; }
  [[nodiscard]] std::string show(StatusRange value) const {
    return std::to_string(value.low) + (value.low == value.high ? "" : "-" + std::to_string(value.high));
  }
  void read(Reader& reader, const YamlNode& node, StatusRange& out) const;
};

/// Name of a network interface, as the kernel allows it.
struct InterfaceName {
  [[nodiscard]] std::string type() const { return "interface name"; }
  [[nodiscard]] std::string show(const std::string& value) const { return value; }
  void read(Reader& reader, const YamlNode& node, std::string& out) const;
};

struct Path {
  std::size_t octets_max;
  bool or_name;  ///< a name without '/' is fine too
  [[nodiscard]] std::string type() const { return or_name ? "name or absolute path" : "absolute path"; }
  [[nodiscard]] std::string show(const std::string& value) const { return value; }
  void read(Reader& reader, const YamlNode& node, std::string& out) const;
};

/// `any`: also unspecified, loopback and link-local addresses.
struct Address {
  bool any;
  [[nodiscard]] std::string type() const { return "IPv4 or IPv6 address"; }
  [[nodiscard]] std::string show(const IpAddress& value) const { return value == IpAddress{} ? "" : value.text(); }
  void read(Reader& reader, const YamlNode& node, IpAddress& out) const;
};

struct Prefix {
  [[nodiscard]] std::string type() const { return "IPv4 or IPv6 prefix"; }
  [[nodiscard]] std::string show(const IpPrefix& value) const { return value == IpPrefix{} ? "" : value.text(); }
  void read(Reader& reader, const YamlNode& node, IpPrefix& out) const;
};

struct Ports {
  std::uint16_t low;
  [[nodiscard]] std::string type() const;
  [[nodiscard]] std::string show(const PortRange& value) const {
    return std::to_string(value.low) + "-" + std::to_string(value.high);
  }
  void read(Reader& reader, const YamlNode& node, PortRange& out) const;
};

/// One word of a few. `Names` is a pointer to a constant array of ChoiceName<V>.
template <typename V>
struct ChoiceName {
  V value;
  std::string_view name;
};
/// Index of the word in `names`, or nullopt with a finding.
[[nodiscard]] std::optional<std::size_t> read_choice(Reader& reader, const YamlNode& node,
                                                     std::span<const std::string_view> names);
template <auto Names>
struct Choice {
  using V = decltype((*Names)[0].value);
  [[nodiscard]] static std::vector<std::string_view> names() {
    std::vector<std::string_view> out;
    for (const auto& row : *Names) out.push_back(row.name);
    return out;
  }
  [[nodiscard]] std::string type() const { return join(names(), ", "); }
  [[nodiscard]] std::string show(std::remove_const_t<V> value) const {
    for (const auto& row : *Names)
      if (row.value == value) return std::string{row.name};
    return "";
  }
  void read(Reader& reader, const YamlNode& node, std::remove_const_t<V>& out) const {
    if (const auto index = read_choice(reader, node, names())) out = (*Names)[*index].value;
  }
};

/// The word that stands for "let the program choose", or a value.
template <auto Value>
struct AutoOr {
  [[nodiscard]] std::string type() const { return "auto or " + Value.type(); }
  template <typename V>
  [[nodiscard]] std::string show(const std::optional<V>& value) const {
    return value ? Value.show(*value) : "auto";
  }
  template <typename V>
  void read(Reader& reader, const YamlNode& node, std::optional<V>& out) const {
    if (node.kind == YamlNode::Kind::scalar && node.text == "auto") return out.reset();
    V value{};
    Value.read(reader, node, value);
    if (!reader.is_bad(node)) out = value;
  }
};

/// A value that may be left out, without a word for it.
template <auto Value>
struct Maybe {
  [[nodiscard]] std::string type() const { return Value.type(); }
  template <typename V>
  [[nodiscard]] std::string show(const std::optional<V>& value) const {
    return value ? Value.show(*value) : "";
  }
  template <typename V>
  void read(Reader& reader, const YamlNode& node, std::optional<V>& out) const {
    V value{};
    Value.read(reader, node, value);
    if (!reader.is_bad(node)) out = value;
  }
};

template <typename T>
struct Map {
  [[nodiscard]] std::string type() const { return std::string{Table<T>::name}; }
  [[nodiscard]] std::string show(const T&) const { return ""; }
  void read(Reader& reader, const YamlNode& node, T& out) const { read_map(reader, node, out); }
};

/// Element i of the list in the text is element i of the vector, bad or not: places are found by index.
template <auto Value>
struct List {
  std::size_t max;
  [[nodiscard]] std::string type() const { return "list of " + Value.type() + ", at most " + std::to_string(max); }
  template <typename V>
  [[nodiscard]] std::string show(const std::vector<V>&) const {
    return "";
  }
  template <typename V>
  void read(Reader& reader, const YamlNode& node, std::vector<V>& out) const {
    if (node.refused) return reader.remember_bad(node);
    if (node.kind == YamlNode::Kind::scalar || node.kind == YamlNode::Kind::map)
      return reader.bad_value(node, "`" + std::string{reader.key()} + "` must be a list",
                              "write [a, b] or one `- item` per line");
    if (node.items.size() > max)
      return reader.bad_value(node,
                              "`" + std::string{reader.key()} + "` has " + std::to_string(node.items.size()) +
                                  " items, at most " + std::to_string(max) + " are possible",
                              "see docs/guide/limits.md");
    out.clear();
    out.resize(node.items.size());
    const std::string_view key = reader.key();
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      reader.set_key(key);
      Value.read(reader, node.items[i], out[i]);
    }
  }
};

}  // namespace penstock::config
