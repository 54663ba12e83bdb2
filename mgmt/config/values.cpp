#include "mgmt/config/values.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "dataplane/control/snapshot_check.h"
#include "l7/route/limits.h"

namespace penstock::config {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t size;  ///< milliseconds or octets
};
// Longest first for showing.
constexpr std::array kUnits{Unit{"h", 3600 * 1000}, Unit{"m", 60 * 1000}, Unit{"s", 1000}, Unit{"ms", 1}};

constexpr std::array kOctetUnits{Unit{"MiB", 1 << 20}, Unit{"KiB", 1 << 10}};

/// The whole of `text` as a decimal number.
std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

/// Text of a peer or file fit for a message: no control characters, not endless.
std::string quoted(std::string_view text) {
  std::string out{"`"};
  for (const char c : text.substr(0, 80)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return out + (text.size() > 80 ? "...`" : "`");
}

bool is_link_local(const IpAddress& a) { return !a.is_v4() && a.octets[0] == 0xfe && (a.octets[1] & 0xc0) == 0x80; }
bool is_loopback(const IpAddress& a) {
  return a.is_v4() ? a.octets[12] == 127 : a == IpAddress{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
}

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

std::string text_of(std::int64_t value) { return std::to_string(value); }

}  // namespace

const std::string* scalar(Reader& reader, const YamlNode& node, std::string_view expected) {
  const std::string key = "`" + std::string{reader.key()} + "`";
  if (node.kind == YamlNode::Kind::scalar) return &node.text;
  if (node.refused)
    reader.remember_bad(node);
  else if (node.kind == YamlNode::Kind::null)
    reader.bad_value(node, key + " has no value", "write " + std::string{expected} + ", or remove the key");
  else
    reader.bad_value(node, key + " must be one value, not a " + (node.kind == YamlNode::Kind::list ? "list" : "map"),
                     "write " + std::string{expected});
  return nullptr;
}

std::string duration_text(milliseconds value) {
  for (const Unit& unit : kUnits)
    if (value.count() % unit.size == 0 && (value.count() != 0 || unit.name == "s"))
      return text_of(value.count() / unit.size) + std::string{unit.name};
  return text_of(value.count()) + "ms";
}

void ApiVersion::read(Reader& reader, const YamlNode& node, std::string& out) const {
  const std::string* text = scalar(reader, node, kApiVersion);
  if (text == nullptr) return;
  if (*text != kApiVersion)
    return reader.bad_value(node, "apiVersion " + quoted(*text) + " is not known to this version",
                            "write `apiVersion: " + std::string{kApiVersion} + "`");
  out = *text;
}

std::string Integer::type() const { return "integer " + text_of(low) + ".." + text_of(high); }

std::optional<std::int64_t> Integer::parse(Reader& reader, const YamlNode& node) const {
  const std::string key = "`" + std::string{reader.key()} + "`";
  const std::string range = text_of(low) + ".." + text_of(high);
  const std::string* text = scalar(reader, node, "an integer " + range);
  if (text == nullptr) return std::nullopt;
  if (node.quoted) {
    reader.bad_value(node, key + " must be an integer, not text in quotes", "remove the quotes");
    return std::nullopt;
  }
  const auto value = whole_number(*text);
  if (!value) {
    reader.bad_value(node, key + " must be an integer, not " + quoted(*text), "write a decimal number " + range);
    return std::nullopt;
  }
  if (*value < low || *value > high) {
    reader.bad_value(node, key + " is " + text_of(*value) + ", out of range", "use " + range);
    return std::nullopt;
  }
  return value;
}

std::string Hundredths::show(std::int64_t value) const {
  std::string out = text_of(value / 100);
  if (value % 100 == 0) return out;
  out += "." + text_of(value % 100 / 10);
  return value % 10 == 0 ? out : out + text_of(value % 10);
}

void Hundredths::read(Reader& reader, const YamlNode& node, std::uint32_t& out) const {
  const std::string key = "`" + std::string{reader.key()} + "`", range = show(low) + ".." + show(high);
  const std::string* text = scalar(reader, node, "a number " + range);
  if (text == nullptr) return;
  const std::size_t point = std::min(text->find('.'), text->size());
  std::string digits = point == text->size() ? "" : text->substr(point + 1);
  const bool form = point != 0 && digits.size() <= 2 && (point == text->size() || !digits.empty());
  digits.resize(2, '0');
  const auto value = form ? whole_number(text->substr(0, point) + digits) : std::nullopt;
  if (!value)
    return reader.bad_value(node, key + " must be a number, not " + quoted(*text),
                            "write at most two digits behind the point, within " + range);
  if (*value < low || *value > high)
    return reader.bad_value(node, key + " is " + *text + ", out of range", "use " + range);
  out = static_cast<std::uint32_t>(*value);
}

std::string Span::type() const {
  return "duration " + duration_text(milliseconds{low_ms}) + ".." + duration_text(milliseconds{high_ms});
}

void Span::read(Reader& reader, const YamlNode& node, milliseconds& out) const {
  const std::string key = "`" + std::string{reader.key()} + "`";
  const std::string* text = scalar(reader, node, "a duration as 10s");
  if (text == nullptr) return;
  const std::size_t digits = std::min(text->find_first_not_of("0123456789"), text->size());
  const std::string_view unit_text = std::string_view{*text}.substr(digits);
  const auto number = whole_number(std::string_view{*text}.substr(0, digits));
  if (number && unit_text.empty())
    return reader.bad_value(node, key + " has no unit", "write ms, s, m or h behind the number, as " + *text + "s");
  const auto unit = std::find_if(kUnits.begin(), kUnits.end(), [&](const Unit& u) { return u.name == unit_text; });
  if (!number || unit == kUnits.end())
    return reader.bad_value(node, key + " must be a duration, not " + quoted(*text),
                            "write a whole number and ms, s, m or h, as 10s");
  if (*number > high_ms / unit->size || *number * unit->size < low_ms)
    return reader.bad_value(
        node, key + " is " + *text + ", out of range",
        "use " + duration_text(milliseconds{low_ms}) + " to " + duration_text(milliseconds{high_ms}));
  out = milliseconds{*number * unit->size};
}

std::string Octets::show(std::uint32_t value) const {
  for (const Unit& unit : kOctetUnits)
    if (value % unit.size == 0) return text_of(value / unit.size) + std::string{unit.name};
  return text_of(value);
}

std::string Octets::type() const {
  return "memory " + show(static_cast<std::uint32_t>(low)) + ".." + show(static_cast<std::uint32_t>(high));
}

void Octets::read(Reader& reader, const YamlNode& node, std::uint32_t& out) const {
  const std::string key = "`" + std::string{reader.key()} + "`";
  const std::string* text = scalar(reader, node, "an amount of memory as 256KiB");
  if (text == nullptr) return;
  const std::size_t digits = std::min(text->find_first_not_of("0123456789"), text->size());
  const std::string_view unit_text = std::string_view{*text}.substr(digits);
  const auto number = whole_number(std::string_view{*text}.substr(0, digits));
  if (number && unit_text.empty())
    return reader.bad_value(node, key + " has no unit", "write KiB or MiB behind the number, as " + *text + "KiB");
  const auto unit =
      std::find_if(kOctetUnits.begin(), kOctetUnits.end(), [&](const Unit& u) { return u.name == unit_text; });
  if (!number || unit == kOctetUnits.end())
    return reader.bad_value(node, key + " must be an amount of memory, not " + quoted(*text),
                            "write a whole number and KiB or MiB, as 256KiB");
  if (*number > high / unit->size || *number * unit->size < low)
    return reader.bad_value(
        node, key + " is " + *text + ", out of range",
        "use " + show(static_cast<std::uint32_t>(low)) + " to " + show(static_cast<std::uint32_t>(high)));
  out = static_cast<std::uint32_t>(*number * unit->size);
}

void Flag::read(Reader& reader, const YamlNode& node, bool& out) const {
  const std::string* text = scalar(reader, node, "true or false");
  if (text == nullptr) return;
  if (node.quoted || (*text != "true" && *text != "false"))
    return reader.bad_value(node, "`" + std::string{reader.key()} + "` must be true or false, not " + quoted(*text),
                            node.quoted ? "remove the quotes" : "write true or false");
  out = *text == "true";
}

std::string Name::type() const { return "name, at most " + std::to_string(octets_max) + " characters"; }

void Name::read(Reader& reader, const YamlNode& node, std::string& out) const {
  const std::string* text = scalar(reader, node, "a name");
  if (text == nullptr) return;
  const std::string key = "`" + std::string{reader.key()} + "`";
  if (text->empty()) return reader.bad_value(node, key + " is empty", "write a name");
  if (text->size() > octets_max)
    return reader.bad_value(node, key + " has " + std::to_string(text->size()) + " characters",
                            "use at most " + std::to_string(octets_max));
  if (!std::all_of(text->begin(), text->end(), is_name_char))
    return reader.bad_value(node, key + " has a character that names may not have: " + quoted(*text),
                            "use letters, digits, '.', '_' and '-'");
  out = *text;
}

void InterfaceName::read(Reader& reader, const YamlNode& node, std::string& out) const {
  constexpr std::size_t kInterfaceNameMax = 15;  // IFNAMSIZ without the end mark
  const std::string* text = scalar(reader, node, "the name of an interface");
  if (text == nullptr) return;
  const bool fine =
      !text->empty() && text->size() <= kInterfaceNameMax && *text != "." && *text != ".." &&
      std::all_of(text->begin(), text->end(), [](char c) { return c > 0x20 && c < 0x7f && c != '/' && c != ':'; });
  if (!fine)
    return reader.bad_value(
        node, quoted(*text) + " cannot be the name of an interface",
        "use 1 to " + std::to_string(kInterfaceNameMax) + " characters without '/', ':' and blanks");
  out = *text;
}

void Path::read(Reader& reader, const YamlNode& node, std::string& out) const {
  const std::string* text = scalar(reader, node, "a path");
  if (text == nullptr) return;
  const std::string key = "`" + std::string{reader.key()} + "`";
  if (text->size() > octets_max)
    return reader.bad_value(node, key + " has " + std::to_string(text->size()) + " characters",
                            "use at most " + std::to_string(octets_max));
  if (std::any_of(text->begin(), text->end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }))
    return reader.bad_value(node, key + " has a control character", "remove it");
  const bool absolute = text->starts_with('/');
  const bool plain = or_name && !text->empty() && text->find('/') == std::string::npos && !text->starts_with('.');
  if (!absolute && !plain)
    return reader.bad_value(node,
                            key + " is " + quoted(*text) + ", not " + (or_name ? "a name or" : "an") + " absolute path",
                            "begin with '/'");
  out = *text;
}

void Address::read(Reader& reader, const YamlNode& node, IpAddress& out) const {
  const std::string* text = scalar(reader, node, "an IPv4 or IPv6 address");
  if (text == nullptr) return;
  const auto address = IpAddress::parse(*text);
  if (!address)
    return reader.bad_value(
        node, "`" + std::string{reader.key()} + "`: " + quoted(*text) + " is no IP address",
        text->find('/') != std::string::npos ? "leave out the prefix length" : "write it as 10.0.0.1 or \"fd00::1\"");
  const bool unusable = !control::is_host_address(*address) || is_loopback(*address) || is_link_local(*address);
  if (!any && unusable)
    return reader.bad_value(
        node, "`" + std::string{reader.key()} + "`: " + quoted(*text) + " cannot be reached from other hosts",
        "use a unicast address that is neither loopback nor link-local");
  out = *address;
}

void Prefix::read(Reader& reader, const YamlNode& node, IpPrefix& out) const {
  const std::string* text = scalar(reader, node, "a prefix as 10.0.0.0/8");
  if (text == nullptr) return;
  const auto prefix = IpPrefix::parse(*text);
  if (!prefix)
    return reader.bad_value(node, "`" + std::string{reader.key()} + "`: " + quoted(*text) + " is no IP prefix",
                            "write it as 10.0.0.0/8 or \"fd00::/64\", without bits behind the prefix");
  out = *prefix;
}

std::string Ports::type() const { return "port range from " + std::to_string(low) + " to 65535"; }

void Ports::read(Reader& reader, const YamlNode& node, PortRange& out) const {
  const std::string key = "`" + std::string{reader.key()} + "`";
  const std::string* text = scalar(reader, node, "a range as 16384-29999");
  if (text == nullptr) return;
  const std::size_t dash = text->find('-');
  const auto first = whole_number(std::string_view{*text}.substr(0, dash));
  const auto last = dash == std::string::npos ? std::nullopt : whole_number(std::string_view{*text}.substr(dash + 1));
  if (!first || !last)
    return reader.bad_value(node, key + " must be a port range, not " + quoted(*text), "write it as 16384-29999");
  if (*first < low || *last > 65535)
    return reader.bad_value(node, key + " is " + *text + ", out of range",
                            "use ports " + std::to_string(low) + " to 65535");
  if (*first > *last) return reader.bad_value(node, key + " begins behind its end", "write the lower port first");
  out = {static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(*last)};
}

void Text::read(Reader& reader, const YamlNode& node, std::string& out) const {
  const std::string key = "`" + std::string{reader.key()} + "`";
  const std::string* text = scalar(reader, node, "a text");
  if (text == nullptr) return;
  if (text->size() > octets_max)
    return reader.bad_value(node, key + " has " + std::to_string(text->size()) + " octets",
                            "use at most " + std::to_string(octets_max));
  if (std::any_of(text->begin(), text->end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }))
    return reader.bad_value(node, key + " has control characters", "remove them");
  out = *text;
}

void Headers::read(Reader& reader, const YamlNode& node, std::vector<route::HeaderEdit>& out) const {
  const std::string key{reader.key()};
  if (node.refused) return reader.remember_bad(node);
  if (node.kind != YamlNode::Kind::map)
    return reader.bad_value(node, "`" + key + "` must be a map of header names and values", "write {x-name: value}");
  check_double_keys(reader, node);
  for (const YamlEntry& entry : node.entries) {
    reader.set_key(entry.key);
    route::HeaderEdit edit{entry.key, "", mode};
    Text{route::kTextOctetsMax}.read(reader, entry.value, edit.value);
    out.push_back(std::move(edit));
  }
}

void Statuses::read(Reader& reader, const YamlNode& node, StatusRange& out) const {
  const std::string key = "`" + std::string{reader.key()} + "`";
  const std::string* text = scalar(reader, node, "a status or range as 200-299");
  if (text == nullptr) return;
  const std::size_t dash = text->find('-');
  const auto first = whole_number(std::string_view{*text}.substr(0, dash));
  const auto last = dash == std::string::npos ? first : whole_number(std::string_view{*text}.substr(dash + 1));
  if (!first || !last || *first < 100 || *last > 599 || *first > *last)
    return reader.bad_value(node, key + " must be a status or range of statuses, not " + quoted(*text),
                            "write 200 or 200-299, within 100 to 599");
  out = {static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(*last)};
}

std::optional<std::size_t> read_choice(Reader& reader, const YamlNode& node, std::span<const std::string_view> names) {
  const std::string list = join(names, ", ");
  const std::string* text = scalar(reader, node, "one of " + list);
  if (text == nullptr) return std::nullopt;
  const auto at = std::find(names.begin(), names.end(), *text);
  if (at == names.end()) {
    reader.bad_value(node, "`" + std::string{reader.key()} + "` cannot be " + quoted(*text),
                     hint(*text, names, "use one of " + list));
    return std::nullopt;
  }
  return static_cast<std::size_t>(at - names.begin());
}

}  // namespace penstock::config
