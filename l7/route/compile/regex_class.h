// regex_class.h - character classes of regular expressions as octet sets.
//
// Model     ASCII classes with RE2's meaning: \s has no vertical tab, negation takes in all octets above 127.
// Errors    lookups answer nullopt for unknown names.
#pragma once
#include <optional>
#include <string_view>

#include "l7/route/regex_program.h"

namespace penstock::route {

/// \d \s \w and, in upper case, what they leave out.
[[nodiscard]] std::optional<OctetSet> perl_class(char letter);
/// "alpha" of [[:alpha:]].
[[nodiscard]] std::optional<OctetSet> posix_class(std::string_view name);
[[nodiscard]] OctetSet negated(OctetSet set);
/// With both cases of every ASCII letter in it.
[[nodiscard]] OctetSet folded(OctetSet set);
void unite(OctetSet& into, const OctetSet& other);

}  // namespace penstock::route
