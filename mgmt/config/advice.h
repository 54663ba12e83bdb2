// advice.h - what a configuration may say but hardly means, and what it could do better.
//
// Model     runs over a Config that was accepted, for `penstock check`. A warning is about something that has no
//           effect: a route that an earlier one of its virtual host hides (l7/route/compile/shadow.h). A note
//           recommends. Neither refuses anything.
// Errors    findings, each at the value that one would change.
#pragma once
#include "mgmt/config/config.h"
#include "mgmt/config/document.h"
#include "mgmt/config/loader.h"

namespace penstock::config {

[[nodiscard]] Findings find_warnings(const Config& config, const YamlNode& root);
[[nodiscard]] Findings find_notes(const Config& config, const YamlNode& root, const Machine& machine);

}  // namespace penstock::config
