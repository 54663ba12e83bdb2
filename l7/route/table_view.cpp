#include "l7/route/table_view.h"

#include <bit>

#include "l7/route/table_check.h"

namespace penstock::route {
namespace {

constexpr std::size_t kAny = 0xffffffff;
// In the order of HostSection.
constexpr std::array<SectionRule, static_cast<std::size_t>(HostSection::count)> kHostRules{{
    {"facts", sizeof(HostFacts), 1, 1},
    {"gates", sizeof(RouteGate), 0, kHostRouteMax},
    {"routes", sizeof(RouteRecord), 0, kHostRouteMax},
    {"lists", sizeof(std::uint32_t), 0, 3 * kHostRouteMax},
    {"nodes", sizeof(TrieNode), 1, kAny},
    {"fanouts", sizeof(Fanout), 0, kAny},
    {"conditions", sizeof(Condition), 0, kAny},
    {"regexes", sizeof(RegexRecord), 0, kHostRegexMax},
    {"insts", sizeof(Inst), 0, kAny},
    {"sets", sizeof(OctetSet), 0, kAny},
    {"automaton", sizeof(AutomatonFacts), 0, 1},
    {"automaton_states", sizeof(std::uint32_t), 0, 0x10000},
    {"automaton_rows", sizeof(std::uint16_t), 0, kAny},
    {"automaton_accept", sizeof(std::uint32_t), 0, kAny},
    {"automaton_matches", sizeof(std::uint32_t), 0, kAny},
    {"clusters", sizeof(ClusterRecord), 0, kAny},
    {"edits", sizeof(EditRecord), 0, kAny},
    {"names", sizeof(Text), 0, kAny},
    {"text", 1, 0, kAny},
    {"database", 1, 0, kAny},
}};
// In the order of TableSection.
constexpr std::array<SectionRule, static_cast<std::size_t>(TableSection::count)> kTableRules{{
    {"facts", sizeof(TableFacts), 1, 1},
    {"hosts", sizeof(HostRecord), 0, kHostMax},
    {"domains", sizeof(DomainRecord), 0, kDomainMax},
    {"slots", sizeof(std::uint32_t), 1, 4 * kDomainMax},
    {"nodes", sizeof(TrieNode), 1, kAny},
    {"fanouts", sizeof(Fanout), 0, kAny},
    {"clusters", sizeof(Text), 0, kClusterNameMax},
    {"text", 1, 0, kAny},
    {"images", 1, 0, kTableOctetsMax},
}};

Problem fault(std::string section, std::size_t record, std::string what) {
  return {"route table: " + std::move(section) + " " + std::to_string(record), std::move(what), ""};
}
constexpr std::size_t index_of(HostSection section) { return static_cast<std::size_t>(section); }
constexpr std::size_t index_of(TableSection section) { return static_cast<std::size_t>(section); }
std::string_view as_text(std::span<const char> octets) { return {octets.data(), octets.size()}; }

}  // namespace

Result<HostView> open_host(ByteView image, bool check_hash) {
  auto opened = open_sections(image, kHostMagic, "route host", kHostRules, check_hash);
  if (!opened) return opened.error();
  const auto& sections = *opened;
  HostView host;
  host.facts = sections.get<HostFacts>(index_of(HostSection::facts)).front();
  host.gates = sections.get<RouteGate>(index_of(HostSection::gates));
  host.routes = sections.get<RouteRecord>(index_of(HostSection::routes));
  host.lists = sections.get<std::uint32_t>(index_of(HostSection::lists));
  host.nodes = sections.get<TrieNode>(index_of(HostSection::nodes));
  host.fanouts = sections.get<Fanout>(index_of(HostSection::fanouts));
  host.conditions = sections.get<Condition>(index_of(HostSection::conditions));
  host.regexes = sections.get<RegexRecord>(index_of(HostSection::regexes));
  host.insts = sections.get<Inst>(index_of(HostSection::insts));
  host.sets = sections.get<OctetSet>(index_of(HostSection::sets));
  host.automaton = sections.get<AutomatonFacts>(index_of(HostSection::automaton));
  host.automaton_states = sections.get<std::uint32_t>(index_of(HostSection::automaton_states));
  host.automaton_rows = sections.get<std::uint16_t>(index_of(HostSection::automaton_rows));
  host.automaton_accept = sections.get<std::uint32_t>(index_of(HostSection::automaton_accept));
  host.automaton_matches = sections.get<std::uint32_t>(index_of(HostSection::automaton_matches));
  host.clusters = sections.get<ClusterRecord>(index_of(HostSection::clusters));
  host.edits = sections.get<EditRecord>(index_of(HostSection::edits));
  host.names = sections.get<Text>(index_of(HostSection::names));
  host.text = as_text(sections.get<char>(index_of(HostSection::text)));
  host.database = sections.get<std::byte>(index_of(HostSection::database));
  HostHeader header;
  std::memcpy(&header, image.data(), sizeof header);
  host.content_hash = header.content_hash;
  if (auto trouble = check_host(host)) return *trouble;
  return host;
}

namespace {

/// Hosts one after the other: each inside `images`, route numbers without gaps.
Result<std::vector<HostView>> open_hosts(std::span<const HostRecord> records, ByteView images, std::size_t clusters) {
  std::vector<HostView> hosts;
  hosts.reserve(records.size());
  std::uint64_t routes = 0;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const HostRecord& record = records[i];
    if (record.image % kImageAlign != 0 || record.image > images.size() || record.octets > images.size() - record.image)
      return fault("hosts", i, "image lies outside");
    // The table's hash covers the host's octets.
    auto host = open_host(images.subspan(record.image, record.octets), false);
    if (!host)
      return Problem{"route table: host " + std::to_string(i) + ": " + host.error().place, host.error().what, ""};
    if (record.first_route != routes || record.route_count != host->routes.size())
      return fault("hosts", i, "route numbers have gaps");
    routes += record.route_count;
    if (routes > kNoRoute / 2) return fault("hosts", i, "too many routes");
    if (auto trouble = check_clusters(*host, clusters)) return *trouble;
    host->record = record;
    hosts.push_back(*host);
  }
  return hosts;
}

}  // namespace

Result<TableView> TableView::open(ByteView image) {
  auto opened = open_sections(image, kTableMagic, "route table", kTableRules, true);
  if (!opened) return opened.error();
  const auto& sections = *opened;
  TableView view;
  view.facts_ = sections.get<TableFacts>(index_of(TableSection::facts)).front();
  view.domains_ = sections.get<DomainRecord>(index_of(TableSection::domains));
  view.slots_ = sections.get<std::uint32_t>(index_of(TableSection::slots));
  view.nodes_ = sections.get<TrieNode>(index_of(TableSection::nodes));
  view.fanouts_ = sections.get<Fanout>(index_of(TableSection::fanouts));
  view.clusters_ = sections.get<Text>(index_of(TableSection::clusters));
  view.text_ = as_text(sections.get<char>(index_of(TableSection::text)));
  const auto records = sections.get<HostRecord>(index_of(TableSection::hosts));
  const auto outside = [&](Text ref) {
    return ref.offset > view.text_.size() || ref.octets > view.text_.size() - ref.offset;
  };
  for (std::size_t i = 0; i < view.clusters_.size(); ++i)
    if (outside(view.clusters_[i])) return fault("clusters", i, "name lies outside");
  for (std::size_t i = 0; i < view.domains_.size(); ++i)
    if (outside(view.domains_[i].name) || view.domains_[i].host >= records.size())
      return fault("domains", i, "name or host lies outside");
  // A probe ends at an empty slot, so there must be one.
  std::size_t used = 0;
  for (std::size_t i = 0; i < view.slots_.size(); ++i) {
    if (view.slots_[i] != kEmptySlot && view.slots_[i] >= view.domains_.size())
      return fault("slots", i, "domain lies outside");
    used += view.slots_[i] != kEmptySlot ? 1 : 0;
  }
  if (!std::has_single_bit(view.slots_.size()) || used == view.slots_.size())
    return fault("slots", 0, "not a power of two with an empty slot");
  if (view.facts_.suffix_root >= view.nodes_.size() || view.nodes_[0].label_octets != 0 ||
      view.nodes_[view.facts_.suffix_root].label_octets != 0)
    return fault("facts", 0, "root is wrong");
  if (view.facts_.any_host != kNoHost && view.facts_.any_host >= records.size())
    return fault("facts", 0, "host lies outside");
  if (auto trouble = check_trie(view.nodes_, view.fanouts_, {records.size(), 0, true}, "nodes")) return *trouble;
  auto hosts = open_hosts(records, sections.get<std::byte>(index_of(TableSection::images)), view.clusters_.size());
  if (!hosts) return hosts.error();
  view.hosts_ = std::move(*hosts);
  return view;
}

}  // namespace penstock::route
