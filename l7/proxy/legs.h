// legs.h - what the proxy needs of TCP: legs by number, with octets to read in front and room to write behind.
//
// Model     the owner of the connections (dataplane/worker over dataplane/relay) implements it and reports events by
//           HttpProxy::on_leg(). Bodies go from leg to leg by pass() and are never copied here.
// Units     octets. A Leg is valid until it was lost, finished or reset.
// Errors    write() takes all or nothing; pass() as much as there is room for; either way kWritable follows.
// Not here  TCP itself.
#pragma once
#include <cstdint>
#include <string_view>

#include "dataplane/control/snapshot_layout.h"
#include "dataplane/core/clock.h"

namespace penstock::proxy {

using Leg = std::uint32_t;
inline constexpr Leg kNoLeg = 0xffffffff;
inline constexpr std::uint32_t kNoToken = 0xffffffff;

struct LegEvents {
  bool connected{}, received{}, peer_closed{}, writable{}, expired{}, lost{};
};

/// Whose connection it is, and to which service.
struct Ends {
  IpAddress client{};
  IpAddress service{};
  std::uint16_t client_port{};  ///< host order, as the other
  std::uint16_t service_port{};
  friend bool operator==(const Ends&, const Ends&) = default;
};

class Legs {
 public:
  // Reading.
  [[nodiscard]] virtual std::string_view front(Leg leg) const = 0;
  virtual void skip(Leg leg, std::size_t octets) = 0;
  [[nodiscard]] virtual std::size_t pass(Leg from, Leg to, std::size_t octets) = 0;
  // Writing.
  [[nodiscard]] virtual bool write(Leg leg, std::string_view text) = 0;
  [[nodiscard]] virtual std::size_t queued(Leg leg) const = 0;
  virtual void await_room(Leg leg) = 0;
  // Life.
  virtual void attach(Leg leg, std::uint32_t token) = 0;
  /// A connection under way to this endpoint; kNoLeg: not possible now.
  [[nodiscard]] virtual Leg dial(const control::EndpointRecord& endpoint, std::uint32_t token) = 0;
  virtual void couple(Leg downstream, Leg upstream) = 0;
  virtual void decouple(Leg leg) = 0;
  virtual void set_deadline(Leg leg, CoarseMs at) = 0;
  virtual void clear_deadline(Leg leg) = 0;
  /// A message has come whole, and the peer waits for one.
  virtual void rest(Leg leg) = 0;
  virtual void shut_down(Leg leg) = 0;
  virtual void finish(Leg leg) = 0;
  virtual void reset(Leg leg) = 0;
  /// Of a downstream leg.
  [[nodiscard]] virtual std::uint32_t listener_id(Leg leg) const = 0;
  [[nodiscard]] virtual Ends ends(Leg leg) const = 0;

 protected:
  ~Legs() = default;
};

}  // namespace penstock::proxy
