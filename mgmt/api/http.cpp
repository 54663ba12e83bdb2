#include "mgmt/api/http.h"

#include <charconv>

namespace penstock::api {
namespace {

std::optional<std::string> decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      unsigned value{};
      if (i + 2 >= text.size()) return std::nullopt;
      const auto [end, error] = std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16);
      if (error != std::errc{} || end != text.data() + i + 3) return std::nullopt;
      out += static_cast<char>(value);
      i += 2;
    }
  }
  return out;
}

std::string encode(std::string_view text) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  static constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~";
  std::string out;
  for (const char c : text) {
    if (kPlain.find(c) != std::string_view::npos) {
      out += c;
    } else {
      const auto octet = static_cast<unsigned char>(c);
      out += {'%', kHex[octet >> 4], kHex[octet & 15]};
    }
  }
  return out;
}

}  // namespace

bool parse_target(std::string_view target, Request& into) {
  const std::size_t mark = target.find('?');
  const auto path = decode(target.substr(0, mark));
  if (!path) return false;
  into.path = *path;
  std::string_view rest = mark == std::string_view::npos ? std::string_view{} : target.substr(mark + 1);
  while (!rest.empty()) {
    const std::size_t end = rest.find('&');
    const std::string_view pair = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    const std::size_t equals = pair.find('=');
    const auto key = decode(pair.substr(0, equals));
    const auto value =
        equals == std::string_view::npos ? std::optional<std::string>{""} : decode(pair.substr(equals + 1));
    if (!key || !value) return false;
    if (!key->empty()) into.query[*key] = *value;
  }
  return true;
}

std::string target_of(const std::string& path, const std::map<std::string, std::string>& query) {
  std::string out = path;
  char separator = '?';
  for (const auto& [key, value] : query) {
    out += separator + encode(key) + "=" + encode(value);
    separator = '&';
  }
  return out;
}

}  // namespace penstock::api
