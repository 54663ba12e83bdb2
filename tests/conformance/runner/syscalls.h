// syscalls.h - the socket calls that scripts make, on a Host.
//
// Model     attempt() does a call or says that it would block; the runner asks again when something has happened.
// Results
//           that a call writes (socket options, poll) are compared here, since the script writes them as arguments.
// Units     octets; results and errno names as scripts write them.
// Errors    a call, option or flag that is not known makes the script unsupported.
#pragma once
#include <set>
#include <string>
#include <utility>

#include "tests/conformance/runner/host.h"

namespace penstock::script {

struct Outcome {
  bool blocks{};
  std::int64_t result{};
  std::string error{};        ///< errno's name when result is -1
  std::string unsupported{};  ///< why the script cannot be judged
  std::string mismatch{};     ///< an argument that the call wrote is not what the script says
};

inline Outcome value(std::int64_t result) { return {.result = result}; }
inline Outcome error(std::string name) { return {.result = -1, .error = std::move(name)}; }
inline Outcome blocked() { return {.blocks = true}; }
inline Outcome unsupported(std::string why) { return {.unsupported = std::move(why)}; }

/// What is kept between two attempts of one call.
struct Progress {
  Instant started;
  std::uint32_t done{};
  bool begun{};
};

class Calls {
 public:
  Calls(Host& host, const Settings& settings) : host_{host}, settings_{settings} {}
  [[nodiscard]] Outcome attempt(const Call& call, Progress& progress);

 private:
  using Handler = Outcome (Calls::*)(const Call&, Progress&);
  struct Entry {
    std::string_view name;
    Handler handler;
    std::size_t arguments_min;
  };
  static const Entry kEntries[];

  Outcome open(const Call& call, Progress& progress);
  Outcome bind(const Call& call, Progress& progress);
  Outcome listen(const Call& call, Progress& progress);
  Outcome accept(const Call& call, Progress& progress);
  Outcome connect(const Call& call, Progress& progress);
  Outcome read(const Call& call, Progress& progress);
  Outcome write(const Call& call, Progress& progress);
  Outcome open_file(const Call& call, Progress& progress);
  Outcome close(const Call& call, Progress& progress);
  Outcome shutdown(const Call& call, Progress& progress);
  Outcome set_option(const Call& call, Progress& progress);
  Outcome get_option(const Call& call, Progress& progress);
  Outcome control(const Call& call, Progress& progress);
  Outcome query(const Call& call, Progress& progress);
  Outcome poll(const Call& call, Progress& progress);
  Outcome sleep(const Call& call, Progress& progress);

  [[nodiscard]] Socket* socket_of(const Call& call);
  void apply(Socket& socket);
  [[nodiscard]] std::string set_one(Socket& socket, const std::string& name, const Value& value);
  [[nodiscard]] std::int64_t get_one(Socket& socket, const std::string& name, Outcome& out);
  [[nodiscard]] std::string check_info(const Socket& socket, const Value& record, Outcome& out);
  [[nodiscard]] std::int64_t events_of(const Socket& socket) const;
  [[nodiscard]] bool readable(const Socket& socket) const;
  [[nodiscard]] Outcome take(Socket& socket, std::int64_t octets, bool peek);
  /// MSG_MORE and TCP_CORK: whole segments leave, the rest waits.
  [[nodiscard]] Outcome hold(Socket& socket, std::int64_t octets);

  Host& host_;
  const Settings& settings_;
  std::set<std::int64_t> files_;  ///< descriptors of open(); what they hold is zeros, as all payload here
};

}  // namespace penstock::script
