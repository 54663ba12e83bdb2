// steer_object.h - the compiled steering program, embedded.
//
// Model     an ELF object for libbpf's bpf_object__open_mem(); built from bpf/xdp/steer.bpf.c.
#pragma once
#include <cstddef>
#include <span>

namespace penstock {

inline constexpr const char* kSteerProgramName = "penstock_steer";
[[nodiscard]] std::span<const std::byte> steer_object();

}  // namespace penstock
