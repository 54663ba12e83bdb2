#include "mgmt/api/client.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

namespace penstock::api {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

/// Runs the loop until the one operation under way has ended.
error_code finish(asio::io_context& loop, const error_code& result) {
  loop.restart();
  loop.run();
  return result;
}

Failure failure(const std::string& path, const error_code& error) {
  const auto kind = error == beast::error::timeout ? Failure::Kind::timeout : Failure::Kind::broken;
  return {kind, path + ": " + error.message()};
}

}  // namespace

Result<Response, Failure> call(const std::string& path, const Request& request, std::chrono::milliseconds at_most) {
  asio::io_context loop;
  beast::basic_stream<asio::local::stream_protocol> stream{loop};
  error_code error;
  if (path.size() >= 108) return Failure{Failure::Kind::unreachable, path + ": socket path is too long"};
  stream.socket().connect(asio::local::stream_protocol::endpoint{path}, error);
  if (error) return Failure{Failure::Kind::unreachable, path + ": " + error.message()};
  stream.expires_after(at_most);
  http::request<http::string_body> message{http::string_to_verb(request.method), target_of(request.path, request.query),
                                           11};
  message.set(http::field::host, "penstockd");
  message.keep_alive(false);
  message.body() = request.body;
  message.prepare_payload();
  const auto keep = [&error](error_code e, std::size_t) { error = e; };
  http::async_write(stream, message, keep);
  if (finish(loop, error)) return failure(path, error);
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(std::uint64_t{256} << 20);
  http::async_read(stream, buffer, parser, keep);
  if (finish(loop, error)) return failure(path, error);
  Response response;
  response.status = parser.get().result_int();
  response.content_type = std::string{parser.get()[http::field::content_type]};
  response.body = std::move(parser.get().body());
  return response;
}

}  // namespace penstock::api
