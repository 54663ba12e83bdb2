// http_text.h - a second, plain reading of HTTP/1.1 for tests: whole messages out of a growing text.
//
// Model     shares no code with l7/http1. take_message() cuts the first complete message off the front of a text, or
//           says that more is needed. Heads are lines, bodies are counted or chunked.
// Errors    `broken` says what no message may look like; tests fail on it.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace penstock::sim {

struct HttpMessage {
  std::string start_line;
  std::map<std::string, std::string> fields;  ///< names in lower case; repeated ones joined by ", "
  std::string body;
  bool until_close{};  ///< the body ends with the connection
  [[nodiscard]] std::string field(const std::string& name) const {
    const auto at = fields.find(name);
    return at == fields.end() ? "" : at->second;
  }
  [[nodiscard]] int status() const { return std::stoi(start_line.substr(9, 3)); }
};

struct HttpTaken {
  std::optional<HttpMessage> head;  ///< as soon as the head is whole
  bool complete{};                  ///< body and trailers too; they were cut off the text
  std::string broken;
};

/// `bodiless`: the answer to HEAD. `closed`: nothing will follow the text.
[[nodiscard]] HttpTaken take_message(std::string& text, bool is_response, bool bodiless, bool closed);

}  // namespace penstock::sim
