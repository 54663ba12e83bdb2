// fake_legs_test_support.h - TCP as the proxy sees it, in memory: what comes in is put in, what goes out is kept.
//
// Model     legs are made by connect() (a client's) and by dial() (an endpoint's). The test moves octets in by
//           receive(), reads what was written from `out`, and reports events to the proxy itself.
// Errors    a call for a leg that was given up breaks an invariant: that is what is tested.
#pragma once
#include <deque>
#include <string>
#include <vector>

#include "dataplane/core/require.h"
#include "l7/proxy/legs.h"

namespace penstock::proxy::test {

class FakeLegs final : public Legs {
 public:
  struct State {
    std::string in, out;
    std::uint32_t token{kNoToken};
    bool alive{true}, upstream{}, connected{}, shut{}, reset{}, resting{}, blocked{}, timed{};
    std::size_t room{1u << 20};  ///< octets that write() and pass() still take
    CoarseMs deadline;
  };
  [[nodiscard]] Leg connect() {
    legs.emplace_back();
    return static_cast<Leg>(legs.size() - 1);
  }
  [[nodiscard]] State& at(Leg leg) {
    require(leg < legs.size() && legs[leg].alive, "a call for a leg that is gone");
    return legs[leg];
  }
  [[nodiscard]] const State& at(Leg leg) const {
    require(leg < legs.size() && legs[leg].alive, "a call for a leg that is gone");
    return legs[leg];
  }

  [[nodiscard]] std::string_view front(Leg leg) const override { return std::string_view{at(leg).in}.substr(0, piece); }
  void skip(Leg leg, std::size_t octets) override {
    require(octets <= at(leg).in.size(), "more skipped than received");
    at(leg).in.erase(0, octets);
  }
  [[nodiscard]] std::size_t pass(Leg from, Leg to, std::size_t octets) override {
    State& target = at(to);
    const std::size_t taken = std::min(octets, target.room);
    require(octets <= front(from).size(), "more passed than is in front");
    target.out += at(from).in.substr(0, taken);
    target.room -= taken;
    target.blocked |= taken < octets;
    skip(from, taken);
    return taken;
  }
  [[nodiscard]] bool write(Leg leg, std::string_view text) override {
    State& state = at(leg);
    if (text.size() > state.room) {
      state.blocked = true;
      return false;
    }
    state.out += text;
    state.room -= text.size();
    return true;
  }
  [[nodiscard]] std::size_t queued(Leg leg) const override { return at(leg).room < (1u << 19) ? 1u << 19 : 0; }
  void await_room(Leg leg) override { at(leg).blocked = true; }
  void attach(Leg leg, std::uint32_t token) override { at(leg).token = token; }
  [[nodiscard]] Leg dial(const control::EndpointRecord& endpoint, std::uint32_t token) override {
    if (refuse) return kNoLeg;
    dialled.push_back(endpoint.id);
    const Leg leg = connect();
    legs[leg].token = token;
    legs[leg].upstream = true;
    return leg;
  }
  void couple(Leg a, Leg b) override { static_cast<void>(at(a)), static_cast<void>(at(b)); }
  void decouple(Leg) override {}
  void rest(Leg leg) override { at(leg).resting = true; }
  void set_deadline(Leg leg, CoarseMs when) override {
    at(leg).timed = true;
    at(leg).deadline = when;
  }
  void clear_deadline(Leg leg) override { at(leg).timed = false; }
  void shut_down(Leg leg) override { at(leg).shut = true; }
  void finish(Leg leg) override {
    at(leg).shut = true;
    at(leg).alive = false;
  }
  void reset(Leg leg) override {
    at(leg).reset = true;
    at(leg).alive = false;
  }
  [[nodiscard]] std::uint32_t listener_id(Leg) const override { return listener; }
  [[nodiscard]] Ends ends(Leg) const override {
    return {IpAddress::v4(10, 1, 0, 2), IpAddress::v4(10, 96, 0, 1), 4711, 80};
  }

  std::deque<State> legs;
  std::size_t piece{1u << 20};  ///< octets that front() shows at most
  bool refuse{};
  std::vector<std::uint32_t> dialled;  ///< ids of endpoints
  std::uint32_t listener{1};           ///< of legs that are opened
};

}  // namespace penstock::proxy::test
