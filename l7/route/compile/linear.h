// linear.h - the reference: routes tried one after the other.
//
// Model     the specification in its plainest form: RE2 (Latin-1, whole text) for expressions, joined strings for
//           headers, a loop over routes. Shares no code with the compiled form.
// Units     routes are numbers within their host.
// Errors    none: the table was validated.
// Not here  speed; route_bench.cpp measures how little.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "l7/route/request_view.h"
#include "l7/route/route_config.h"

namespace re2 {
class RE2;
}

namespace penstock::route {

struct LinearMatch {
  std::size_t host;
  std::size_t route;
  friend bool operator==(const LinearMatch&, const LinearMatch&) = default;
};

class LinearTable {
 public:
  explicit LinearTable(const RouteTable& table);
  ~LinearTable();
  LinearTable(const LinearTable&) = delete;
  LinearTable& operator=(const LinearTable&) = delete;

  [[nodiscard]] std::optional<std::size_t> find_host(std::string_view host) const;
  /// nullopt: no host, no route, or a path that routing refuses.
  [[nodiscard]] std::optional<LinearMatch> match(const RequestView& request) const;
  [[nodiscard]] bool route_matches(const Route& route, const RequestView& request) const;

 private:
  [[nodiscard]] bool path_matches(const PathMatch& match, std::string_view path) const;
  [[nodiscard]] bool value_matches(const ValueMatch& match, const std::optional<std::string>& value) const;
  [[nodiscard]] bool full_match(const std::string& pattern, std::string_view text) const;
  void prepare(const std::string& pattern);

  const RouteTable& table_;
  std::map<std::string, std::unique_ptr<re2::RE2>, std::less<>> patterns_;
};

}  // namespace penstock::route
