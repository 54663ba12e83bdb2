// frame.h - one received buffer, and the duty to do exactly one thing with it.
//
// Model     a Frame owns a single-segment buffer lent by a PacketIo. It must end in transmit, release to a
//           ring, or drop; destroying it otherwise breaks an invariant.
// Units     octets; `port` is the index of the port it came from (or will leave by).
// Shape     24 octets, move-only; L2-L4 headers are contiguous.
// Errors    none; prepend() and set_octets() refuse to leave the buffer.
// Not here  who allocates: dataplane/io. Why it is dropped: drop_reason.h.
#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>

#include "dataplane/core/be.h"
#include "dataplane/core/require.h"

namespace penstock {

/// Index of a port in this dataplane process, 0 .. PENSTOCK_PORT_MAX-1.
using PortIndex = std::uint16_t;
inline constexpr PortIndex kNoPort = 0xffff;

/// TCP frames of so many octets may have a partial checksum when they leave by a port that cuts: the pseudo-header's
/// sum, as a kernel leaves it to a device. Looking for one in shorter frames would cost more than it saves.
inline constexpr std::size_t kPartialSumOctetsMin = 576;

/// The plain content of a Frame, for rings and device drivers.
struct RawFrame {
  std::byte* data{};         ///< first octet of the Ethernet header
  void* handle{};            ///< the device's buffer, never null in a live frame
  std::uint16_t octets{};    ///< length of the frame
  std::uint16_t headroom{};  ///< free octets in front of data
  std::uint16_t tailroom{};  ///< free octets behind the frame
  PortIndex port{kNoPort};
};

class [[nodiscard]] Frame {
 public:
  Frame() = default;
  explicit Frame(const RawFrame& raw) : raw_{raw} {}
  Frame(Frame&& other) noexcept : raw_{std::exchange(other.raw_, RawFrame{})} {}
  /// Only into an empty frame: a live one may not be overwritten.
  Frame& operator=(Frame&& other) noexcept {
    require(raw_.handle == nullptr, "live frame overwritten");
    raw_ = std::exchange(other.raw_, RawFrame{});
    return *this;
  }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;
  ~Frame() { require(raw_.handle == nullptr, "frame destroyed without a disposition"); }

  [[nodiscard]] bool live() const { return raw_.handle != nullptr; }
  [[nodiscard]] ByteView bytes() const { return {raw_.data, raw_.octets}; }
  [[nodiscard]] ByteSpan bytes() { return {raw_.data, raw_.octets}; }
  [[nodiscard]] std::uint16_t octets() const { return raw_.octets; }
  [[nodiscard]] PortIndex port() const { return raw_.port; }
  void set_port(PortIndex port) { raw_.port = port; }

  /// Grows the frame at its front; false when there is no headroom.
  [[nodiscard]] bool prepend(std::uint16_t octets) {
    if (raw_.headroom < octets) return false;
    raw_.data -= octets;
    raw_.headroom = static_cast<std::uint16_t>(raw_.headroom - octets);
    raw_.octets = static_cast<std::uint16_t>(raw_.octets + octets);
    return true;
  }
  /// Takes octets off the front; false when the frame is shorter.
  [[nodiscard]] bool trim_front(std::uint16_t octets) {
    if (raw_.octets < octets) return false;
    raw_.data += octets;
    raw_.headroom = static_cast<std::uint16_t>(raw_.headroom + octets);
    raw_.octets = static_cast<std::uint16_t>(raw_.octets - octets);
    return true;
  }
  /// Sets the length by moving the end; false when the buffer is too small.
  [[nodiscard]] bool set_octets(std::uint16_t octets) {
    const unsigned room = static_cast<unsigned>(raw_.octets) + raw_.tailroom;
    if (octets > room) return false;
    raw_.tailroom = static_cast<std::uint16_t>(room - octets);
    raw_.octets = octets;
    return true;
  }

  /// Ends this object's duty and hands it to the caller (a device or a ring).
  [[nodiscard]] RawFrame release() && { return std::exchange(raw_, RawFrame{}); }

 private:
  RawFrame raw_{};
};
static_assert(sizeof(Frame) == 24);

}  // namespace penstock
