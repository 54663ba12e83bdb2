// options_text.h - TCP options between a script's words and octets.
//
// Model     reading keeps order, padding and everything that cannot be read; writing pads to a multiple of four.
// Errors    too many octets: encode() says no.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "dataplane/tcp/options.h"
#include "tests/conformance/runner/script.h"

namespace penstock::script {

[[nodiscard]] std::vector<Option> decode(ByteView bytes);
[[nodiscard]] std::optional<tcp::OptionBytes> encode(const std::vector<Option>& options);
/// As a script would write them.
[[nodiscard]] std::string text_of(const std::vector<Option>& options);

}  // namespace penstock::script
