// http.h - a request and its answer, free of any library.
//
// Model     the server turns bytes into a Request and a Response into bytes; the router is a function between them.
// Units     the query is decoded; a repeated key keeps its last value.
#pragma once
#include <sys/types.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::api {

struct Request {
  std::string method;  ///< GET, POST, ...
  std::string path;    ///< decoded, without query
  std::map<std::string, std::string> query;
  std::string body;
  std::optional<uid_t> peer_uid;  ///< of a Unix socket
};

struct Response {
  unsigned status{200};
  std::string content_type{"application/json"};
  std::string body;
};
using Respond = std::function<void(Response)>;
/// Answers by calling `respond` exactly once, now or later, on the same thread.
using Handler = std::function<void(Request, Respond)>;

/// Splits "/v1/flows?limit=5&client=10.0.0.0%2F8". False when an escape is broken.
[[nodiscard]] bool parse_target(std::string_view target, Request& into);
/// The opposite, for clients.
[[nodiscard]] std::string target_of(const std::string& path, const std::map<std::string, std::string>& query);

}  // namespace penstock::api
