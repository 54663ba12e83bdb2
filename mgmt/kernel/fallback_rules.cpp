#include "mgmt/kernel/fallback_rules.h"

#include <numeric>
#include <set>

namespace penstock::kernel {
namespace {

const char* ip_word(bool v4) { return v4 ? "ip" : "ip6"; }
const char* address_type(bool v4) { return v4 ? "ipv4_addr" : "ipv6_addr"; }
const char* proto_word(IpProto proto) { return proto == IpProto::tcp ? "tcp" : "udp"; }

std::string key_of(const IpAddress& address, std::uint16_t port, IpProto proto) {
  return address.text() + " . " + proto_word(proto) + " . " + std::to_string(port);
}

/// Elements of one set for each family, without duplicates.
struct Elements {
  std::set<std::string> v4;
  std::set<std::string> v6;
  void add(const IpAddress& family_of, std::string text) { (family_of.is_v4() ? v4 : v6).insert(std::move(text)); }
};

std::string joined(const std::set<std::string>& elements) {
  std::string out;
  for (const std::string& each : elements) out += (out.empty() ? "" : ", ") + each;
  return out;
}

// "set NAME4 {...}" and "set NAME6 {...}" (or maps): always declared, empty or not, so that the rules are fixed.
std::string declared(const std::string& word, const std::string& name, const std::string& type_tail,
                     const Elements& elements) {
  std::string out;
  for (const bool v4 : {true, false}) {
    const auto& of_family = v4 ? elements.v4 : elements.v6;
    out += "  " + word + " " + name + (v4 ? "4" : "6") + " { type " + address_type(v4) + type_tail + ";";
    if (!of_family.empty()) out += " elements = { " + joined(of_family) + " };";
    out += " }\n";
  }
  return out;
}

// A rule for each family; '@' stays '@', "$ip" becomes ip or ip6, "$n" becomes 4 or 6.
std::string for_both(const std::string& rule) {
  std::string out;
  for (const bool v4 : {true, false}) {
    std::string line = rule;
    for (std::size_t at; (at = line.find("$ip")) != std::string::npos;) line.replace(at, 3, ip_word(v4));
    for (std::size_t at; (at = line.find("$n")) != std::string::npos;) line.replace(at, 2, v4 ? "4" : "6");
    out += "    " + line + "\n";
  }
  return out;
}

// Up to this sum of reduced weights every number has its own element: such sets are hashed, while intervals make a tree
// whose insertion takes the kernel several times as long.
constexpr std::uint64_t kSingleNumbersMax = 64;

// "0 : 10.2.0.2 . 8080, 1-3 : 10.2.0.3 . 8080": which random number means which endpoint. `sum` is how many there are.
std::string choices_of(const std::vector<FallbackEndpoint>& endpoints, std::uint64_t& sum) {
  std::uint64_t divisor = 0;
  sum = 0;
  for (const FallbackEndpoint& endpoint : endpoints) {
    divisor = std::gcd(divisor, std::uint64_t{endpoint.weight});
    sum += endpoint.weight;
  }
  if (sum == 0) return {};
  sum /= divisor;
  std::string out;
  std::uint64_t next = 0;
  for (const FallbackEndpoint& endpoint : endpoints) {
    const std::string target = " : " + endpoint.address.text() + " . " + std::to_string(endpoint.port);
    const std::uint64_t end = next + endpoint.weight / divisor;
    const std::uint64_t step = sum <= kSingleNumbersMax ? 1 : end - next;
    for (; next < end; next += step) {
      out += (out.empty() ? "" : ", ") + std::to_string(next);
      if (step > 1) out += "-" + std::to_string(end - 1);
      out += target;
    }
  }
  return out;
}

Result<std::string> service_chain(const FallbackService& service, std::size_t index) {
  const bool v4 = service.address.is_v4();
  for (const FallbackEndpoint& endpoint : service.endpoints)
    if (endpoint.address.is_v4() != v4)
      return Problem{key_of(service.address, service.port, service.proto),
                     "endpoint " + endpoint.address.text() + " is of the other family", ""};
  std::uint64_t sum = 0;
  const std::string choices = choices_of(service.endpoints, sum);
  std::string out = "  chain service-" + std::to_string(index) + " {\n";
  if (sum == 0) {
    out += "    counter drop\n";  // nobody may serve it here
  } else {
    out += std::string{"    meta l4proto "} + proto_word(service.proto) + " counter dnat " + ip_word(v4) +
           " to numgen random mod " + std::to_string(sum) + " map { " + choices + " }\n";
  }
  return out + "  }\n";
}

std::string guard_chain(const FallbackState& wanted) {
  const std::string range = std::to_string(wanted.source_port_low) + "-" + std::to_string(wanted.source_port_high);
  // Conntrack would take up a connection in the middle (nf_conntrack_tcp_loose) as `new`: such segments belong to
  // the fast path, which is away. Dropped, not refused: the sender tries again until the fast path is back.
  const std::string stray = " tcp flags & (fin | syn | rst | ack) != syn ct state { invalid, new, untracked }";
  return "  chain guard {\n"
         "    type filter hook prerouting priority -150; policy accept;\n"
         "    iifname \"lo\" accept\n" +
         for_both("$ip daddr . meta l4proto . th dport @services$n" + stray + " counter drop") +
         for_both("$ip saddr . meta l4proto . th sport @sources$n" + stray + " counter drop") +
         for_both("$ip daddr @nodes$n meta l4proto { tcp, udp } th dport " + range +
                  " ct state { invalid, new, untracked } counter drop") +
         "  }\n";
}

}  // namespace

PortSpan masquerade_ports(std::uint16_t reserved_low, std::uint16_t reserved_high) {
  const int above = 65535 - reserved_high;
  const int below = reserved_low - 1024;
  if (above >= below) return {static_cast<std::uint16_t>(reserved_high + 1), 65535};
  return {1024, static_cast<std::uint16_t>(reserved_low - 1)};
}

Result<std::string> fallback_ruleset(const std::string& table, const FallbackState& wanted,
                                     const std::vector<IpAddress>& owned) {
  if (wanted.source_port_low > wanted.source_port_high || wanted.source_port_high == 65535)
    return Problem{"source ports", "the range must not be empty and must end below 65535", ""};
  Elements services, fullnat, sources, nodes, addresses, dispatch;
  std::set<std::string> seen;
  std::string chains;
  for (std::size_t i = 0; i < wanted.services.size(); ++i) {
    const FallbackService& service = wanted.services[i];
    const std::string key = key_of(service.address, service.port, service.proto);
    if (!seen.insert(key).second) return Problem{key, "two services of this address, protocol and port", ""};
    auto chain = service_chain(service, i);
    if (!chain) return chain.error();
    chains += *chain;
    services.add(service.address, key);
    dispatch.add(service.address, key + " : goto service-" + std::to_string(i));
    if (service.masquerade) fullnat.add(service.address, key);
    if (service.masquerade) continue;
    for (const FallbackEndpoint& endpoint : service.endpoints)
      sources.add(endpoint.address, key_of(endpoint.address, endpoint.port, service.proto));
  }
  for (const IpAddress& node : wanted.node_addresses) nodes.add(node, node.text());
  for (const IpAddress& address : owned) addresses.add(address, address.text());
  const PortSpan span = masquerade_ports(wanted.source_port_low, wanted.source_port_high);
  const std::string span_text = std::to_string(span.low) + "-" + std::to_string(span.high);
  const std::string key_type = " . inet_proto . inet_service";
  const auto masqueraded = [&](const std::string& proto) {
    return for_both("meta l4proto " + proto +
                    " ct status dnat ct original $ip daddr . meta l4proto . ct original proto-dst @fullnat$n "
                    "counter masquerade to :" +
                    span_text);
  };
  const std::string translate = for_both("$ip daddr . meta l4proto . th dport vmap @dispatch$n");

  std::string out = "table inet " + table + " {}\ndelete table inet " + table + "\ntable inet " + table + " {\n";
  out += declared("set", "services", key_type, services) + declared("set", "fullnat", key_type, fullnat) +
         declared("set", "sources", key_type, sources) + declared("set", "nodes", "", nodes) +
         declared("set", "addresses", "", addresses) + chains +
         declared("map", "dispatch", key_type + " : verdict", dispatch) + guard_chain(wanted);
  out += "  chain prerouting {\n    type nat hook prerouting priority -100; policy accept;\n" + translate + "  }\n";
  out += "  chain output {\n    type nat hook output priority -100; policy accept;\n" + translate + "  }\n";
  out += "  chain postrouting {\n    type nat hook postrouting priority 100; policy accept;\n" + masqueraded("tcp") +
         masqueraded("udp") + "  }\n";
  // A service address is no way to the node's own sockets.
  out += "  chain input {\n    type filter hook input priority 0; policy accept;\n" +
         for_both("$ip daddr @addresses$n ct state new meta l4proto tcp counter reject with tcp reset") +
         for_both("$ip daddr @addresses$n ct state new meta l4proto udp counter reject") + "  }\n";
  return out + "}\n";
}

}  // namespace penstock::kernel
