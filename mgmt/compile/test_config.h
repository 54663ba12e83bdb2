// test_config.h - small configurations for the tests and benches of this folder.
#pragma once
#include <string>
#include <vector>

#include "mgmt/config/config.h"

namespace penstock::compile {

[[nodiscard]] inline IpAddress ip(const char* text) { return IpAddress::parse(text).value(); }

[[nodiscard]] inline config::Listener make_listener(std::string name, const char* address, std::uint16_t port,
                                                    std::string cluster) {
  config::Listener out;
  out.name = std::move(name);
  out.address = ip(address);
  out.port = port;
  out.cluster = std::move(cluster);
  return out;
}

/// Two clusters, three listeners, one of them DNAT.
[[nodiscard]] inline config::Config example_config() {
  config::Config out;
  out.node.addresses = {ip("10.10.2.1"), ip("fd10:2::1")};
  out.clusters = {{"web", std::nullopt, {{ip("10.10.2.11"), 8080, 10}, {ip("10.10.2.12"), 8080, 20}}},
                  {"dns", 1021, {{ip("fd10:2::53"), 53, 1}, {ip("fd10:2::54"), 53, 0}}}};
  out.listeners = {make_listener("web", "10.96.0.10", 80, "web"), make_listener("admin", "10.96.0.10", 81, "web"),
                   make_listener("dns", "fd96::10", 53, "dns")};
  out.listeners[1].policy = control::Policy::ask;
  out.listeners[1].ask.rules = {{IpPrefix::parse("10.1.0.0/16").value(), control::Decision::allow, config::seconds{5}}};
  out.listeners[2].protocol = IpProto::udp;
  out.listeners[2].forwarding = control::Forwarding::dnat;
  return out;
}

/// `services` listeners with a cluster of `endpoints` each.
[[nodiscard]] inline config::Config large_config(std::uint32_t services, std::uint32_t endpoints) {
  config::Config out;
  out.node.addresses = {ip("10.10.2.1")};
  for (std::uint32_t s = 0; s < services; ++s) {
    const std::string name = "service-" + std::to_string(s);
    const auto high = static_cast<std::uint8_t>(s >> 8);
    const auto low = static_cast<std::uint8_t>(s);
    config::Cluster cluster{name, std::nullopt, {}};
    for (std::uint32_t e = 0; e < endpoints; ++e)
      cluster.endpoints.push_back({IpAddress::v4(10, static_cast<std::uint8_t>(16 + e), high, low), 8080, 10});
    out.clusters.push_back(std::move(cluster));
    config::Listener listener = make_listener(name, "10.96.0.1", 80, name);
    listener.address = IpAddress::v4(10, 96, high, low);
    out.listeners.push_back(std::move(listener));
  }
  return out;
}

}  // namespace penstock::compile
