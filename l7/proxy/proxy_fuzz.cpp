// Any octets and events on both sides, in any order: the proxy keeps its sums, never touches a leg that is gone, and
// holds nothing once all legs are gone. Input: operations of one octet, each with a length or text behind it.
#include <algorithm>
#include <memory>

#include "dataplane/control/snapshot_writer.h"
#include "l7/proxy/fake_legs_test_support.h"
#include "l7/proxy/proxy.h"
#include "l7/route/compile/compiler.h"

namespace penstock::proxy {
namespace {

struct Given {
  route::Image image;
  std::vector<route::LoadedTable> tables;
  route::Scratch scratch;
  std::vector<std::byte> snapshot;  ///< holds the texts that the records refer to
  control::HttpListenerRecord http{}, connect_http{};
  control::ClusterRecord cluster{1, 0, 2, 0, 0, 0};
  control::ClusterPolicyRecord policy{};
  std::array<control::EndpointRecord, 2> endpoints{};
  control::ClusterRecord told_cluster{2, 0, 2, 0, 3, 0};
  control::ClusterPolicyRecord told_policy{};
  std::array<std::uint16_t, 3> maglev{0, 1, 0};
  std::array<std::uint32_t, 1> cluster_numbers{0}, told_numbers{1};
  std::array<std::uint16_t, 3> slots{3, 4, 5};
  // Routes: everything that a policy can do, then nothing, then nothing.
  std::array<std::uint32_t, 3> route_policies{0, control::kNoPolicy, control::kNoPolicy};
  std::array<control::HttpPolicyRecord, 1> policies{};
  std::array<control::AuthorizationRule, 2> rules{
      {{0, 2, control::PolicyAction::deny, {}}, {1, 1, control::PolicyAction::ask, {}}}};
  std::array<control::PolicyTerm, 2> terms{{{control::TermKind::path_prefix, 0, 0, 0, {}, {0, 3}, {}},
                                            {control::TermKind::header_present, 0, 0, 0, {3, 1}, {}, {}}}};
  std::array<control::QuestionTargetRecord, 1> targets{
      {{9, 40, control::PolicyAction::deny, control::kQuestionFactsAll, 0, 0, 0}}};
  std::array<control::RateLimitRecord, 1> rate_limits{{{1, 50'000'000, 4, 0}}};
  Config config;
};

std::unique_ptr<Given> make() {
  auto given = std::make_unique<Given>();
  const route::Forward forward{
      .clusters = {{"c"}},
      .timeout_ms = 500,
      .retry = {.on = route::kRetryOnAll, .retries = 2, .per_try_timeout_ms = 100, .statuses = {404}}};
  const route::Route api{.match = {.path = {route::PathKind::prefix, "/a"}},
                         .action = forward,
                         .response = {.edits = {{"x-a", "b", route::HeaderEditMode::set}}}};
  const route::Route old{.match = {.path = {route::PathKind::prefix, "/o"}}, .action = route::Redirect{.host = "h"}};
  const route::Route rest{.action = route::Forward{.clusters = {{"c"}}, .timeout_ms = 0}};
  route::Compiler compiler;
  auto compiled =
      compiler.compile({{{.name = "v", .domains = {"*"}, .routes = {api, old, rest}}}}, route::Databases::all);
  require(compiled.ok(), "the fuzzer's table");
  given->image = std::move(compiled->image);
  given->tables.push_back(*route::LoadedTable::load(given->image.bytes()));
  require(given->scratch.grow(given->tables[0]).ok(), "scratch");
  given->http.header_timeout_ms = 200;
  given->http.idle_timeout_ms = 1000;
  given->policy.max_connections = 2;
  given->policy.outlier = {2, 2, 100, 100, 50};
  for (std::uint32_t i = 0; i < 2; ++i) {
    given->endpoints[i].weight = 1;
    given->endpoints[i].id = i + 1;
    given->endpoints[i].stat_slot = i;
    given->endpoints[i].affinity = 0xa1 + i;
  }
  // Listener 4 takes CONNECT and short bodies; cluster 1 has sessions and slow starts.
  control::SnapshotContent content;
  content.node = control::default_node_record();
  given->connect_http = given->http;
  given->connect_http.connect_allow = control::add_text(content, "db:1\n*.d:*\n");
  given->connect_http.max_body_octets = 40;
  given->policy.affinity = {control::add_text(content, "at"), control::add_text(content, "/"), 60};
  given->policy.slow_start = {500, 150, 10};
  given->snapshot = control::write_snapshot(content, 1);
  given->config.snapshot = *control::SnapshotView::open(given->snapshot);
  given->policies[0] = {.rule_count = 2, .ask = 0, .client_rate_limit = 0, .delay_millionths = 300'000, .delay_ms = 20};
  given->policies[0].abort_millionths = 200'000;
  given->policies[0].abort_status = 500;
  given->policies[0].mirror_cluster = 0;
  given->policies[0].mirror_millionths = 500'000;
  given->config.policies = {
      given->policies, given->rules, given->terms, given->rate_limits, "/abx", given->targets, {}};
  // Listener 1 is plain HTTP; 2 begins with a PROXY header; 3 passes TCP through. Clusters 1 and 2 have the same
  // endpoints, the second tells them of clients.
  const ListenerView http{.id = 1,
                          .http = &given->http,
                          .table = &given->tables[0],
                          .clusters = given->cluster_numbers,
                          .route_slots = given->slots,
                          .route_policies = given->route_policies};
  ListenerView told = http, connect = http, raw{.id = 3, .raw_cluster = 1, .preface = true};
  told.id = 2;
  told.preface = true;
  told.clusters = given->told_numbers;
  connect.id = 4;
  connect.http = &given->connect_http;
  given->config.listeners = {http, told, raw, connect};
  given->told_policy = given->policy;
  given->told_policy.proxy_protocol = control::ProxyProtocol::v2;
  given->config.clusters = {{1, &given->cluster, &given->policy, given->endpoints, {}, {}, {}},
                            {2, &given->told_cluster, &given->told_policy, given->endpoints, given->maglev, {}, {}}};
  return given;
}

/// One run: operations until the input ends, then every leg is lost.
class Run {
 public:
  Run(Given& given, control::WorkerCounters& counters)
      : scratch_{given.scratch},
        config_{given.config},
        listeners_{given.config.listeners},
        endpoints_{given.endpoints},
        proxy_{{.connections_max = 16, .upstreams_max = 16, .buffers_max = 8}, legs_, counters, 7} {
    for (ClusterView& cluster : config_.clusters) cluster.endpoints = endpoints_;
    proxy_.configure(&config_, &scratch_);
    proxy_.begin_round(now_);
    proxy_.ask_by(&asked_, 0);
  }
  void operate(std::string_view input) {
    while (!input.empty()) {
      const auto op = static_cast<unsigned char>(input[0]);
      input.remove_prefix(1);
      const std::size_t octets =
          input.empty() ? 0 : std::min<std::size_t>(static_cast<unsigned char>(input[0]), input.size() - 1);
      step(op, input.empty() ? input : input.substr(1, octets));
      if (!input.empty()) input.remove_prefix(1 + octets);
      require(proxy_.audit().empty(), "the proxy's sums");
    }
    for (Leg leg = 0; leg < legs_.legs.size(); ++leg) lose(leg);
    require(proxy_.connections() == 0 && proxy_.upstreams() == 0 && proxy_.buffers() == 0, "something is left");
  }

 private:
  void step(unsigned char op, std::string_view text) {
    const Leg leg = chosen(op >> 4);
    if (op % 16 == 0 || leg == kNoLeg) return open();
    switch (op % 16) {
      case 1:
      case 2:
      case 3:
      case 4:
        legs_.legs[leg].in += text;
        return tell(leg, {.received = true});
      case 5:
        return tell(leg, {.peer_closed = true});
      case 6:
        return lose(leg);
      case 7:
        legs_.legs[leg].connected = true;
        return tell(leg, {.connected = true});
      case 8:
        legs_.legs[leg].room = text.size();
        return;
      case 9:
        legs_.legs[leg].room = 1u << 20;
        return tell(leg, {.writable = true});
      case 10:
        legs_.piece = 1 + text.size();
        return;
      case 11:
        legs_.refuse = !legs_.refuse;
        return;
      case 15:
        legs_.listener = legs_.listener % 4 + 1;
        return;
      case 12:
        return answer(text.size());
      case 14:
        return text.size() % 2 == 0 ? wait(text.size()) : reload(text.size() / 2);
      default:
        return wait(text.size());
    }
  }
  void open() {
    if (legs_.legs.size() > 200) return;
    const Leg leg = legs_.connect();
    proxy_.on_leg(leg, kNoToken, {.connected = true});
  }
  /// A living leg: the newest or one a little older.
  [[nodiscard]] Leg chosen(std::size_t back) const {
    for (Leg leg = static_cast<Leg>(legs_.legs.size()); leg-- > 0;)
      if (legs_.legs[leg].alive && back-- == 0) return leg;
    return kNoLeg;
  }
  /// The oldest open question, or one that nobody asked.
  void answer(std::size_t how) {
    control::HttpQuestion question{};
    static_cast<void>(asked_.publish());
    if (!questions_.pop(question)) question.id = control::kHttpQuestionBit | how;
    control::Answer answer{};
    answer.question_id = question.id;
    answer.decision = how % 2 == 0 ? control::Decision::allow : control::Decision::deny;
    answer.lifetime_ms = how % 3 == 0 ? 30 : 0;
    answer.status = static_cast<std::uint16_t>(how * 5);
    proxy_.on_answer(answer);
  }
  void tell(Leg leg, const LegEvents& events) {
    if (legs_.legs[leg].alive && legs_.legs[leg].token != kNoToken) proxy_.on_leg(leg, legs_.legs[leg].token, events);
  }
  void lose(Leg leg) {
    if (!legs_.legs[leg].alive) return;
    tell(leg, {.lost = true});
    legs_.legs[leg].alive = false;
  }
  /// Another configuration: listeners drain or are gone, endpoints have no weight or are gone.
  void reload(std::size_t how) {
    config_.listeners = listeners_;
    config_.listeners.resize(how % 8 == 7 ? how % 3 : listeners_.size());
    for (ListenerView& listener : config_.listeners) listener.draining = (how & 1) != 0;
    for (std::size_t i = 0; i < endpoints_.size(); ++i) endpoints_[i].weight = (how & 2u << i) != 0 ? 0 : 1;
    config_.clusters[0].endpoints = std::span{endpoints_}.first((how & 8) != 0 ? 1 : 2);
    proxy_.configure(how % 32 == 31 ? nullptr : &config_, &scratch_);
    static_cast<void>(proxy_.housekeeping());
  }
  void wait(std::size_t ms) {
    now_ += std::chrono::milliseconds{ms * 4};
    proxy_.begin_round(now_);
    static_cast<void>(proxy_.housekeeping());
    for (Leg leg = 0; leg < legs_.legs.size(); ++leg) {
      test::FakeLegs::State& state = legs_.legs[leg];
      if (!state.alive || !state.timed || CoarseMs::of(now_).since(state.deadline) < 0) continue;
      state.timed = false;
      tell(leg, {.expired = true});
    }
  }
  Instant now_{std::chrono::seconds{1000}};
  route::Scratch& scratch_;
  Config config_;
  const std::vector<ListenerView> listeners_;
  std::array<control::EndpointRecord, 2> endpoints_;
  test::FakeLegs legs_;
  RingControl ring_;
  std::array<control::HttpQuestion, 8> slots_;
  SpscRing<control::HttpQuestion> asked_{ring_, slots_}, questions_{ring_, slots_};
  HttpProxy proxy_;
};

}  // namespace
}  // namespace penstock::proxy

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock::proxy;
  static const std::unique_ptr<Given> given = make();
  static const auto counters = std::make_unique<penstock::control::WorkerCounters>();
  if (size > 4096) return 0;
  const auto run = std::make_unique<Run>(*given, *counters);
  run->operate({reinterpret_cast<const char*>(data), size});
  return 0;
}
