// bolt_fuzz: whatever octets come, a frame lies within them, and what is answered is a whole answer of the same id.
#include <cstdlib>

#include "bench/lab/peers/bolt.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock::lab::bolt;
  std::string_view octets{reinterpret_cast<const char*>(data), size};
  while (true) {
    const Shape found = shape_of(octets);
    if (found.octets > octets.size() || (found.broken && found.octets != 0)) std::abort();
    if (found.octets == 0) return 0;
    const std::string back = answer(found);
    const Shape again = shape_of(back);
    if (again.octets != back.size() || !again.is_answer || again.id != found.id || again.kind != found.kind)
      std::abort();
    octets.remove_prefix(found.octets);
  }
}
