// dialogue_test_support.h - tests of the engine as conversations: what arrives, what leaves, when.
//
// Model     one endpoint of ours, the peer played by the test. Numbers are relative: 0 is each side's SYN, 1 the first
//           octet of data. What leaves is told as text: "PA 1+3 ack 4 sack 9-12"; "nothing" when nothing leaves.
// Units     milliseconds in wait(); octets.
#pragma once
#include <string>
#include <vector>

#include "dataplane/tcp/engine.h"

namespace penstock::tcp::test {

/// A segment from the peer, in relative numbers.
struct In {
  std::string flags{"A"};
  std::uint32_t seq{1};
  std::string data{};
  std::uint32_t ack{1};
  std::uint16_t window{65535};
  std::vector<std::pair<std::uint32_t, std::uint32_t>> sack{};
  std::optional<std::uint32_t> ts{};  ///< TSval; the echo is `ts_echo`
  std::uint32_t ts_echo{0};
};

/// What the peer's SYN offers.
struct Offer {
  std::uint16_t mss{1460};
  std::optional<std::uint8_t> shift{};
  bool sack{false};
  std::optional<std::uint32_t> ts{};
  std::uint16_t window{65535};
};

class Dialogue final : public Delivery {
 public:
  static constexpr std::uint32_t kPeerIss = 5000;
  explicit Dialogue(const Limits& with = {}, bool v4 = true);
  ~Dialogue();

  /// Passive handshake, both ways checked; leaves nothing pending.
  void establish(const Offer& offer = {});
  void syn(const Offer& offer = {});
  void connect();
  Events in(const In& segment);
  /// The next segment that leaves.
  std::string out();
  /// All that leave, joined by "; ".
  std::string all();
  void write(std::size_t octets, char fill = 'x');
  void write(const std::string& text);
  /// Time passes; deadlines on the way expire, and what leaves then is kept as "+<ms>: segment".
  std::vector<std::string> wait(std::int64_t milliseconds);
  [[nodiscard]] State state() const { return ep.state; }
  void deliver(const Piece& piece) override;

  Limits limits;
  Pools pools{512, 256, 2048, 16};
  Secrets secrets{{1, 2}, {3, 4}, {5, 6}};
  Engine engine;
  ConnectionKey key;
  Endpoint ep;
  Instant now{std::chrono::seconds{1000}};
  std::string received;
  SegmentOut last;       ///< of out()
  Options last_options;  ///< of out()
  Events happened;       ///< everything so far
  std::uint32_t consumed{};
  bool auto_consume{true};
  std::uint32_t iss{};

 private:
  [[nodiscard]] std::string text_of(const SegmentOut& segment);
  void note(Events events) { happened.add(events.bits); }
};

}  // namespace penstock::tcp::test
