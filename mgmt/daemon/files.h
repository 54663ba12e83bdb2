// files.h - small files, read and replaced whole.
//
// Errors    read_file() has no value when the file cannot be read; replace_file() tells why.
#pragma once
#include <sys/types.h>

#include <optional>
#include <string>

#include "dataplane/core/result.h"

namespace penstock::daemon {

[[nodiscard]] std::optional<std::string> read_file(const std::string& path);
/// Writes beside it, then renames: readers see the old or the new text. The file has exactly this mode.
[[nodiscard]] Status replace_file(const std::string& path, const std::string& text, mode_t mode);

}  // namespace penstock::daemon
