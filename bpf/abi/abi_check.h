// abi_check.h - the C++ side of the layout assertions of steer.h.
//
// Model     offsets as the BPF compiler lays them out; tests/bpf compares sizes with the loaded maps.
// Errors    a difference does not compile.
#pragma once
#include <cstddef>
#include <type_traits>

#include "bpf/abi/steer.h"

namespace penstock::abi {

template <typename T>
inline constexpr bool kPlain = std::is_trivially_copyable<T>::value&& std::is_standard_layout<T>::value;

static_assert(kPlain<penstock_steer_key> && kPlain<penstock_steer_value> && kPlain<penstock_address_value>);
static_assert(kPlain<penstock_port_range> && kPlain<penstock_steer_config> && kPlain<penstock_steer_runtime>);
static_assert(kPlain<penstock_heartbeat> && kPlain<penstock_flow_key> && kPlain<penstock_kernel_flow>);
static_assert(kPlain<penstock_dnat_flow> && kPlain<penstock_port_config>);
static_assert(kPlain<penstock_forward> && kPlain<penstock_forward_slot>);
static_assert(offsetof(penstock_forward_slot, src) == 8 && offsetof(penstock_forward_slot, src_port) == 40);
static_assert(offsetof(penstock_forward_slot, dst_mac) == 44 && offsetof(penstock_forward_slot, l4_delta) == 56);
static_assert(offsetof(penstock_forward_slot, last_seen_ns) == 64 && offsetof(penstock_forward_slot, seq_delta) == 88);
static_assert(offsetof(penstock_steer_key, port) == 16 && offsetof(penstock_steer_key, ip_proto) == 18);
static_assert(offsetof(penstock_port_range, high) == 2 && offsetof(penstock_port_range, zero) == 4);
static_assert(offsetof(penstock_steer_config, heartbeat_limit_ns) == 8);
static_assert(offsetof(penstock_steer_config, kernel_flow_idle_ns) == 16);
static_assert(offsetof(penstock_steer_config, flags) == 24);
static_assert(offsetof(penstock_heartbeat, beat_ns) == 0);
static_assert(offsetof(penstock_flow_key, dst) == 16 && offsetof(penstock_flow_key, src_port) == 32);
static_assert(offsetof(penstock_flow_key, ip_proto) == 36);

}  // namespace penstock::abi
