// lwip_host.h - a host that runs lwIP, an independent TCP, under the same virtual time.
//
// Model     Debian's liblwip through its raw interface: packets enter by ip_input(), leave by the interface's output
//           function; tcp_fasttmr() and tcp_slowtmr() are called every 250 and 500 virtual ms. lwIP is one global
//           instance, so only one LwipHost may exist at a time; what it would take from the system (sequence numbers,
//           its timer, memory) is answered by functions of the same name in lwip_host.cpp, which the dynamic linker
//           prefers. So a seed is the same run in every process, and every octet of lwIP's memory is accounted for.
// Limits    lwIP as built there: NewReno, no SACK, no timestamps, 64 KB windows, no simultaneous open, no path MTU.
// Errors    Outside::fail().
#pragma once
#include <memory>
#include <vector>

#include "tests/sim/tcp/host.h"

namespace penstock::tcpsim {

struct LwipConnection;
struct LwipStack;

class LwipHost final : public Host {
 public:
  LwipHost(const Scenario& scenario, std::size_t side, Outside& outside);
  ~LwipHost() override;

  std::size_t receive(ByteView packet) override;
  std::size_t handle(const Event& event) override;
  [[nodiscard]] const App& app(std::size_t i) const override;
  /// Not known: lwIP keeps the old window when an older sequence number brings a new acknowledgement (RFC 9293
  /// s3.10.7.4 with SND.WL1), and so may send beyond what was offered, as any peer may.
  [[nodiscard]] std::optional<SeqNum> sent_until(std::size_t) const override { return std::nullopt; }
  [[nodiscard]] std::optional<SeqNum> offered_until(std::size_t i) const override;
  void check_end() override;
  [[nodiscard]] HostCounts counts() const override { return {}; }

  // What lwIP asks of its surroundings and tells its application.
  void packet_out(ByteView packet);
  void timer_needed();
  void gave_up(const LwipConnection& connection);
  [[nodiscard]] std::uint32_t initial_sequence();
  /// The connection that a listener's new one belongs to.
  [[nodiscard]] LwipConnection* accepted_on(std::uint16_t local_port, std::uint16_t remote_port);

 private:
  void listen(std::size_t i);
  void connect(std::size_t i);
  void tick();
  void lose_patience();
  void pump(std::size_t i);
  void pump_all();

  const Scenario& scenario_;
  std::size_t side_;
  Outside& outside_;
  std::unique_ptr<LwipStack> stack_;
  std::vector<std::unique_ptr<LwipConnection>> connections_;
  bool ticking_{}, slow_half_{};
};

}  // namespace penstock::tcpsim
