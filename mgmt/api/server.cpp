#include "mgmt/api/server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <set>

namespace penstock::api {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using UnixSocket = asio::local::stream_protocol;
using asio::ip::tcp;

asio::ip::address asio_address(const IpAddress& address) { return asio::ip::make_address(address.text()); }

std::optional<uid_t> peer_uid(int fd) {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return std::nullopt;
  return credentials.uid;
}

class SessionBase {
 public:
  virtual ~SessionBase() = default;
  virtual void close() = 0;
};
using Sessions = std::set<SessionBase*>;

/// One connection: read a request, hand it over, write the answer, again.
template <typename Protocol>
class Session : public SessionBase, public std::enable_shared_from_this<Session<Protocol>> {
 public:
  using Stream = beast::basic_stream<Protocol>;
  Session(typename Protocol::socket socket, Handler handler, std::shared_ptr<Sessions> all)
      : stream_{std::move(socket)}, handler_{std::move(handler)}, all_{std::move(all)} {
    all_->insert(this);
    if constexpr (std::is_same_v<Protocol, UnixSocket>) uid_ = peer_uid(stream_.socket().native_handle());
  }
  ~Session() override { all_->erase(this); }
  void close() override {
    error_code ignored;
    stream_.socket().close(ignored);
  }

  void read() {
    parser_.emplace();
    parser_->body_limit(kBodyOctetsMax);
    stream_.expires_after(kIdleTimeout);
    http::async_read(stream_, buffer_, *parser_,
                     [self = this->shared_from_this()](error_code error, std::size_t) { self->on_read(error); });
  }

 private:
  void on_read(error_code error) {
    if (error == http::error::body_limit) return write({413, "text/plain", "request body is too large\n"}, false);
    if (error) return;
    const auto& message = parser_->get();
    Request request;
    request.method = std::string{message.method_string()};
    request.body = message.body();
    request.peer_uid = uid_;
    const bool keep_alive = message.keep_alive();
    const auto target = message.target();
    if (!parse_target({target.data(), target.size()}, request))
      return write({400, "text/plain", "broken escape in the request target\n"}, false);
    stream_.expires_after(kReplyTimeout);
    handler_(std::move(request), [self = this->shared_from_this(), keep_alive](Response response) {
      self->write(std::move(response), keep_alive);
    });
  }

  void write(Response response, bool keep_alive) {
    message_.emplace(http::int_to_status(response.status), 11);
    message_->set(http::field::server, "penstockd");
    message_->set(http::field::content_type, response.content_type);
    message_->keep_alive(keep_alive);
    message_->body() = std::move(response.body);
    message_->prepare_payload();
    stream_.expires_after(kIdleTimeout);
    http::async_write(stream_, *message_, [self = this->shared_from_this(), keep_alive](error_code error, std::size_t) {
      if (!error && keep_alive) self->read();
    });
  }

  Stream stream_;
  Handler handler_;
  std::shared_ptr<Sessions> all_;
  std::optional<uid_t> uid_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::optional<http::response<http::string_body>> message_;
};

template <typename Protocol>
void accept_loop(std::shared_ptr<typename Protocol::acceptor> acceptor, Handler handler,
                 std::shared_ptr<Sessions> sessions) {
  typename Protocol::acceptor& socket = *acceptor;
  socket.async_accept([acceptor = std::move(acceptor), handler = std::move(handler), sessions = std::move(sessions)](
                          error_code error, typename Protocol::socket peer) mutable {
    if (error == asio::error::operation_aborted || !acceptor->is_open()) return;
    if (!error && sessions->size() < kConnectionMax)
      std::make_shared<Session<Protocol>>(std::move(peer), handler, sessions)->read();
    accept_loop<Protocol>(std::move(acceptor), std::move(handler), std::move(sessions));
  });
}

}  // namespace

struct Server::Impl {
  explicit Impl(asio::io_context& io) : loop{io} {}
  asio::io_context& loop;
  std::shared_ptr<Sessions> sessions = std::make_shared<Sessions>();
  std::shared_ptr<UnixSocket::acceptor> unix_acceptor;
  std::shared_ptr<tcp::acceptor> tcp_acceptor;
  std::string unix_path;
};

Server::Server(asio::io_context& loop) : impl_{std::make_shared<Impl>(loop)} {}
Server::~Server() { close(); }

Status Server::listen_unix(const std::string& path, mode_t mode, Handler handler) {
  if (path.size() >= 108) return Problem{path, "socket path is longer than 107 octets", "choose a shorter runtime_dir"};
  if (unix_socket_is_alive(path))
    return Problem{path, "another penstockd answers there", "stop it, or give this one another node.runtime_dir"};
  ::unlink(path.c_str());
  auto acceptor = std::make_shared<UnixSocket::acceptor>(impl_->loop);
  error_code error;
  acceptor->open(UnixSocket{}, error);
  const mode_t umask_before = ::umask(0777 & ~mode);
  if (!error) acceptor->bind(UnixSocket::endpoint{path}, error);
  ::umask(umask_before);
  if (!error) acceptor->listen(asio::socket_base::max_listen_connections, error);
  if (error) return Problem{path, "cannot listen: " + error.message(), "check that the directory is writable"};
  impl_->unix_acceptor = acceptor;
  impl_->unix_path = path;
  accept_loop<UnixSocket>(std::move(acceptor), std::move(handler), impl_->sessions);
  return Done{};
}

Status Server::listen_tcp(const IpAddress& address, std::uint16_t port, Handler handler) {
  auto acceptor = std::make_shared<tcp::acceptor>(impl_->loop);
  const tcp::endpoint endpoint{asio_address(address), port};
  error_code error;
  acceptor->open(endpoint.protocol(), error);
  if (!error) acceptor->set_option(tcp::acceptor::reuse_address{true}, error);
  if (!error) acceptor->bind(endpoint, error);
  if (!error) acceptor->listen(asio::socket_base::max_listen_connections, error);
  if (error)
    return Problem{address.text() + " port " + std::to_string(port), "cannot listen: " + error.message(),
                   "choose another node.metrics address or port"};
  impl_->tcp_acceptor = acceptor;
  accept_loop<tcp>(std::move(acceptor), std::move(handler), impl_->sessions);
  return Done{};
}

std::uint16_t Server::tcp_port() const {
  error_code error;
  return impl_->tcp_acceptor ? impl_->tcp_acceptor->local_endpoint(error).port() : std::uint16_t{0};
}

void Server::close() {
  error_code ignored;
  if (impl_->unix_acceptor) {
    impl_->unix_acceptor->close(ignored);
    ::unlink(impl_->unix_path.c_str());
    impl_->unix_acceptor.reset();
  }
  if (impl_->tcp_acceptor) impl_->tcp_acceptor->close(ignored);
  impl_->tcp_acceptor.reset();
  for (SessionBase* session : Sessions{*impl_->sessions}) session->close();
}

bool unix_socket_is_alive(const std::string& path) {
  if (path.size() >= 108) return false;
  asio::io_context loop;
  UnixSocket::socket socket{loop};
  error_code error;
  socket.connect(UnixSocket::endpoint{path}, error);
  return !error;
}

Status tcp_port_is_free(const IpAddress& address, std::uint16_t port) {
  asio::io_context loop;
  Server probe{loop};
  return probe.listen_tcp(address, port, [](Request, const Respond&) {});
}

}  // namespace penstock::api
