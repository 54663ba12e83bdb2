// condition.h - do the conditions of a route beside its path hold?
//
// Model     method, headers and query parameters; all must hold. Several lines of one header count as one value
//           joined by ',', compared piece by piece, so nothing is copied and nothing can be too long.
// Units     routes are numbers within their host.
// Errors    none: a value that is no number is outside every range.
// Not here  the path (match.h).
#pragma once
#include "l7/route/loaded_table.h"
#include "l7/route/request_view.h"

namespace penstock::route {

[[nodiscard]] Method method_of(std::string_view token);

class Conditions {
 public:
  Conditions(const HostView& host, const RequestView& request, ProgramScratch& scratch)
      : host_{host}, request_{request}, scratch_{scratch} {}
  [[nodiscard]] bool hold(std::uint32_t route);

 private:
  [[nodiscard]] bool method_holds(const RouteGate& gate);
  [[nodiscard]] bool header_holds(const Condition& condition);
  [[nodiscard]] bool query_holds(const Condition& condition);

  const HostView& host_;
  const RequestView& request_;
  ProgramScratch& scratch_;
  int method_{-1};  ///< Method, computed when the first route asks
};

}  // namespace penstock::route
