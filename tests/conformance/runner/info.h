// info.h - what TCP_INFO would say of a connection, by field name.
//
// Model     a table of names and functions. Only values that the engine has are there.
// Units     as in TCP_INFO: segments, octets, microseconds.
// Errors    an unknown name has no value: the script that asks is unsupported.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "tests/conformance/runner/host.h"

namespace penstock::script {

/// Whom statements are about. BSD numbers states from CLOSED on, and counts windows in octets.
struct Subject {
  const Socket* socket;
  const tcp::Pools& pools;
  Instant now;
  bool bsd;
};

[[nodiscard]] std::optional<std::int64_t> info_of(const Subject& subject, std::string_view field);
/// Constants that scripts compare with: TCP_ESTABLISHED, TCP_CA_Open.
[[nodiscard]] std::optional<std::int64_t> info_constant(std::string_view name);

/// Checks lines `assert expression[, text]`. Empty when all hold.
struct AssertionResult {
  std::string failure;
  std::string unsupported;
};
/// Names that statements `name = expression` gave.
using Variables = std::map<std::string, std::int64_t, std::less<>>;
[[nodiscard]] AssertionResult check_assertions(std::string_view text, const Subject& subject, Variables& variables);

}  // namespace penstock::script
