// http_legs.h - between the HTTP proxy and the relay: legs of one as legs of the other, and flow records for both.
//
// Model     the relay reports what happens on served legs (relay::Application), the proxy reads and writes them
//           (proxy::Legs). A leg's flow record has one real key, by which its segments are found, and the same
//           turned round, which nobody sends.
// Errors    dial() gives no leg when there is no next hop, no source port or no memory.
// Not here  HTTP (l7/proxy), TCP (relay).
#pragma once
#include "dataplane/relay/relay.h"
#include "dataplane/worker/worker.h"
#include "l7/proxy/proxy.h"

namespace penstock::worker {

class HttpLegs final : public proxy::Legs, public relay::Application {
 public:
  explicit HttpLegs(Worker::State& worker) : worker_{worker} {}

  void on_leg(relay::LegId leg, std::uint32_t token, relay::LegEvents events) override;

  [[nodiscard]] std::string_view front(proxy::Leg leg) const override;
  void skip(proxy::Leg leg, std::size_t octets) override;
  [[nodiscard]] std::size_t pass(proxy::Leg from, proxy::Leg to, std::size_t octets) override;
  [[nodiscard]] bool write(proxy::Leg leg, std::string_view text) override;
  [[nodiscard]] std::size_t queued(proxy::Leg leg) const override;
  void await_room(proxy::Leg leg) override;
  void attach(proxy::Leg leg, std::uint32_t token) override;
  [[nodiscard]] proxy::Leg dial(const control::EndpointRecord& endpoint, std::uint32_t token) override;
  void couple(proxy::Leg downstream, proxy::Leg upstream) override;
  void decouple(proxy::Leg leg) override;
  void set_deadline(proxy::Leg leg, CoarseMs at) override;
  void clear_deadline(proxy::Leg leg) override;
  void rest(proxy::Leg leg) override;
  void shut_down(proxy::Leg leg) override;
  void finish(proxy::Leg leg) override;
  void reset(proxy::Leg leg) override;
  [[nodiscard]] std::uint32_t listener_id(proxy::Leg leg) const override;
  [[nodiscard]] proxy::Ends ends(proxy::Leg leg) const override;

 private:
  Worker::State& worker_;
};

}  // namespace penstock::worker
