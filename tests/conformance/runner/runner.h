// runner.h - plays a script against the stack in virtual time, and judges.
//
// Model     events in their order: time passes until an event is due; packets of the peer are injected, calls are made,
//           what leaves is compared. A call with a time range may block: it is asked again after everything that
//           happens, and must return at the end of its range. Relative times count from when the event before happened.
// Units     microseconds of virtual time.
// Errors    Verdict: pass; fail with line, expected, came; unsupported with the reason. Deterministic.
#pragma once
#include <string>
#include <vector>

#include "tests/conformance/runner/script.h"
#include "tests/conformance/runner/settings.h"

namespace penstock::script {

enum class Result : std::uint8_t { pass, fail, unsupported };

struct Verdict {
  Result result{};
  int line{};          ///< of the script; 0: of no line
  std::string reason;  ///< "expected ..., came ..."
  std::vector<std::string> notes;
};

/// Plays `script` with the settings of the command line, which the script's own lines change.
[[nodiscard]] Verdict play(const Script& script, const Settings& settings, bool v4);

/// One text in the families that it and `settings` allow.
struct FamilyVerdict {
  bool v4{};
  Verdict verdict;
};
/// What the command line says. The profile "auto" is guessed for each script.
struct Invocation {
  std::string profile{"auto"};
  std::vector<std::pair<std::string, std::string>> changes;  ///< they win over what the script says
};
[[nodiscard]] std::vector<FamilyVerdict> run_text(std::string_view text, const Invocation& invocation);

[[nodiscard]] std::string_view name_of(Result result);

}  // namespace penstock::script
