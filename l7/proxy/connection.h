// connection.h - the state of a client's connection and of one to an endpoint; plain data, moved by HttpProxy.
//
// Model     a Connection holds one exchange at a time: where its request stands, where its response stands, and the
//           endpoint's connection that carries both. An Upstream belongs to a Connection or idles in a list of its
//           endpoint.
// Shape     named by index in slabs; buffers are lent while something needs them.
// Errors    none.
#pragma once
#include <array>
#include <cstdint>

#include "dataplane/control/http_stats.h"
#include "l7/http1/body.h"
#include "l7/http1/exchange.h"
#include "l7/http1/request_parser.h"
#include "l7/http1/response_parser.h"
#include "l7/policy/keyed_hash.h"
#include "l7/proxy/legs.h"
#include "l7/proxy/limits.h"
#include "l7/route/limits.h"

namespace penstock::proxy {

inline constexpr std::uint32_t kNone = 0xffffffff;

/// What comes next from one side.
enum class Phase : std::uint8_t {
  none,     ///< nothing is expected
  preface,  ///< a PROXY header
  head,     ///< of a message
  body,     ///< of the message whose head was forwarded
  tunnel,   ///< octets without messages
  drain     ///< whatever comes is dropped
};

/// One direction of an exchange: the body on its way, and what stands around it.
struct BodyRelay {
  http1::BodyReader reader;
  http1::ChunkedEncoder encoder;
  bool chunked{};                ///< it leaves in chunks
  std::uint64_t run{};           ///< octets of data found and not yet passed on
  std::uint64_t octets{};        ///< passed on
  std::uint64_t limit{};         ///< of all octets; 0: none
  std::uint32_t trailer{kNone};  ///< buffer, of chunked bodies
  std::uint8_t held_octets{};    ///< framing that found no room
  std::array<char, 31> held;
  http1::RejectReason refused{};  ///< why it is no body
  BodyRelay(const http1::BodyLimits& limits, const http1::Classifier& classifier) : reader{limits, classifier, {}} {}
};

/// A request that a policy makes wait. Its head still lies in front of the leg, and is read again when it goes on.
struct Hold {
  enum class Reason : std::uint8_t { none, delay, question };
  enum Passed : std::uint8_t { kAuthorized = 1, kDelayed = 2 };
  Reason reason{Reason::none};
  std::uint8_t passed{};  ///< Passed: what need not be asked again
  CoarseMs until;
  std::uint32_t head_octets{};  ///< of the head in front of the leg
  std::uint64_t question{};     ///< its id
  policy::Hash128 facts;        ///< that it is about
  control::PolicyAction by_default{control::PolicyAction::deny};
};

struct Connection {
  Leg leg{kNoLeg};
  std::uint32_t upstream{kNone};
  std::uint32_t cluster{kNone};  ///< state of the cluster that serves this request
  std::uint32_t listener_id{};
  Ends ends;                 ///< who connected, or whom a PROXY header names
  IpAddress client;          ///< whom the request is from: the same, or whom trusted proxies name
  std::uint32_t own{kNone};  ///< idle connection to an endpoint that was told of this client

  http1::Exchange exchange;
  http1::RequestParser request_parser;
  http1::ResponseParser response_parser;
  Phase request{Phase::head}, response{Phase::none};
  BodyRelay up, down;
  std::uint32_t request_gather{kNone}, response_gather{kNone};
  std::uint32_t gathered[2]{};  ///< octets of an incomplete head
  std::uint32_t replay{kNone};  ///< buffer with what was sent to the endpoint, while that may have to be repeated
  std::uint32_t replay_octets{};
  bool replay_whole{};         ///< nothing is missing in it
  std::uint32_t edits{kNone};  ///< buffer with the response's edits
  std::uint32_t edit_octets{};
  Hold hold;
  std::uint32_t mirror{kNone};  ///< buffer with a copy of the request for a mirror, while it is not complete
  std::uint32_t mirror_octets{};
  std::uint32_t mirror_cluster{kNone};

  // The route's decisions.
  std::uint32_t timeout_ms{}, idle_ms{}, try_ms{};
  std::uint32_t retry_on{};
  std::uint32_t retry_status_count{};
  std::array<std::uint16_t, route::kRetryStatusMax> retry_statuses{};
  std::uint8_t retries_left{}, tries{};
  std::uint64_t hash{};
  std::uint64_t affinity{};                           ///< of the endpoint that the request's cookie names; 0: none
  std::uint32_t endpoint_id{};                        ///< of the last try
  std::array<std::uint32_t, kTriesMax> failed_ids{};  ///< endpoints that failed this request
  std::uint8_t failed_count{};

  // Accounts.
  std::uint32_t requests{};
  std::uint32_t listener_slot{}, route_slot{}, cluster_slot{};
  std::uint16_t status{};
  control::ResponseDetail detail{};
  std::uint32_t access{kNone};  ///< record of the access log, of a sampled request
  Instant began{}, try_began{};
  CoarseMs head_since, request_since, try_since, moved;
  CoarseMs armed;  ///< deadline of the leg
  std::uint32_t head_ms{}, keep_ms{};

  bool connecting{};      ///< CONNECT: 200 when the endpoint has accepted
  bool raw{};             ///< of a TCP listener: octets both ways, no messages
  bool counted{};         ///< a request is under way in the counters
  bool client_closed{};   ///< no more requests will come
  bool response_begun{};  ///< its head went out
  bool waiting{};         ///< for a connection, in the cluster's queue
  bool pumping{};
  bool retrying{};  ///< counted as a retry under way
  bool leaving{};   ///< its listener drains or is gone: the next response is the last
  bool adopted{};   ///< by the listener that took over the address of its own
  std::uint32_t next_waiting{kNone}, previous_waiting{kNone};

  Connection(const http1::HeadLimits& heads, const http1::BodyLimits& bodies, const http1::HttpValidationPolicy& policy,
             const http1::Classifier& classifier)
      : request_parser{heads, policy, classifier},
        response_parser{heads, policy, classifier},
        up{bodies, classifier},
        down{bodies, classifier} {}
};

/// RFC 9110 s9.2.2: sent twice it does what it does once.
[[nodiscard]] constexpr bool is_idempotent(http1::Method method) {
  using enum http1::Method;
  return method == get || method == head || method == put || method == delete_ || method == options || method == trace;
}

enum class UpstreamState : std::uint8_t { free, connecting, busy, idle };
struct Upstream {
  Leg leg{kNoLeg};
  std::uint32_t connection{kNone};
  std::uint32_t owner{kNone};  ///< idle, and for this connection alone
  std::uint32_t cluster{kNone};
  std::uint32_t endpoint_slot{};  ///< EndpointRecord::stat_slot: its EndpointState
  std::uint32_t endpoint_id{};
  std::uint32_t requests{};                    ///< begun on it
  std::uint32_t next{kNone}, previous{kNone};  ///< of the endpoint's idle list
  UpstreamState state{UpstreamState::free};
  bool told{};      ///< whose connection it is, by a PROXY header
  bool ended{};     ///< the endpoint will send no more
  bool answered{};  ///< an octet of the current response has come
  bool mirror{};    ///< carries a copy: nobody waits for the answer
};

struct EndpointState {
  std::uint32_t idle_first{kNone}, idle_last{kNone};
  std::uint32_t idle{};
  std::uint32_t active{};  ///< requests under way
  std::uint32_t id{};
  std::int32_t credit{};                         ///< of weighted round robin
  std::uint16_t errors_5xx{}, errors_gateway{};  ///< in a row
  std::uint16_t ejections{};                     ///< in a row
  bool ejected{};
  bool warming{};        ///< perhaps within the slow start
  bool usable{};         ///< healthy and with a weight, in configuration `seen`
  bool offered{};        ///< with a weight there
  std::uint32_t seen{};  ///< HttpProxy::generation_ of the last configuration that has it
  CoarseMs ejected_until;
  CoarseMs usable_since;
};

struct ClusterState {
  std::uint32_t id{};
  std::uint32_t view{kNone};  ///< index into Config::clusters; kNone: not configured any more
  std::uint32_t cursor{};     ///< of round robin
  std::uint32_t connections{}, pending{}, requests{}, retries{};
  std::uint32_t waiting_first{kNone}, waiting_last{kNone};
  std::uint32_t ejected{};
  CoarseMs first_back{};  ///< before that no ejection of an endpoint ends; kept while some are ejected
  bool held{};            ///< scratch of reclaim_clusters()
  bool warming{};         ///< some endpoint may be within its slow start, the last since
  CoarseMs warm_since{};
};

}  // namespace penstock::proxy
