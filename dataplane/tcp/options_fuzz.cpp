// Options of any bytes: reading is total, and what was read can be written and read again.
#include <algorithm>
#include <cstdint>

#include "dataplane/core/require.h"
#include "dataplane/tcp/options.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  const ByteView bytes = std::as_bytes(std::span{data, size});
  const tcp::Options options = tcp::parse_options(bytes.first(std::min<std::size_t>(size, tcp::kOptionOctetsMax)));
  require(options.window_shift <= tcp::kWindowShiftMax, "shift above 14");
  require(options.sack_count <= tcp::kSackBlocksMax, "too many blocks");
  const tcp::OptionBytes written = tcp::write_options(options);
  require(written.octets <= tcp::kOptionOctetsMax && written.octets % 4 == 0, "options do not fit");
  const tcp::Options again = tcp::parse_options(written.view());
  require(!again.malformed, "what we write is malformed");
  require(again.has_timestamps == options.has_timestamps, "timestamps got lost");
  for (std::uint8_t i = 0; i < again.sack_count; ++i) require(again.sack[i] == options.sack[i], "a block changed");
  require(tcp::write_syn_options(options).octets <= tcp::kOptionOctetsMax, "SYN options do not fit");
  return 0;
}
