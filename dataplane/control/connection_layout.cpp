#include "dataplane/control/connection_layout.h"

#include <bit>

#include "dataplane/core/require.h"

namespace penstock::control {

void format_connection_arena(ByteSpan memory, std::size_t worker, std::size_t worker_count, std::uint64_t boot_epoch) {
  require(memory.size() >= connection_arena_octets(1), "connection arena has room for no record");
  ConnectionArenaHeader& header = connection_header(memory);
  header.magic = kConnectionArenaMagic;
  header.layout = kConnectionArenaLayout;
  header.capacity =
      static_cast<std::uint32_t>((memory.size() - sizeof(ConnectionArenaHeader)) / sizeof(ConnectionRecord));
  header.worker = static_cast<std::uint32_t>(worker);
  header.worker_count = static_cast<std::uint32_t>(worker_count);
  header.boot_epoch = boot_epoch;
  header.high_water = 0;
}

ConnectionArenaHeader& connection_header(ByteSpan memory) {
  require(memory.size() >= sizeof(ConnectionArenaHeader) &&
              std::bit_cast<std::uintptr_t>(memory.data()) % alignof(ConnectionArenaHeader) == 0,
          "connection arena is too small or not aligned");
  return *reinterpret_cast<ConnectionArenaHeader*>(memory.data());
}

std::span<ConnectionRecord> connection_records(ByteSpan memory) {
  const ConnectionArenaHeader& header = connection_header(memory);
  require(memory.size() >= connection_arena_octets(header.capacity), "connection arena is smaller than its capacity");
  return {reinterpret_cast<ConnectionRecord*>(memory.data() + sizeof header), header.capacity};
}

}  // namespace penstock::control
