// sd_notify.h - tells the service manager about progress, when there is one (NOTIFY_SOCKET).
#pragma once
#include <string>

namespace penstock::daemon {

/// Sends e.g. "READY=1". Nothing happens without NOTIFY_SOCKET, or when nobody listens there.
void sd_notify(const std::string& state);
/// "RELOADING=1" with the time stamp that Type=notify-reload wants.
void sd_notify_reloading();

}  // namespace penstock::daemon
