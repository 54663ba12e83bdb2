// http_checks.h - what must hold between a listener of HTTP, its virtual hosts and its clusters.
//
// Model     parts of checks.h for one topic. Routes by themselves were judged when they were read (convert.cpp).
// Errors    findings in the Reader, each at the value that has to change.
#pragma once
#include <functional>
#include <string_view>

#include "mgmt/config/config.h"
#include "mgmt/config/locator.h"
#include "mgmt/config/reader.h"

namespace penstock::config {

/// `known` tells whether a cluster exists; `names` are all of them, for hints.
void check_http_listener(const Listener& listener, const YamlNode& text, Reader& reader,
                         const std::function<bool(std::string_view)>& known, std::span<const std::string_view> names);

/// Policies and health checks of one cluster.
void check_cluster_policies(const Cluster& cluster, const YamlNode& text, Reader& reader);

}  // namespace penstock::config
