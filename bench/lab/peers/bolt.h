// bolt.h - frames of SOFA Bolt, version 1, as far as the lab's load and server need them.
//
// Model     a heartbeat is 22 octets in and 20 out; a request carries a class name, one header pair and content, and is
//           answered with as much content. The request's id comes back in the answer.
// Units     octets; ids in host order.
// Shape     functions over strings; no I/O.
// Errors    a Shape with octets 0 is not whole yet; `broken` is nothing that could become a frame.
// Limits    kContentMax of content; no checksum (version 2 has one).
// Not here  connections (conns.cpp)
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace penstock::lab::bolt {

inline constexpr std::size_t kContentMax = 1 << 20;

enum class Kind : std::uint8_t { heartbeat, call };

/// What begins at the front of some octets.
struct Shape {
  std::size_t octets = 0;  // of the whole frame; 0: more is needed
  bool broken = false;
  bool is_answer = false;
  Kind kind = Kind::heartbeat;
  std::uint32_t id = 0;
  std::uint16_t status = 0;  // of an answer; 0: success
  std::size_t content_octets = 0;
};

Shape shape_of(std::string_view octets);
std::string request(Kind kind, std::uint32_t id, std::size_t content_octets);
/// To what shape_of() found to be a whole request.
std::string answer(const Shape& to);

}  // namespace penstock::lab::bolt
