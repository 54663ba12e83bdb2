// fields.h - every key of the configuration: where it is kept, its kind and bounds, what it means.
//
// Model     the one list; loader.cpp reads by it and reference.cpp writes docs/guide/config.md from it. Defaults are
//           those of config.h.
// Rule      meanings are for the reference page: a few words, no repetition of type or default.
#pragma once
#include <array>

#include "dataplane/control/limits.h"
#include "mgmt/config/fields_cluster.h"
#include "mgmt/config/fields_http.h"
#include "mgmt/config/loader.h"
#include "mgmt/config/values.h"

namespace penstock::config {

using enum Presence;

inline constexpr std::int64_t kHourMs = 3600 * 1000;
inline constexpr Span kIdleTime{1000, control::kTimeoutMsMax};

inline constexpr std::array kHugepages{ChoiceName<Hugepages>{Hugepages::automatic, "auto"},
                                       ChoiceName<Hugepages>{Hugepages::off, "off"},
                                       ChoiceName<Hugepages>{Hugepages::required, "required"}};
inline constexpr std::array kVerifyChecksums{ChoiceName<VerifyChecksums>{VerifyChecksums::automatic, "auto"},
                                             ChoiceName<VerifyChecksums>{VerifyChecksums::yes, "true"},
                                             ChoiceName<VerifyChecksums>{VerifyChecksums::no, "false"}};
/// What `protocol` says: the transport, and what it carries.
struct ProtocolWord {
  IpProto transport;
  Application application;
  friend bool operator==(const ProtocolWord&, const ProtocolWord&) = default;
};
inline constexpr std::array kProtocols{ChoiceName<ProtocolWord>{{IpProto::tcp, Application::none}, "tcp"},
                                       ChoiceName<ProtocolWord>{{IpProto::udp, Application::none}, "udp"},
                                       ChoiceName<ProtocolWord>{{IpProto::tcp, Application::http}, "http"}};
inline constexpr Choice<&kProtocols> kProtocolChoice{};
inline constexpr std::array kModes{ChoiceName<control::ListenerMode>{control::ListenerMode::l4, "l4"},
                                   ChoiceName<control::ListenerMode>{control::ListenerMode::proxy, "proxy"}};
inline constexpr std::array kCongestions{ChoiceName<control::Congestion>{control::Congestion::reno, "reno"},
                                         ChoiceName<control::Congestion>{control::Congestion::cubic, "cubic"}};
inline constexpr std::array kForwardings{ChoiceName<control::Forwarding>{control::Forwarding::fullnat, "fullnat"},
                                         ChoiceName<control::Forwarding>{control::Forwarding::dnat, "dnat"}};
inline constexpr std::array kPolicies{ChoiceName<control::Policy>{control::Policy::allow, "allow"},
                                      ChoiceName<control::Policy>{control::Policy::deny, "deny"},
                                      ChoiceName<control::Policy>{control::Policy::ask, "ask"}};
inline constexpr std::array kPrefaces{ChoiceName<bool>{false, "off"}, ChoiceName<bool>{true, "accept"}};
inline constexpr std::array kDecisions{ChoiceName<control::Decision>{control::Decision::allow, "allow"},
                                       ChoiceName<control::Decision>{control::Decision::deny, "deny"}};

template <>
struct Table<Metrics> {
  static constexpr std::string_view name = "metrics";
  static constexpr std::array fields{
      field<&Metrics::address, Address{true}>("address", optional, "where /metrics, /healthz and /readyz listen"),
      field<&Metrics::port, kPortNumber>("port", optional, "TCP port of the same"),
  };
};

template <>
struct Table<Limits> {
  static constexpr std::string_view name = "limits";
  static constexpr std::array fields{
      field<&Limits::flows_per_worker, Integer{1024, control::kFlowMax}>(
          "flows_per_worker", optional, "connections that one worker can hold; new ones beyond are dropped"),
      field<&Limits::parked_flows, Integer{0, control::kParkedMax}>(
          "parked_flows", optional, "flows per worker that may wait for an answer; beyond, the default decides"),
      field<&Limits::buffers_per_worker, Integer{1024, 1 << 20}>("buffers_per_worker", optional,
                                                                 "packet buffers per worker"),
      field<&Limits::receive_ring, Integer{kReceiveRingMin, kReceiveRingMax}>(
          "receive_ring", optional,
          "frames that a receive queue holds, a power of two; fewer when half of the buffers would not stay free"),
  };
};

template <>
struct Table<Timeouts> {
  static constexpr std::string_view name = "timeouts";
  static constexpr std::array fields{
      field<&Timeouts::tcp_syn, kIdleTime>("tcp_syn", optional, "TCP before the handshake is complete"),
      field<&Timeouts::tcp_established, kIdleTime>("tcp_established", optional, "TCP connection without packets"),
      field<&Timeouts::tcp_fin, kIdleTime>("tcp_fin", optional, "TCP after the first FIN"),
      field<&Timeouts::tcp_closed, kIdleTime>("tcp_closed", optional, "TCP after both FINs or a reset"),
      field<&Timeouts::udp_unreplied, kIdleTime>("udp_unreplied", optional, "UDP before the first reply"),
      field<&Timeouts::udp_stream, kIdleTime>("udp_stream", optional, "UDP after a reply"),
  };
};

template <>
struct Table<Proxy> {
  static constexpr std::string_view name = "proxy";
  static constexpr std::array fields{
      field<&Proxy::connections_per_worker, Integer{16, control::kProxyConnectionMax}>(
          "connections_per_worker", optional,
          "proxied connections that one worker can hold; new ones beyond are refused. Each also takes a flow of "
          "`limits.flows_per_worker`. A change takes effect when the dataplane restarts"),
      field<&Proxy::half_open_max, Integer{0, control::kProxyConnectionMax}>(
          "half_open_max", optional,
          "handshakes of clients that a worker remembers; beyond, it answers with SYN cookies. 0 always does"),
      field<&Proxy::idle_timeout, kIdleTime>("idle_timeout", optional,
                                             "a connection on which neither side sends a segment is "
                                             "ended; answers to keepalive probes count as well"),
      field<&Proxy::connect_timeout, Span{100, 5 * 60 * 1000}>("connect_timeout", optional,
                                                               "how long the endpoint may take to accept"),
      field<&Proxy::keepalive, Span{0, control::kTimeoutMsMax}>(
          "keepalive", optional, "silence of a peer before it is probed, at least 1s; 0s never probes"),
      field<&Proxy::buffer_octets, Octets{control::kProxyBufferMin, control::kProxyBufferMax}>(
          "buffer", optional,
          "payload that a connection may hold per direction; the window offered to the sender shrinks with it"),
      field<&Proxy::time_wait, Span{1000, 10 * 60 * 1000}>(
          "time_wait", optional, "how long the addresses and ports of an ended connection are remembered"),
      field<&Proxy::congestion, Choice<&kCongestions>{}>("congestion", optional, "congestion control"),
  };
};

template <>
struct Table<Node> {
  static constexpr std::string_view name = "node";
  static constexpr std::array fields{
      field<&Node::runtime_dir, Path{80, false}>("runtime_dir", optional, "sockets, bpf file system and state files"),
      field<&Node::addresses, List<Address{false}>{control::kNodeAddressMax}>(
          "addresses", optional,
          "source addresses of FullNAT, in order of preference; one per address family that FullNAT listeners use. "
          "Each multiplies the connections possible towards one endpoint"),
      field<&Node::source_ports, Ports{1024}>(
          "source_ports", optional,
          "ports of those addresses that belong to the fast path; reserved in the kernel as well"),
      field<&Node::workers, Integer{1, control::kWorkerMax}>(
          "workers", optional, "worker threads of the dataplane; the number of `cpus` when only those are given"),
      field<&Node::cpus, List<Integer{0, 1023}>{control::kWorkerMax}>("cpus", optional,
                                                                      "one CPU per worker; without it workers float"),
      field<&Node::hugepages, Choice<&kHugepages>{}>(
          "hugepages", optional,
          "`auto` uses them when the machine has enough free, and warns in log and status "
          "when it has not"),
      field<&Node::memory_mib, Integer{64, 1 << 20}>("memory_mib", optional,
                                                     "memory of the dataplane for packet buffers, MiB"),
      field<&Node::heartbeat_limit, Span{10, 10000}>(
          "heartbeat_limit", optional, "a worker silent for longer makes steering pass packets to the kernel"),
      field<&Node::watchdog, Span{1000, kHourMs}>("watchdog", optional,
                                                  "a worker silent for longer gets the dataplane restarted"),
      field<&Node::drain_timeout, Span{0, 24 * kHourMs}>(
          "drain_timeout", optional, "how long a removed listener or endpoint keeps serving its connections"),
      field<&Node::kernel_flow_idle, Span{1000, 7 * 24 * kHourMs}>(
          "kernel_flow_idle", optional,
          "a connection that began on the kernel path stays there until idle for this long"),
      field<&Node::metrics, Map<Metrics>{}>("metrics", optional, "monitoring endpoint"),
      field<&Node::fallback, Flag{}>("fallback", optional,
                                     "keep kernel rules that serve new connections while the fast path is away"),
      field<&Node::limits, Map<Limits>{}>("limits", optional, "sizes of tables and pools"),
      field<&Node::timeouts, Map<Timeouts>{}>("timeouts", optional, "idle times after which a flow is forgotten"),
      field<&Node::proxy, Map<Proxy>{}>("proxy", optional, "connections of listeners with `mode: proxy`"),
      field<&Node::access_log, Map<AccessLog>{}>("access_log", optional,
                                                 "where requests are logged that `http.access_log_samples` picks"),
  };
};

template <>
struct Table<Port> {
  static constexpr std::string_view name = "port";
  static constexpr std::array fields{
      field<&Port::name, InterfaceName{}>("name", required, "network interface to steer"),
      field<&Port::netns, Maybe<Path{200, true}>{}>("netns", optional,
                                                    "network namespace it is in; without it the daemon's own"),
      field<&Port::queues, AutoOr<Integer{1, control::kQueueMax}>{}>("queues", optional,
                                                                     "receive queues to serve; `auto` means all"),
      field<&Port::verify_checksums, Choice<&kVerifyChecksums>{}>(
          "verify_checksums", optional,
          "drop packets with a wrong checksum; `auto` means true, but false for veth, which carries partial checksums"),
      field<&Port::large_frames, Flag{}>(
          "large_frames", optional,
          "large segments arrive whole, in the interface's generic XDP mode; every listener must end connections"),
      field<&Port::optional, Flag{}>("optional", optional, "the interface may be absent at start"),
  };
};

template <>
struct Table<AskRule> {
  static constexpr std::string_view name = "rule";
  static constexpr std::array fields{
      field<&AskRule::source, Prefix{}>("source", required, "clients the rule is about"),
      field<&AskRule::decision, Choice<&kDecisions>{}>("decision", required, "what they get"),
      field<&AskRule::lifetime, Span{0, control::kTimeoutMsMax}>(
          "lifetime", optional, "how long workers reuse the answer; 0s answers one flow only"),
  };
};

template <>
struct Table<Ask> {
  static constexpr std::string_view name = "ask";
  static constexpr std::array fields{
      field<&Ask::default_decision, Choice<&kDecisions>{}>(
          "default", required, "when no rule matches, and when no answer comes before the deadline"),
      field<&Ask::deadline, Span{1, 60000}>("deadline", optional, "how long a flow waits for its answer"),
      field<&Ask::rules, List<Map<AskRule>{}>{1024}>("rules", required, "the first that matches decides"),
  };
};

template <>
struct Table<Listener> {
  static constexpr std::string_view name = "listener";
  static constexpr std::array fields{
      field<&Listener::name, Name{kConfigNameMax}>("name", required, "shown in metrics and tools"),
      field<&Listener::address, Address{false}>("address", required, "service address that clients use"),
      field<&Listener::port, kPortNumber>("port", required, "service port"),
      Field<Listener>{"protocol", true, "`http` is HTTP/1.1 over TCP: requests are routed one by one ([HTTP](http.md))",
                      [] { return kProtocolChoice.type(); },
                      [](const Listener& l) {
                        return kProtocolChoice.show({l.protocol, l.application});
                      },
                      [](Reader& reader, const YamlNode& node, Listener& l) {
                        ProtocolWord word{l.protocol, l.application};
                        kProtocolChoice.read(reader, node, word);
                        l.protocol = word.transport;
                        l.application = word.application;
                      }},
      field<&Listener::cluster, Name{kConfigNameMax}>(
          "cluster", optional,
          "name of the cluster that serves it; required, but with protocol http it only serves while the fast path is "
          "away"),
      field<&Listener::mode, Choice<&kModes>{}>(
          "mode", optional,
          "`l4` translates packets; `proxy` ends the client's TCP connection here and opens another to the endpoint "
          "([proxy](proxy.md)), with protocol tcp or http and forwarding fullnat only; protocol http implies it"),
      field<&Listener::forwarding, Choice<&kForwardings>{}>(
          "forwarding", optional,
          "`fullnat` also replaces the source by a node address; `dnat` keeps the client's, and the endpoint's "
          "replies must come back through a port"),
      field<&Listener::policy, Choice<&kPolicies>{}>("policy", optional,
                                                     "who may connect; `ask` decides per client by `ask.rules`"),
      field<&Listener::proxy_protocol, Choice<&kPrefaces>{}>(
          "proxy_protocol", optional,
          "`accept`: connections begin with a PROXY header of version 1 or 2, which names the client; mode proxy "
          "([proxy](proxy.md))"),
      field<&Listener::xdp_forwarding, Flag{}>(
          "xdp_forwarding", optional,
          "mode l4: established flows with much traffic are forwarded by the XDP program itself, where both of their "
          "ports allow it ([tiers](tiers.md)); refused with mode proxy"),
      field<&Listener::splice, Flag{}>(
          "splice", optional,
          "mode proxy with protocol tcp and without PROXY headers: a pair of connections that is at rest becomes one "
          "flow whose segments are translated, and its ends guarantee delivery ([tiers](tiers.md))"),
      field<&Listener::ask, Map<Ask>{}>("ask", optional, "required with policy ask, refused without"),
      field<&Listener::virtual_hosts, List<Map<route::VirtualHost>{}>{route::kHostMax}>(
          "virtual_hosts", optional, "required with protocol http, refused without"),
      field<&Listener::http, Map<Http>{}>("http", optional, "times and limits of protocol http"),
  };
};

template <>
struct Table<Config> {
  static constexpr std::string_view name = "configuration";
  static constexpr std::array fields{
      field<&Config::api_version, ApiVersion{}>("apiVersion", required, "format of this file"),
      field<&Config::node, Map<Node>{}>("node", optional, "this machine"),
      field<&Config::ports, List<Map<Port>{}>{control::kPortMax}>("ports", optional, "interfaces with steering"),
      field<&Config::clusters, List<Map<Cluster>{}>{control::kClusterMax}>("clusters", optional, "groups of servers"),
      field<&Config::listeners, List<Map<Listener>{}>{control::kListenerMax}>("listeners", optional,
                                                                              "services to balance"),
  };
};

}  // namespace penstock::config
