#include "bpf/abi/steer_object.h"

#include "bpf/abi/abi_check.h"

// Put there by the assembler from the object file (steer_object.S.in).
extern "C" {
extern const std::byte penstock_steer_object_begin[];
extern const std::byte penstock_steer_object_end[];
}

namespace penstock {

std::span<const std::byte> steer_object() { return {penstock_steer_object_begin, penstock_steer_object_end}; }

}  // namespace penstock
