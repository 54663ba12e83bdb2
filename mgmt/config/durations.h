// durations.h - the units of time of the configuration.
#pragma once
#include <chrono>

namespace penstock::config {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

}  // namespace penstock::config
