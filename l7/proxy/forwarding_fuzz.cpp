// Any octets as the values that tell where a request came from: judged the same twice, read within their bounds.
#include <cstdlib>
#include <string>

#include "l7/proxy/sender_list.h"
#include "l7/proxy/trace_context.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  std::string_view list = text;
  std::size_t left = size + 1;
  for (std::string_view element = proxy::take_last(list); !element.empty(); element = proxy::take_last(list)) {
    if (list.size() >= left) std::abort();
    left = list.size();
    if (element.find(',') != std::string_view::npos) std::abort();
    if (const auto address = proxy::sender_address(element)) {
      // What was understood can be written, and is understood again as the same.
      std::array<char, 48> room;
      stream::Writer out{room};
      proxy::put_address(*address, out);
      if (!out.ok() || proxy::sender_address(out.text()) != address) std::abort();
    }
  }
  // A valid value has no octet that could end a field line.
  if ((proxy::is_traceparent(text.substr(0, proxy::kTraceparentOctets)) || proxy::is_tracestate(text)) &&
      text.substr(0, proxy::kTraceparentOctets).find_first_of(std::string_view{"\r\n\0", 3}) != std::string_view::npos)
    std::abort();
  return 0;
}
