// Any octets as a PROXY header: one answer for every cut, within bounds; what was understood survives being written.
#include <cstdlib>

#include "l7/proxy/proxy_protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock::proxy;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const ProxyHeader whole = read_proxy_header(text);
  if (whole.status == ProxyHeaderStatus::done && (whole.octets > size || whole.octets > kProxyHeaderOctetsMax))
    std::abort();
  if (whole.status == ProxyHeaderStatus::more && size > kProxyHeaderOctetsMax) std::abort();
  for (std::size_t cut = 0; cut < size; ++cut) {
    const ProxyHeader part = read_proxy_header(text.substr(0, cut));
    if (part.status == ProxyHeaderStatus::more) continue;
    // Decided early is decided: more octets change nothing.
    if (part.status != whole.status || part.octets != whole.octets || part.ends != whole.ends) std::abort();
  }
  if (whole.status != ProxyHeaderStatus::done || !whole.has_ends) return 0;
  for (const std::uint8_t version : {std::uint8_t{1}, std::uint8_t{2}}) {
    std::array<char, kProxyWrittenOctetsMax> room;
    const ProxyHeader again = read_proxy_header(write_proxy_header(version, whole.ends, room));
    if (again.status != ProxyHeaderStatus::done || again.ends != whole.ends) std::abort();
  }
  return 0;
}
