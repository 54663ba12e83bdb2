#include "mgmt/health/http_verdict.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

namespace penstock::health {

namespace http = boost::beast::http;

struct HttpVerdict::Parser {
  http::response_parser<http::empty_body> of_head;
  Parser() { of_head.header_limit(kHeadOctetsMax); }
};

HttpVerdict::HttpVerdict(config::StatusRange expected) : expected_{expected}, parser_{std::make_unique<Parser>()} {}
HttpVerdict::~HttpVerdict() = default;

HttpVerdict::Result HttpVerdict::decide(Result result, std::string reason) {
  result_ = result;
  reason_ = std::move(reason);
  pending_.clear();
  return result_;
}

HttpVerdict::Result HttpVerdict::feed(std::string_view octets) {
  if (result_ != Result::more) return result_;
  octets_ += octets.size();
  pending_ += octets;
  while (result_ == Result::more && !pending_.empty()) {
    const std::size_t before = pending_.size();
    parse();
    if (pending_.size() == before) break;  // needs more
  }
  // What comes behind a decided head does not matter; without one it must not grow for ever.
  if (result_ == Result::more && octets_ > kHeadOctetsMax)
    return decide(Result::unhealthy, "response head is too long");
  return result_;
}

HttpVerdict::Result HttpVerdict::parse() {
  boost::system::error_code error;
  const std::size_t used = parser_->of_head.put(boost::asio::buffer(pending_), error);
  pending_.erase(0, used);
  if (parser_->of_head.is_header_done()) {
    const unsigned status = parser_->of_head.get().result_int();
    if (status == 101 || status >= 200) {
      status_ = static_cast<int>(status);
      const bool good = status >= expected_.low && status <= expected_.high;
      return decide(good ? Result::healthy : Result::unhealthy, "status " + std::to_string(status));
    }
    if (++interim_ > kInterimMax) return decide(Result::unhealthy, "too many interim responses");
    parser_ = std::make_unique<Parser>();
    return result_;
  }
  if (error && error != http::error::need_more) return decide(Result::unhealthy, "no HTTP: " + error.message());
  return result_;
}

HttpVerdict::Result HttpVerdict::end() {
  if (result_ != Result::more) return result_;
  return decide(Result::unhealthy, octets_ == 0 ? "closed without an answer" : "closed within the response head");
}

}  // namespace penstock::health
