// http_verdict.h - what the octets of a server's answer say about its health.
//
// Model     octets go in as they come; as soon as the head of the final response is complete, its status decides.
//           Interim responses (1xx) are skipped, the body is not read.
// Errors    an answer that is no HTTP, too long or too short is unhealthy, with the reason as text.
// Limits    kHeadOctetsMax of head in all, kInterimMax interim responses.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "mgmt/config/cluster.h"

namespace penstock::health {

inline constexpr std::size_t kHeadOctetsMax = 16 * 1024;
inline constexpr int kInterimMax = 8;

class HttpVerdict {
 public:
  enum class Result : std::uint8_t { more, healthy, unhealthy };
  explicit HttpVerdict(config::StatusRange expected);
  ~HttpVerdict();
  HttpVerdict(const HttpVerdict&) = delete;
  HttpVerdict& operator=(const HttpVerdict&) = delete;

  /// Once it is not `more`, it stays as it is.
  Result feed(std::string_view octets);
  /// Nothing more comes.
  Result end();
  /// Of the final response, once its head was complete.
  [[nodiscard]] std::optional<int> status() const { return status_; }
  [[nodiscard]] const std::string& reason() const { return reason_; }

 private:
  struct Parser;
  Result decide(Result result, std::string reason);
  Result parse();
  config::StatusRange expected_;
  std::unique_ptr<Parser> parser_;
  std::string pending_;
  std::string reason_;
  std::size_t octets_{0};
  int interim_{0};
  std::optional<int> status_;
  Result result_{Result::more};
};

}  // namespace penstock::health
