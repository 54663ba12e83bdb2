// sealed_memfd.h - bytes in a memfd that nobody can change any more.
//
// Errors    Problem with the system call.
#pragma once
#include "dataplane/core/be.h"
#include "dataplane/core/fd.h"
#include "dataplane/core/result.h"

namespace penstock::publish {

[[nodiscard]] Result<Fd> sealed_memfd(const char* name, ByteView bytes);

}  // namespace penstock::publish
