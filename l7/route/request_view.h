// request_view.h - what routing sees of a request.
//
// Model     views into the request head; the caller keeps it alive during the call.
// Units     octets as on the wire: nothing is decoded, normalised or lowered.
// Errors    none.
// Not here  parsing (the HTTP codecs).
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "l7/route/text_fold.h"

namespace penstock::route {

struct HeaderField {
  std::string_view name;
  std::string_view value;
  std::uint32_t name_hash;  ///< header_name_hash(name): the parser computes it once, every condition uses it
  [[nodiscard]] static HeaderField of(std::string_view name, std::string_view value) {
    return {name, value, header_name_hash(name)};
  }
};

struct RequestView {
  std::string_view host;   ///< authority, with port if the request has one
  std::string_view path;   ///< without query
  std::string_view query;  ///< begins with '?', or is empty
  std::string_view method;
  std::string_view scheme;  ///< "http" or "https"; for redirects
  std::span<const HeaderField> headers;
};

}  // namespace penstock::route
