// arguments.h - what the arguments of a script's call say.
//
// Model     small functions over Call and Value; flags are names joined by '|'.
// Units     octets; numbers as the script writes them.
// Errors    what is missing counts as zero or empty.
#pragma once
#include <initializer_list>
#include <string>
#include <string_view>

#include "tests/conformance/runner/script.h"

namespace penstock::script {

[[nodiscard]] std::int64_t number_of(const Call& call, std::size_t i, std::int64_t otherwise = 0);
[[nodiscard]] std::string name_of(const Call& call, std::size_t i);
[[nodiscard]] bool has_flag(const std::string& flags, std::string_view one);
/// The flags of `flags` that are not among `known`; "0" is none.
[[nodiscard]] bool only_flags(const std::string& flags, std::initializer_list<std::string_view> known);
[[nodiscard]] const Value* field_of(const Value& record, std::string_view name);
[[nodiscard]] std::uint16_t port_of(const Call& call, std::size_t i);
/// Octets of an I/O vector: [{..., 1000}, {..., 500}].
[[nodiscard]] std::int64_t vector_octets(const Value& vector);
/// The number inside [n], or n.
[[nodiscard]] const Value& inside(const Value& value);

}  // namespace penstock::script
