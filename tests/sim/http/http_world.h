// http_world.h - HTTP clients and servers with TCP of their own, and a whole worker that proxies between them.
//
// Model     clients ask what a plan says, one request behind the other or many at once, over new connections when the
//           proxy closes one. Servers find the plan by the number in the path, judge the request, and answer as it
//           says. Both sides write in random pieces; the wire loses and reorders. Virtual time, one seed.
// Checks    every request gets its answer, in order; bodies are right to the octet on both sides; a server never sees
//           octets that are no request; the relay's and the proxy's sums hold after every event; at the end no
//           connection, flow, buffer or frame is left.
// Units     virtual microseconds.
// Errors    the first thing that is wrong ends the run and is told by run().
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "dataplane/tcp/engine.h"
#include "l7/route/route_config.h"
#include "tests/sim/http/http_text.h"
#include "tests/sim/world.h"
#include "tests/support/seeded.h"

namespace penstock::sim {

enum class Answer : std::uint8_t { counted, chunked, until_close, empty, not_modified };
/// What a server does the first time that it sees the request; afterwards it answers.
enum class ServerFault : std::uint8_t { none, close_unanswered, reset_unanswered, answer_503, cut_body, silent };

struct RequestPlan {
  std::string method{"GET"};
  std::string path{};     ///< behind "/<number>"
  std::string headers{};  ///< whole lines
  std::size_t body{};
  bool chunked{};
  bool expect{};
  Answer answer{Answer::counted};
  std::size_t answer_body{};
  bool close_after{};  ///< the server closes after its answer
  bool interim{};      ///< 103 first
  bool early{};        ///< answered before the body was read
  ServerFault fault{ServerFault::none};
  int expected{200};
  std::uint64_t not_before_us{};  ///< the client waits that long
};

/// Something that happens to the node while it serves.
struct Change {
  std::uint64_t at_us{};
  std::function<void(World&)> what;
};

struct HttpRunOptions {
  std::uint64_t seed{1};
  std::uint32_t loss_permille{};
  std::uint32_t piece_max{1500};  ///< octets written at once
  std::uint32_t pipeline{1};      ///< requests that a client has open
  std::size_t endpoints{2};
  std::uint64_t server_idle_us{};  ///< servers close a connection that idles this long; 0: never
  std::size_t head_cut{};          ///< clients send only so many octets of their first request, then wait
  std::uint64_t last_octet_us{};   ///< clients keep the last octet of what they have to say until then
  std::uint32_t buffers{4096};
  route::RouteTable table{};  ///< empty: everything to cluster "c"
  control::ClusterPolicyRecord policy{};
  control::HttpListenerRecord listener{};
  std::string via{};
  /// Answers questions about requests, `answer_us` later; nullopt: never.
  std::function<std::optional<control::Answer>(const control::HttpQuestion&)> decide{};
  std::uint64_t answer_us{500};
  std::function<void(control::SnapshotContent&)> more{};  ///< policies and whatever else the snapshot is to have
  bool tunnel{};                                          ///< a TCP listener: clients and servers talk through it
  bool accept_preface{};                                  ///< the listener expects a PROXY header
  std::string preface{};                                  ///< what clients' connections begin with
  std::vector<Change> changes{};
};

class HttpWorld {
 public:
  HttpWorld(const HttpRunOptions& options, std::vector<std::vector<RequestPlan>> clients);
  /// Runs to the end; empty when everything held.
  [[nodiscard]] std::string run();
  [[nodiscard]] World& world() { return *world_; }
  [[nodiscard]] std::uint64_t answered() const { return answered_; }
  /// Virtual time until the last answer.
  [[nodiscard]] std::uint64_t answered_after_us() const { return answered_at_us_ - start_us_; }
  [[nodiscard]] std::uint64_t served(std::size_t endpoint) const { return served_[endpoint]; }
  [[nodiscard]] std::uint64_t server_connections() const { return server_connections_; }
  /// Requests whose connection is theirs alone, as those of mirrors are. They count nowhere else.
  [[nodiscard]] std::uint64_t copies() const { return copies_; }
  [[nodiscard]] std::uint64_t now_us() const { return now_us_ - start_us_; }
  /// Connections that clients saw broken off.
  [[nodiscard]] std::uint64_t broken_off() const { return broken_off_; }
  [[nodiscard]] std::uint64_t client_connections() const { return client_connections_; }
  /// PROXY headers that servers got, one per connection.
  [[nodiscard]] const std::vector<std::string>& prefaces() const { return prefaces_; }
  [[nodiscard]] const HttpMessage& last_request() const { return last_request_; }
  [[nodiscard]] const HttpMessage& last_response() const { return last_response_; }

 private:
  struct Socket {
    tcp::ConnectionKey key;
    tcp::Endpoint ep;
    tcp::TimeWait record;
    std::string in, out;
    std::size_t sent{};
    bool freed{}, waiting{}, ended{}, lost{}, finish{}, finished{};
    std::uint64_t timer_at_us{}, idle_at_us{};
    std::size_t client{};      ///< of a client's
    std::size_t first_open{};  ///< request that is answered next on it
    std::size_t asked{};       ///< request that is sent next
    bool continued{};          ///< server: 100 was sent for the request under way
    bool early_done{};
    bool introduced{};  ///< server: the PROXY header was read
  };
  struct Host {
    std::unique_ptr<tcp::Pools> pools;
    std::unique_ptr<tcp::Engine> engine;
    std::vector<std::unique_ptr<Socket>> sockets;
  };
  struct Client {
    std::vector<RequestPlan> plans;
    std::size_t done{};
    std::size_t tries{};
    std::uint16_t port{};
  };
  enum class Kind : std::uint8_t { to_host, to_node, timer, node, open, idle, answer, wake, change };
  struct Event {
    std::uint64_t at_us, order;
    Kind kind;
    std::size_t host, index;
    std::shared_ptr<std::vector<std::byte>> packet;
  };
  struct Later {
    bool operator()(const Event& a, const Event& b) const {
      return a.at_us != b.at_us ? a.at_us > b.at_us : a.order > b.order;
    }
  };

  void configure();
  void push(std::uint64_t at_us, Kind kind, std::size_t host, std::size_t index,
            std::shared_ptr<std::vector<std::byte>> packet = nullptr);
  void handle(const Event& event);
  void open_client(std::size_t client);
  void change(const Change& change);
  void host_receives(std::size_t host, ByteView packet);
  void host_sends(std::size_t host, const tcp::ConnectionKey& key, const tcp::SegmentOut& segment);
  void pump(std::size_t host, std::size_t index);
  void note(Socket& socket, tcp::Events events);
  void client_step(Socket& socket);
  void server_step(Socket& socket);
  bool take_preface(Socket& socket);
  bool serve_one(Socket& socket);
  bool answer(Socket& socket, const RequestPlan& plan, std::size_t number, bool first);
  void ask(Socket& socket);
  void node_turns();
  void take_questions();
  void travel(Kind to, std::size_t host, std::vector<std::byte> bytes);
  void fail(const std::string& what);
  void check_end();
  void check_sums();
  [[nodiscard]] std::string body_of(std::size_t number, bool request, std::size_t octets) const;
  [[nodiscard]] Instant now() const { return from_nanoseconds(now_us_ * 1000); }

  HttpRunOptions options_;
  test::Seeded random_;
  std::unique_ptr<World> world_;
  std::vector<Host> hosts_;
  std::vector<Client> clients_;
  std::map<std::size_t, int> seen_;  ///< how often a server saw a request
  std::priority_queue<Event, std::vector<Event>, Later> heap_;
  std::uint64_t now_us_{2'000'000'000}, start_us_{2'000'000'000}, order_{}, events_{}, answered_{}, node_at_us_{};
  std::uint64_t answered_at_us_{};
  std::uint64_t server_connections_{}, client_connections_{}, copies_{}, broken_off_{};
  std::vector<std::uint64_t> served_;
  SpscRing<control::HttpQuestion> questions_;
  SpscRing<control::Answer> answer_ring_;
  std::vector<control::Answer> answers_;
  std::uint16_t next_port_{20000};
  HttpMessage last_request_, last_response_;
  std::vector<std::string> prefaces_;
  std::string failure_;
};

}  // namespace penstock::sim
