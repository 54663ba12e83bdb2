// forwards.h - the flows of one worker that the XDP program forwards by itself (tier X).
//
// Model     a flow in tier X holds a pair of slots of steer_forward_slots (bpf/abi/steer.h): 2n is its forward
//           direction, 2n + 1 the reverse. The worker fills slots, ends them and reads what the program counted there;
//           the control thread, which alone may change maps, inserts and deletes the entries that name them:
//
//             free -begin()-> asked -inserted-> held -end()-> ending -deleted-> resting -release()-> free
//                               |---------- end() ------------->|                  ^
//                               |---------- not inserted --------------------------|
//
//           end() sets the generation to 0, which stops the program at once. A program that had looked the entry up
//           just before may still be at work with the slot, so a pair rests for kForwardRestMs behind the deletion
//           before it is read for the last time and used again.
// Shape     what stays untouched costs no memory: per flow of the table 4 octets, per pair about 200.
// Threads   Forwards: the worker. ForwardExchange: both, as its parts say.
// Errors    no pair free: begin() says so. The rings have room for everything that can be under way.
// Limits    PENSTOCK_FORWARD_MAX slots, of which each worker owns an equal, contiguous share.
// Not here  which flows sink and when they are lifted (sink.cpp); maps and system calls (dataplane/app).
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include "bpf/abi/steer.h"
#include "dataplane/control/limits.h"
#include "dataplane/core/clock.h"
#include "dataplane/core/spsc_ring.h"
#include "dataplane/flow/flow_key.h"
#include "dataplane/flow/flow_table.h"
#include "dataplane/relay/zeroed_array.h"

namespace penstock::worker {

using PairIndex = std::uint32_t;  ///< of one worker, from 0
inline constexpr PairIndex kNoPair = 0xffffffff;
/// A program runs for microseconds with preemption off; ten times longer than the kernel lets anything wait for that.
inline constexpr std::uint32_t kForwardRestMs = 100;

/// Both directions of a flow: forward, reverse.
template <typename T>
using BothWays = std::array<T, 2>;

/// What a worker asks of the control thread, ready for the map.
struct ForwardOrder {
  PairIndex pair{};
  bool insert{};  ///< else delete
  BothWays<penstock_flow_key> keys{};
  BothWays<penstock_forward> entries{};  ///< for insert
};

/// The pairs of the map that a worker owns: `first` .. `first + pairs - 1`.
struct ForwardShare {
  PairIndex first{};
  PairIndex pairs{};
};
[[nodiscard]] constexpr ForwardShare forward_share(std::uint32_t worker, std::uint32_t workers) {
  const auto pairs = static_cast<PairIndex>(control::kForwardPairMax / workers);
  return {worker * pairs, pairs};
}

/// What a worker and the control thread share. Outlives the worker.
class ForwardExchange {
 public:
  explicit ForwardExchange(ForwardShare share);

  // Control thread.
  /// Slot 0 of the map, which stays mapped until the worker has gone. No generation may be set and no entry may be
  /// there. The worker takes them with the next view that it adopts, and lifts every flow of older slots.
  void set_slots(penstock_forward_slot* slots) { slots_.store(slots, std::memory_order_release); }
  /// The oldest order that is not carried out yet. Orders of one worker are carried out in turn.
  [[nodiscard]] bool next(ForwardOrder& into);
  /// `done`: an insertion that was not left nothing behind. Deletions are always done.
  void acknowledge(const ForwardOrder& order, bool done);
  /// True when no order waits; a worker that gives one from then on rings the bell.
  [[nodiscard]] bool sleep();
  void awake() { consumer_.announce_awake(); }

 private:
  friend class Forwards;
  struct Message {
    PairIndex pair;
    std::uint8_t insert;
    std::uint8_t done;
  };
  /// Written by the worker before the insertion is ordered, unchanged until the deletion is acknowledged.
  struct Named {
    BothWays<penstock_flow_key> keys;
    std::uint32_t generation;
  };
  [[nodiscard]] std::span<Message> ring_of(relay::ZeroedArray<Message>& slots) const { return {&slots[0], messages_}; }

  const ForwardShare share_;
  const std::size_t messages_;  // each pair has at most an insertion and a deletion under way
  std::atomic<penstock_forward_slot*> slots_{};
  relay::ZeroedArray<Named> named_;
  relay::ZeroedArray<Message> orders_, answers_;
  RingControl order_control_, answer_control_;
  SpscRing<Message> consumer_, replies_;  // the control thread's ends
};

/// What a direction has carried since it was last asked.
struct Carried {
  std::uint64_t packets{};
  std::uint64_t octets{};  ///< L3
  Instant last_seen;       ///< of all its packets since the flow sank; Instant{} = none
  std::uint8_t ended{};    ///< kTcpFin and kTcpRst, if such a segment was among them
};

class Forwards {
 public:
  enum class State : std::uint8_t { free, asked, held, ending, resting };
  struct Pair {
    State state;
    flow::FlowIndex flow;
    std::uint32_t flow_generation;  ///< FlowCold::generation: is the record still this flow's?
    BothWays<std::uint32_t> stat_slots;
    std::uint32_t resting_since_ms;
    std::uint64_t checked;  ///< generation of the view that the slots were last compared with
    std::uint32_t generation;
    PairIndex next_free;
    penstock_forward_slot* slots;             ///< the two, in whichever map they were filled
    BothWays<std::uint64_t> packets, octets;  ///< taken so far
    BothWays<std::uint8_t> ended;
    [[nodiscard]] bool saw_end() const { return (ended[0] | ended[1]) != 0; }
  };

  /// `exchange` nullptr: there is no tier X. `first_generation`: of the first flow that sinks, 0 is left out.
  Forwards(ForwardExchange* exchange, std::uint16_t worker, std::uint32_t flow_capacity,
           std::uint32_t first_generation);

  /// Slots have come: flows may sink.
  [[nodiscard]] bool on() const { return slots_ != nullptr; }
  /// True when the control thread has set other slots than those in use: every pair must be ended then.
  [[nodiscard]] bool slots_changed() const;
  void adopt_slots();

  /// Fills the slots with `content` and has the entries inserted; kNoPair when none is free.
  [[nodiscard]] PairIndex begin(flow::FlowIndex flow, const BothWays<flow::FlowKey>& keys,
                                const BothWays<penstock_forward_slot>& content);
  /// True when both slots say what `content` says.
  [[nodiscard]] bool same(PairIndex pair, const BothWays<penstock_forward_slot>& content) const;
  /// Stops the program now and has the entries deleted. The flow holds no pair from here on.
  void end(PairIndex pair, CoarseMs now);
  /// What a direction (0 forward, 1 reverse) carried since the last take().
  [[nodiscard]] Carried take(PairIndex pair, std::size_t direction);
  /// The pair may be used again. Must have rested.
  void release(PairIndex pair);

  /// Books answers of the control thread. Returns a pair whose insertion was not done: it must be ended, then ask
  /// again.
  [[nodiscard]] std::optional<PairIndex> take_answers(CoarseMs now);
  /// Makes orders visible. True when the control thread must be woken.
  [[nodiscard]] bool publish();

  [[nodiscard]] PairIndex pair_of(flow::FlowIndex flow) const { return of_flow_[flow] - 1; }
  [[nodiscard]] Pair& pair(PairIndex p) { return pairs_[p]; }
  /// Pairs at or beyond were never in use.
  [[nodiscard]] PairIndex high_water() const { return high_water_; }
  /// Pairs that are not free.
  [[nodiscard]] std::uint32_t in_use() const { return in_use_; }

 private:
  [[nodiscard]] PairIndex take_pair();
  void order(PairIndex pair, bool insert);

  ForwardExchange* const exchange_;
  const std::uint16_t worker_;
  const PairIndex capacity_;
  penstock_forward_slot* slots_{};
  relay::ZeroedArray<Pair> pairs_;
  relay::ZeroedArray<PairIndex> of_flow_;  // pair + 1; 0 = none
  SpscRing<ForwardExchange::Message> orders_, answers_;
  PairIndex free_head_{kNoPair};
  PairIndex high_water_{};
  std::uint32_t in_use_{};
  std::uint32_t next_generation_;
  bool ordered_{};
};

}  // namespace penstock::worker
