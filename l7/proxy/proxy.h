// proxy.h - HTTP/1.1 between clients and endpoints: one object per worker.
//
// Model     a client's connection carries exchanges one after the other; each borrows a connection to an endpoint for
//           its time. Heads are parsed, routed and written anew, bodies pass by reference.
//
//             on_leg(down) -> head -> route -> cluster -> endpoint -> idle or new connection -> head', body
//             on_leg(up)   -> head -> exchange -> head', body -> release or close -> next request
//
// Time      handed in by begin_round(); deadlines by Legs::set_deadline().
// Threads   one. After the constructor nothing allocates, locks or throws.
// Errors    answered and counted: RejectReason for the parser's, ResponseDetail for ours.
// Limits    ProxyLimits, limits.h, and what the configuration says.
// Not here  TCP (legs.h), rules of the codec (l7/http1), of routing (l7/route).
#pragma once
#include <array>
#include <memory>
#include <string_view>
#include <vector>

#include "dataplane/control/segment.h"
#include "l7/http1/serialise.h"
#include "l7/policy/answer_cache.h"
#include "l7/policy/rate_limiter.h"
#include "l7/proxy/access_log.h"
#include "l7/proxy/config.h"
#include "l7/proxy/connection.h"
#include "l7/proxy/http_date.h"
#include "l7/proxy/slab.h"
#include "l7/route/match.h"
#include "l7/route/rewrite.h"
#include "l7/route/route_config.h"

namespace penstock::proxy {

class HttpProxy {
 public:
  HttpProxy(const ProxyLimits& limits, Legs& legs, control::WorkerCounters& counters, std::uint64_t seed);
  HttpProxy(const HttpProxy&) = delete;
  HttpProxy& operator=(const HttpProxy&) = delete;

  /// `scratch` was grown for every table of `config`; both stay until the next call. nullptr: nothing is served.
  void configure(const Config* config, route::Scratch* scratch);
  /// Where sampled requests are logged; nowhere before. It outlives the proxy.
  void log_to(AccessLog* log) { access_log_ = log; }
  /// Where questions about requests go; their owner publishes them. Without it, defaults decide.
  void ask_by(SpscRing<control::HttpQuestion>* questions, std::uint32_t worker) {
    questions_ = questions;
    worker_ = worker;
  }
  /// Wall clock less monotonic clock, kept up by another thread; 0: not known. Without it, responses get no Date.
  void date_by(const std::atomic<std::int64_t>* offset_ns) { date_.follow(offset_ns); }
  /// An answer with kHttpQuestionBit. Within a round.
  void on_answer(const control::Answer& answer);
  void begin_round(Instant now) {
    now_ = now;
    now_ms_ = CoarseMs::of(now);
  }
  void on_leg(Leg leg, std::uint32_t token, const LegEvents& events);
  /// Looks at some of what a new configuration left behind. True while there is more. Within a round.
  bool housekeeping();

  // For counters and tests.
  [[nodiscard]] std::size_t connections() const { return connections_.in_use(); }
  [[nodiscard]] std::size_t upstreams() const { return upstreams_.in_use(); }
  [[nodiscard]] std::size_t buffers() const { return buffers_in_use_; }
  /// Recomputes sums; empty when all hold.
  [[nodiscard]] std::string_view audit() const;

 private:
  static constexpr std::uint32_t kUpstreamBit = 1u << 31;
  enum class Flow : std::uint8_t { waits, moved, done, rejected, too_large };
  /// Why a try failed, as the retry policy sees it.
  enum class Failure : std::uint8_t { connect, reset, timeout, status };

  // proxy.cpp
  void accept(Leg leg);
  void on_downstream(std::uint32_t index, const LegEvents& events);
  void on_upstream(std::uint32_t index, const LegEvents& events);
  void pump(std::uint32_t index);
  void pump_ready();
  void forget_connection(std::uint32_t index);
  void arm(std::uint32_t index);
  void expired(std::uint32_t index);
  void time_out(std::uint32_t index, control::ResponseDetail detail);
  void apply(std::uint32_t index, http1::Exchange::Step step);
  void next_request(std::uint32_t index);
  /// What the parsers refuse: counted, and decided by the exchange.
  void reject(std::uint32_t index, http1::ExchangeEvent event, http1::RejectReason reason);
  void begin_account(Connection& c, const ListenerView& listener);
  void end_account(Connection& c);
  void end_access(Connection& c, std::uint64_t microseconds);
  [[nodiscard]] const ListenerView* find_listener(std::uint32_t id) const;
  /// The listener of a connection, if it still is of the same kind.
  [[nodiscard]] const ListenerView* listener_of(const Connection& c) const;
  [[nodiscard]] std::uint32_t take_buffer();
  void free_buffer(std::uint32_t& buffer);
  [[nodiscard]] char* buffer(std::uint32_t index) { return buffers_.get() + std::size_t{index} * kBufferOctets; }
  /// Marks of an open head or trailer section, at the end of its buffer: they live as long as it is open.
  [[nodiscard]] http1::Marks& marks_of(std::uint32_t index) {
    static_assert(kHeadTextOctets % alignof(http1::Marks) == 0 &&
                  kHeadTextOctets + sizeof(http1::Marks) <= kBufferOctets);
    return index == kNone ? marks_ : *reinterpret_cast<http1::Marks*>(buffer(index) + kHeadTextOctets);
  }
  [[nodiscard]] std::uint64_t random();

  // max_forwards.cpp
  [[nodiscard]] bool within_hops(std::uint32_t index);
  void reflect(std::uint32_t index);
  void hops_edit(const Connection& c, std::size_t& count);

  // drain.cpp
  [[nodiscard]] const ListenerView* listener_at(Leg leg) const;
  [[nodiscard]] const ListenerView* listener_for_request(Connection& c);
  void refuse_homeless(std::uint32_t index);
  void review(std::uint32_t index);
  [[nodiscard]] std::uint32_t keep_ms_of(const Connection& c) const;
  [[nodiscard]] bool is_offered(const Upstream& up) const;
  [[nodiscard]] std::uint32_t close_unoffered(std::uint32_t slot, std::uint32_t most);

  // request.cpp
  [[nodiscard]] bool read_request(std::uint32_t index);
  [[nodiscard]] bool read_request_head(std::uint32_t index);
  [[nodiscard]] bool relay_request_body(std::uint32_t index);
  void handle_request(std::uint32_t index);
  void begin_access(Connection& c, const ListenerView& listener, const route::RequestView& view);
  void route_request(std::uint32_t index, const ListenerView& listener);
  void choose_route(std::uint32_t index, const ListenerView& listener, const route::RequestView& view);
  void forward_request(std::uint32_t index, const ListenerView& listener, const route::RequestView& view,
                       const route::MatchResult& found, const control::HttpPolicyRecord* policy);
  [[nodiscard]] bool write_request_head(Connection& c, const ListenerView& listener, const route::MatchedRoute& matched,
                                        const route::RequestView& view, std::uint16_t& refused);
  void take_policy(Connection& c, const route::RouteRecord& record, const ListenerView& listener);
  [[nodiscard]] route::RequestView view_of_request(const http1::RequestHead& head);
  void start_body(BodyRelay& body, const http1::Framing& in, const http1::Framing& out);
  /// The head so far, or empty when there is no buffer for it.
  [[nodiscard]] std::string_view gather(std::uint32_t& buffer, std::uint32_t held, std::string_view text);
  [[nodiscard]] bool keep_gathered(std::uint32_t& buffer, std::uint32_t& held, std::string_view text);
  [[nodiscard]] Flow relay_body(BodyRelay& body, Leg from, Leg to, Connection* replay);
  [[nodiscard]] Flow end_body(BodyRelay& body, Leg to, Connection* replay);
  [[nodiscard]] bool relay_tunnel(std::uint32_t index, Leg from, Leg to, bool ended);
  void keep_for_replay(Connection& c, std::string_view text);
  void drop_replay(Connection& c);

  // policy.cpp
  [[nodiscard]] const control::HttpPolicyRecord* policy_at(std::uint32_t policy) const;
  [[nodiscard]] bool chance(std::uint32_t millionths);
  [[nodiscard]] bool within_rates(std::uint32_t index, const control::HttpPolicyRecord& policy, bool of_listener);
  [[nodiscard]] bool admit(std::uint32_t index, const control::HttpPolicyRecord& policy,
                           const route::RequestView& view);
  [[nodiscard]] bool inject_fault(std::uint32_t index, const control::HttpPolicyRecord& policy,
                                  const route::RequestView& view);
  void hold(std::uint32_t index, Hold::Reason reason, std::uint32_t ms);
  void end_hold(std::uint32_t index);
  void resume(std::uint32_t index, std::uint8_t passed);
  void hold_expired(std::uint32_t index);
  void refuse_held(std::uint32_t index, std::uint16_t status, control::ResponseDetail detail);

  // question.cpp
  [[nodiscard]] bool ask(std::uint32_t index, const control::QuestionTargetRecord& target,
                         const route::RequestView& view);
  [[nodiscard]] bool write_question(const Connection& c, const control::QuestionTargetRecord& target,
                                    const route::RequestView& view);
  [[nodiscard]] policy::Hash128 facts_of_question() const;

  // mirror.cpp
  void begin_mirror(Connection& c, const control::HttpPolicyRecord& policy);
  void keep_for_mirror(Connection& c, std::string_view text);
  void send_mirror(Connection& c);
  void drop_mirror(Connection& c);
  void on_mirror(std::uint32_t upstream, const LegEvents& events);

  // edits.cpp
  [[nodiscard]] std::size_t request_edits(const Connection& c, const ListenerView& listener,
                                          const route::MatchedRoute& matched, const route::RequestView& view);
  void keep_response_edits(Connection& c, const route::MatchedRoute& matched);
  [[nodiscard]] std::size_t response_edits(const Connection& c, const http1::ResponseHead& head);
  void add_edit(std::size_t& count, route::HeaderEditMode mode, std::string_view name, std::string_view value,
                bool present);

  // tunnel.cpp
  [[nodiscard]] bool read_preface(std::uint32_t index);
  void refuse_preface(std::uint32_t index);
  [[nodiscard]] bool begin_connection(std::uint32_t index);
  [[nodiscard]] bool begin_raw(std::uint32_t index, const ListenerView& listener);
  [[nodiscard]] bool send_preface(const Connection& c, const ClusterView& cluster, Leg to);
  [[nodiscard]] std::uint32_t take_own(Connection& c, ClusterState& state, const ClusterView& cluster);
  void drop_own(Connection& c);
  [[nodiscard]] bool evict_idle(const ClusterView& cluster);

  // connect.cpp
  void begin_connect(std::uint32_t index, const ListenerView& listener, const route::RequestView& view);
  void open_connect(std::uint32_t index);

  // affinity.cpp
  [[nodiscard]] std::uint64_t affinity_of_request(const ClusterView& cluster);
  [[nodiscard]] const control::EndpointRecord* bound_endpoint(const Connection& c, ClusterState& cluster,
                                                              const ClusterView& view);
  void affinity_edit(const Connection& c, std::size_t& count);

  // forwarding.cpp
  void find_client(Connection& c, const ListenerView& listener);
  [[nodiscard]] std::string_view sender_list(http1::KnownField field, bool append, std::string_view element,
                                             std::span<char> room);
  void sender_edits(const Connection& c, const control::HttpListenerRecord& http, std::string_view host,
                    std::size_t& count);
  void trace_edits(const control::HttpListenerRecord& http, std::size_t& count);
  void request_number_edit(std::size_t& count);
  [[nodiscard]] std::string_view via_of(const ListenerView* listener) const;

  // response.cpp
  [[nodiscard]] bool read_response(std::uint32_t index);
  void note_answer(Connection& c, Upstream& up);
  [[nodiscard]] bool read_response_head(std::uint32_t index);
  void note_violation(Connection& c, http1::RejectReason reason);
  [[nodiscard]] bool upstream_ended(std::uint32_t index);
  void forward_response(std::uint32_t index, http1::Exchange::Step step);
  [[nodiscard]] bool relay_response_body(std::uint32_t index);
  void response_complete(std::uint32_t index);
  /// A response of our own to a request that is understood; the connection may live on.
  void answer(std::uint32_t index, std::uint16_t status, control::ResponseDetail detail, std::string_view location = {},
              std::string_view body = {}, std::string_view retry_after = {}, std::string_view type = "text/plain");
  void write_refusal(Connection& c, std::uint16_t status);

  // upstream.cpp
  void dispatch(std::uint32_t index, bool fresh = false);
  [[nodiscard]] const control::EndpointRecord* pick(const Connection& c, ClusterState& cluster,
                                                    const ClusterView& view);
  [[nodiscard]] std::uint32_t take_idle(const control::EndpointRecord& endpoint);
  [[nodiscard]] std::uint32_t dial(std::uint32_t cluster, const control::EndpointRecord& endpoint);
  [[nodiscard]] std::uint64_t hash_of_request(const Connection& c, const ClusterView& cluster,
                                              const route::RequestView& view);
  void begin_try(std::uint32_t index, std::uint32_t upstream);
  void end_try(std::uint32_t index);
  void wait_for_connection(std::uint32_t index);
  void stop_waiting(std::uint32_t index);
  void serve_waiting(std::uint32_t cluster);
  void release_upstream(std::uint32_t index);
  void drop_upstream(std::uint32_t index);
  void free_upstream(std::uint32_t upstream);
  void unlink_idle(std::uint32_t upstream);
  void upstream_lost(std::uint32_t upstream);
  void fail_try(std::uint32_t index, Failure failure, control::ResponseDetail detail);
  [[nodiscard]] bool may_retry(const Connection& c, Failure failure, bool reused);
  void retry(std::uint32_t index, bool fresh);
  [[nodiscard]] std::uint32_t share(std::uint32_t limit) const;

  [[nodiscard]] bool retry_fits(const Connection& c);

  // cluster_states.cpp
  [[nodiscard]] std::size_t place_of_cluster(std::uint32_t id) const;
  [[nodiscard]] std::uint32_t cluster_state(std::uint32_t id) const;
  [[nodiscard]] std::uint32_t add_cluster(std::uint32_t id);
  void reclaim_clusters();
  void configure_clusters();

  // balance.cpp
  [[nodiscard]] const control::EndpointRecord* round_robin(ClusterState& cluster, const ClusterView& view);
  [[nodiscard]] const control::EndpointRecord* random_endpoint(ClusterState& cluster, const ClusterView& view);
  [[nodiscard]] const control::EndpointRecord* least_request(ClusterState& cluster, const ClusterView& view);
  void begin_slow_start(ClusterState& cluster, const ClusterView& view, EndpointState& state) const;
  void note_endpoints(ClusterState& cluster, const ClusterView& view);
  [[nodiscard]] std::uint32_t share_of_weight(const ClusterView& view, const control::EndpointRecord& endpoint);
  [[nodiscard]] bool is_warming(ClusterState& cluster, const ClusterView& view) const;
  [[nodiscard]] const control::EndpointRecord* usable_from(ClusterState& cluster, const ClusterView& view,
                                                           std::size_t start);
  [[nodiscard]] static std::string_view cookie_of(std::string_view cookies, std::string_view name);
  /// `status` 0: reset or never connected. Not `answered`: the status is what we make of a failure.
  void note_outcome(std::uint32_t upstream, std::uint16_t status, bool answered = false);
  [[nodiscard]] bool is_ejected(ClusterState& cluster, const ClusterView& view, EndpointState& state);
  void take_back(ClusterState& cluster, const ClusterView& view);
  void eject(ClusterState& cluster, const ClusterView& view, EndpointState& endpoint);
  [[nodiscard]] bool is_usable(ClusterState& cluster, const ClusterView& view, const control::EndpointRecord& endpoint);
  [[nodiscard]] EndpointState& state_of(const control::EndpointRecord& endpoint);

  Legs& legs_;
  AccessLog* access_log_{};
  control::WorkerCounters& counters_;
  const Config* config_{};
  route::Scratch* scratch_{};
  Instant now_{};
  CoarseMs now_ms_{};
  std::uint64_t random_;
  std::span<const std::uint32_t> failed_{};  ///< endpoints that failed the request for which one is chosen
  bool reused_{};  ///< of the try that is about to fail: its connection was kept and had not answered

  const http1::HeadLimits heads_{};
  const http1::BodyLimits bodies_{};
  const std::array<std::string_view, 1> upgrades_{"websocket"};
  const std::array<std::string_view, 1> any_target_{"*"};
  http1::HttpValidationPolicy policy_{};
  http1::HttpValidationPolicy connect_policy_{};  ///< of listeners with an allow-list, which judges by itself
  const http1::Classifier& classifier_;

  Slab<Connection> connections_;
  Slab<Upstream> upstreams_;
  std::unique_ptr<char[]> buffers_;
  std::vector<std::uint32_t> free_buffers_;
  std::uint32_t fresh_buffer_{}, buffers_max_, buffers_in_use_{};
  policy::RateLimiter rates_;
  policy::AnswerCache answers_;
  policy::Hash128 facts_key_;
  SpscRing<control::HttpQuestion>* questions_{};
  std::uint32_t worker_{};
  std::uint64_t question_sequence_{};
  std::vector<EndpointState> endpoints_;  ///< by stat slot
  std::vector<ClusterState> clusters_;
  std::vector<std::uint32_t> free_clusters_;  ///< not in the index
  std::vector<std::uint32_t> cluster_index_;  ///< by id, open addressing
  std::vector<std::uint32_t> ready_;          ///< connections that got something to do from elsewhere
  DateText date_;
  std::uint32_t generation_{};                        ///< of the configuration
  std::uint32_t review_at_{kNone}, slots_at_{kNone};  ///< connection and endpoint's slot to look at next
  std::uint32_t slots_end_{};                         ///< behind the highest slot that any configuration had

  // Scratch of one call.
  http1::Marks marks_;
  http1::RequestHead request_head_;
  http1::ResponseHead response_head_;
  http1::FieldTable trailers_;
  std::array<route::HeaderField, http1::kFieldMax> fields_;
  std::array<http1::HeaderEdit, http1::kEditMax> edits_;
  std::array<char, 64 * 1024 + 8 * 1024> out_;
  std::array<char, 16 * 1024> target_;
  std::array<char, 8 * 1024> path_;
  std::array<char, 3 * kSenderListOctets> forwarded_;  ///< two lists, an element
  std::array<char, 32> request_id_;
  std::array<char, 8> hops_;
  std::array<char, 55> traceparent_;
  control::HttpQuestion question_;
  std::array<char, 2 * control::kAffinityTextMax + 96> cookie_text_;
  std::array<char, 48> client_text_;
};

}  // namespace penstock::proxy
