#include "l7/proxy/sender_list.h"

#include <algorithm>

namespace penstock::proxy {
namespace {

constexpr std::size_t kGroups = 8;  // of an IPv6 address

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

std::string_view take_last(std::string_view& list) {
  while (!list.empty()) {
    const std::size_t comma = list.rfind(',');
    const std::string_view element = trimmed(comma == std::string_view::npos ? list : list.substr(comma + 1));
    list = comma == std::string_view::npos ? std::string_view{} : list.substr(0, comma);
    if (!element.empty()) return element;
  }
  return {};
}

std::optional<IpAddress> sender_address(std::string_view element) {
  if (!element.empty() && element.front() == '[') {
    const std::size_t end = element.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    element = element.substr(1, end - 1);
  } else if (std::count(element.begin(), element.end(), ':') == 1) {
    element = element.substr(0, element.find(':'));
  }
  return IpAddress::parse(element);
}

void put_address(const IpAddress& address, stream::Writer& out) {
  if (address.is_v4()) {
    for (std::size_t i = 12; i < 16; ++i) {
      if (i != 12) out.put('.');
      out.put_decimal(address.octets[i]);
    }
    return;
  }
  const auto group = [&](std::size_t i) { return unsigned{address.octets[2 * i]} << 8 | address.octets[2 * i + 1]; };
  // The first of the longest runs of zeros stands as "::", unless it is a single group (RFC 5952 s4.2).
  std::size_t zeros_at = kGroups, zeros = 1;
  for (std::size_t i = 0, run = 0; i < kGroups; ++i) {
    run = group(i) == 0 ? run + 1 : 0;
    if (run > zeros) {
      zeros = run;
      zeros_at = i + 1 - run;
    }
  }
  for (std::size_t i = 0; i < kGroups; ++i) {
    if (i == zeros_at) {
      out.put("::");
      i += zeros - 1;
      continue;
    }
    if (i != 0 && i != zeros_at + zeros) out.put(':');
    out.put_hex(group(i));
  }
}

void put_forwarded(const IpAddress& client, std::string_view host, stream::Writer& out) {
  // An address with colons is no token (RFC 7239 s6).
  out.put(client.is_v4() ? "for=" : "for=\"[");
  put_address(client, out);
  if (!client.is_v4()) out.put("]\"");
  if (!host.empty()) {
    // Quoted: it may have a port. A host that the parser took has neither quotes nor backslashes.
    out.put(";host=\"");
    out.put(host);
    out.put('"');
  }
  out.put(";proto=http");
}

}  // namespace penstock::proxy
