// icmp_kinds.h - ICMP messages by the words of scripts: what a connection makes of them.
//
// Model     a table. Types and codes come by name or as `type_3`, `code_1`. A type that says nothing about a segment of
//           ours (an echo, a timestamp) is known and changes nothing.
// Units     errno's names.
// Errors    a word that is not known gives no kind: the script is unsupported.
// Not here  what the connection does then (host.h).
#pragma once
#include <optional>
#include <string_view>

#include "tests/conformance/runner/script.h"

namespace penstock::script {

struct IcmpKind {
  std::string_view type;
  std::string_view code;
  bool v4, v6;
  bool too_big;
  std::string_view error;          ///< what a connection being opened fails with; empty: soft, ignored
  std::string_view bsd_error{""};  ///< where BSD differs; of a soft one that it gives up for (RFC 5461 s4)
};

[[nodiscard]] std::optional<IcmpKind> kind_of(const Icmp& icmp, bool v4);

}  // namespace penstock::script
