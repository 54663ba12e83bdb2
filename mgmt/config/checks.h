// checks.h - what must hold between the values of a configuration.
//
// Model     runs over a Config whose single values were read; the YAML tree beside it gives the places. Values that
//           already have a finding are left alone, so one mistake makes one problem.
// Errors    findings in the Reader, each at the value that has to change.
#pragma once
#include "mgmt/config/config.h"
#include "mgmt/config/loader.h"
#include "mgmt/config/reader.h"

namespace penstock::config {

void check_relations(const Config& config, const YamlNode& root, const Machine& machine, Reader& reader);

}  // namespace penstock::config
