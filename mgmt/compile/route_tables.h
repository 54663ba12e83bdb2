// route_tables.h - compiled route tables of the listeners, kept over reloads.
//
// Model     a table depends on its listener's virtual hosts alone; when these are as before, the image is the same
//           object. A new image is loaded as the dataplane would and compared with the linear reference on requests
//           made from the table (l7/route/compile/verify.h) before it is used. Hosts whose expressions the
//           listener's table had before are not compiled again.
// Units     a table with hundreds of expressions takes a second, one without milliseconds.
// Errors    problems of the router, each behind its listener's name.
// Limits    l7/route/limits.h; kVerifyRoutes bounds the time of the comparison.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "l7/route/compile/compiler.h"
#include "mgmt/config/config.h"

namespace penstock::compile {

/// Routes that the reference looks at in one comparison; about 0.1 s.
inline constexpr std::size_t kVerifyRoutes = 2'000'000;

struct CompiledRoutes {
  route::Image image;
  std::vector<std::string> clusters;  ///< by the table's cluster number
  std::size_t routes{};
};
using CompiledRoutesPointer = std::shared_ptr<const CompiledRoutes>;

class RouteTables {
 public:
  /// The table of a listener of HTTP.
  [[nodiscard]] Result<CompiledRoutesPointer, Problems> get(const config::Listener& listener);
  /// Forgets tables that get() has not returned since the last call.
  void forget_unused();
  /// Tables that were compiled, not found.
  [[nodiscard]] std::size_t compiled() const { return compiled_; }
  /// Databases of expressions that were compiled for them.
  [[nodiscard]] std::size_t databases() const { return databases_; }

 private:
  struct Kept {
    route::RouteTable table;
    CompiledRoutesPointer compiled;
    bool used{true};
  };
  struct ListenerCompiler {
    route::Compiler compiler;  ///< keeps the databases of the last table it made
    bool used{true};
  };
  [[nodiscard]] Result<CompiledRoutesPointer, Problems> make(route::Compiler& compiler, const route::RouteTable& table);
  std::map<std::string, ListenerCompiler> compilers_;  ///< by listener
  std::vector<Kept> kept_;
  std::size_t compiled_{};
  std::size_t databases_{};
};

}  // namespace penstock::compile
