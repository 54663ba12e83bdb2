// table_builder.h - host images and domains into the image of a table.
//
// Model     domains into a hash table (exact) and two tries (wildcards); host images side by side.
// Units     octets.
// Errors    none: the configuration was validated.
#pragma once
#include <string>
#include <vector>

#include "l7/route/compile/host_builder.h"
#include "l7/route/flat_image.h"
#include "l7/route/route_config.h"

namespace penstock::route {

[[nodiscard]] ClusterNames number_clusters(const RouteTable& table);
/// `hosts` in the order of table.virtual_hosts.
[[nodiscard]] Image build_table(const RouteTable& table, const ClusterNames& clusters, const std::vector<Image>& hosts);

}  // namespace penstock::route
