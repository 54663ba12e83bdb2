// script_fuzz: any text as a script. Reading it ends, with a script or a refusal that names a line; its statements too.
#include <cstddef>
#include <cstdlib>

#include "tests/conformance/runner/info.h"
#include "tests/conformance/runner/options_text.h"
#include "tests/conformance/runner/settings.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;  // a test program, not a header
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  static const tcp::Pools pools{16, 16};
  for (const std::string& variant : script::conditions_of(text)) static_cast<void>(script::parse(text, variant));
  const auto parsed = script::parse(text);
  if (const auto* refusal = std::get_if<script::Refusal>(&parsed)) {
    if (refusal->line < 1 || refusal->why.empty()) std::abort();
    return 0;
  }
  const auto& script = std::get<script::Script>(parsed);
  script::Settings settings;
  script::Variables variables;
  for (const auto& one : script.directives) static_cast<void>(settings.set(one.key, one.value));
  for (const auto& one : script.options) static_cast<void>(settings.option(one.key, one.value));
  for (const auto& event : script.events) {
    if (const auto* packet = std::get_if<script::Packet>(&event.what)) {
      // What is written is read back the same.
      if (const auto bytes = script::encode(packet->options)) static_cast<void>(script::decode(bytes->view()));
    } else if (const auto* shell = std::get_if<script::Shell>(&event.what)) {
      static_cast<void>(settings.shell(shell->text));
    } else if (const auto* statements = std::get_if<script::Assertions>(&event.what)) {
      static_cast<void>(script::check_assertions(statements->text, {nullptr, pools, Instant{}, false}, variables));
    }
  }
  return 0;
}
