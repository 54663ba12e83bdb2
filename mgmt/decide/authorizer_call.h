// authorizer_call.h - one question to an HTTP authorizer, over a connection of its own from the node's namespace.
//
// Model     connect, ask, read the head of the answer; one timer bounds the whole. Runs on the event loop; done() is
//           called once, never from within run().
// Errors    no answer, or one that is no HTTP, is nullopt.
// Not here  how many calls there may be (mgmt/daemon/question_pump.h).
#pragma once
#include <boost/asio/io_context.hpp>
#include <functional>
#include <optional>
#include <string>

#include "mgmt/config/config.h"

namespace penstock::decide {

/// The status of the answer, if there was one.
using AuthorizerDone = std::function<void(std::optional<int> status)>;
void call_authorizer(boost::asio::io_context& loop, const route::ExternalAuthorizer& external, std::string request,
                     AuthorizerDone done);

}  // namespace penstock::decide
