#include "tests/sim/http/http_text.h"

#include <algorithm>
#include <cctype>

namespace penstock::sim {
namespace {

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

/// Decodes chunks from `at` on; the end of the message, or npos when more is needed.
std::size_t decode_chunks(const std::string& text, std::size_t at, std::string& body, std::string& broken) {
  for (;;) {
    const std::size_t line = text.find("\r\n", at);
    if (line == std::string::npos) return std::string::npos;
    std::size_t used = 0;
    const std::string size_text = text.substr(at, line - at);
    std::size_t size = 0;
    if (size_text.empty() || !std::isxdigit(static_cast<unsigned char>(size_text[0]))) {
      broken = "chunk size '" + size_text + "'";
      return std::string::npos;
    }
    size = std::stoul(size_text, &used, 16);
    at = line + 2;
    if (size == 0) {
      for (;;) {
        const std::size_t end = text.find("\r\n", at);
        if (end == std::string::npos) return std::string::npos;
        if (end == at) return end + 2;
        at = end + 2;
      }
    }
    if (text.size() < at + size + 2) return std::string::npos;
    body += text.substr(at, size);
    if (text.compare(at + size, 2, "\r\n") != 0) {
      broken = "no CRLF behind a chunk";
      return std::string::npos;
    }
    at += size + 2;
  }
}

}  // namespace

HttpTaken take_message(std::string& text, bool is_response, bool bodiless, bool closed) {
  HttpTaken out;
  const std::size_t end = text.find("\r\n\r\n");
  if (end == std::string::npos) return out;
  HttpMessage message;
  std::size_t at = text.find("\r\n");
  message.start_line = text.substr(0, at);
  while (at < end) {
    const std::size_t begin = at + 2, line = text.find("\r\n", begin), colon = text.find(':', begin);
    if (colon == std::string::npos || colon > line) {
      out.broken = "field line without a colon";
      return out;
    }
    std::string value = text.substr(colon + 1, line - colon - 1);
    value.erase(0, value.find_first_not_of(' ') == std::string::npos ? value.size() : value.find_first_not_of(' '));
    std::string& field = message.fields[lower(text.substr(begin, colon - begin))];
    field += (field.empty() ? "" : ", ") + value;
    at = line;
  }
  const std::size_t body = end + 4;
  if (is_response) {
    const int status = message.status();
    bodiless = bodiless || status < 200 || status == 204 || status == 304;
  }
  std::size_t message_end = body;
  if (!bodiless && message.fields.contains("transfer-encoding")) {
    if (message.fields.contains("content-length")) out.broken = "both framings";
    message_end = decode_chunks(text, body, message.body, out.broken);
  } else if (!bodiless && message.fields.contains("content-length")) {
    const std::size_t octets = std::stoul(message.field("content-length"));
    message_end = text.size() < body + octets ? std::string::npos : body + octets;
    if (message_end != std::string::npos) message.body = text.substr(body, octets);
  } else if (!bodiless && is_response) {
    message.until_close = true;
    message_end = closed ? text.size() : std::string::npos;
    if (closed) message.body = text.substr(body);
  }
  out.head = message;
  if (message_end == std::string::npos || !out.broken.empty()) return out;
  out.complete = true;
  text.erase(0, message_end);
  return out;
}

}  // namespace penstock::sim
