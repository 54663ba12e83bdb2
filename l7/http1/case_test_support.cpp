#include "l7/http1/case_test_support.h"

#include <fstream>
#include <sstream>

#include "dataplane/core/require.h"
#include "l7/http1/chars.h"

namespace penstock::http1::test {

namespace {

/// One octet or escape at `at`, which moves on.
char octet_at(std::string_view text, std::size_t& at) {
  if (text[at] != '\\') return text[at++];
  require(at + 1 < text.size(), "case: a backslash at the end of a line");
  const char kind = text[at + 1];
  at += 2;
  switch (kind) {
    case 'r':
      return '\r';
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case '\\':
      return '\\';
    case 'x': {
      require(at + 2 <= text.size(), "case: \\x without two digits");
      const int value = hex_value(text[at]) * 16 + hex_value(text[at + 1]);
      at += 2;
      return static_cast<char>(value);
    }
    default:
      require(false, "case: unknown escape");
  }
  return 0;
}

std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    if (!text.substr(at).starts_with("\\(")) {
      out += octet_at(text, at);
      continue;
    }
    at += 2;
    const char octet = octet_at(text, at);
    const std::size_t close = text.find(')', at);
    require(text[at] == '*' && close != std::string_view::npos, "case: \\( without *N)");
    out.append(std::stoul(std::string{text.substr(at + 1, close - at - 1)}), octet);
    at = close + 1;
  }
  return out;
}

void read_line(const std::string& line, std::vector<Case>& cases) {
  if (line.empty() || line[0] == '#') return;
  const std::string_view rest = std::string_view{line}.substr(line.size() > 1 ? 2 : 1);
  if (line[0] == '>') {
    cases.back().input += unescaped(rest);
  } else if (line[0] == '<') {
    cases.back().expected.messages.push_back(unescaped(rest));
  } else if (line[0] == '=') {
    cases.back().expected.end = rest;
  } else {
    std::istringstream words{line};
    std::string method, closed;
    Case one;
    words >> one.name >> method >> closed;
    one.method = method == "HEAD" ? Method::head : method == "CONNECT" ? Method::connect : Method::get;
    one.closed = closed == "closed";
    cases.push_back(std::move(one));
  }
}

/// As escaped(), with runs of one octet shortened.
std::string packed(const std::string& text) {
  constexpr std::size_t kRun = 40;
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at;
    while (end < text.size() && text[end] == text[at]) ++end;
    const std::string one = escaped(text.substr(at, 1));
    if (end - at >= kRun) {
      out += "\\(" + one + "*" + std::to_string(end - at) + ")";
    } else {
      for (std::size_t i = at; i < end; ++i) out += one;
    }
    at = end;
  }
  return out;
}

}  // namespace

std::vector<Case> read_cases(const std::string& path) {
  std::ifstream file{path};
  require(file.good(), "case table cannot be read");
  std::vector<Case> cases;
  for (std::string line; std::getline(file, line);) read_line(line, cases);
  return cases;
}

void rewrite_cases(const std::string& path, const std::vector<Relayed>& results) {
  std::ifstream file{path};
  std::string out;
  std::size_t index = 0;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line[0] == '<') continue;
    if (!line.empty() && line[0] == '=') {
      const Relayed& result = results.at(index++);
      for (const std::string& message : result.messages) out += "< " + packed(message) + "\n";
      line = "= " + result.end;
    }
    out += line + "\n";
  }
  std::ofstream{path} << out;
}

}  // namespace penstock::http1::test
