// http1_bench: what a head costs, ours at each SIMD level against Debian's http_parser 2.9.4 in the same run.
//
// Heads are the three of docs/architecture/http1.md: a bare curl request, a mesh request with 13 fields, a browser's
// with a cookie. Both sides must agree on what they found: the counter `hash` is over targets, names and values, and a
// difference is an error of the bench.
#include <benchmark/benchmark.h>
#include <http_parser.h>

#include <array>
#include <charconv>
#include <string>
#include <string_view>

#include "l7/http1/body.h"
#include "l7/http1/request_parser.h"
#include "l7/http1/response_parser.h"
#include "l7/http1/serialise.h"

namespace penstock::http1 {
namespace {

const std::array<std::string, 3> kHeads{
    "GET /api/v1/items?limit=5 HTTP/1.1\r\nHost: shop.example.com:8080\r\nUser-Agent: curl/7.88.1\r\nAccept: "
    "*/*\r\n\r\n",
    "POST /com.example.inventory.v1.InventoryService/GetStock HTTP/1.1\r\nHost: "
    "inventory.prod.svc.cluster.local:8080\r\n"
    "User-Agent: okhttp/4.12.0\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 412\r\n"
    "Accept: application/json\r\nAccept-Encoding: gzip, deflate\r\nX-Request-Id: "
    "8f14e45f-ceea-467f-9e1b-3c7a0d1b2f6e\r\n"
    "X-Forwarded-For: 10.42.7.19\r\nX-Forwarded-Proto: https\r\n"
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
    "X-Tenant-Id: tenant-000042\r\nAuthorization: Bearer "
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZXNoIiwiYXVkIjoiaW52ZW50b3J5In0.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW1gFW\r\n"
    "Connection: keep-alive\r\n\r\n",
    "GET /products/list?category=12&page=3 HTTP/1.1\r\nHost: www.example.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 "
    "Safari/537.36\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\nAccept-Encoding: gzip, deflate, br\r\n"
    "Referer: https://www.example.com/products\r\n"
    "Cookie: session=6e1f0d9c7b8a4f3e2d1c0b9a8f7e6d5c4b3a291807f6e5d4; theme=dark; consent=necessary%2Canalytics; "
    "_ga=GA1.2.1234567890.1700000000; _gid=GA1.2.987654321.1700000001; region=eu-central; ab=7; "
    "cart=3a7f9e2c-51b0-4d7e-9a34-0c5f1e2d3b4a\r\n"
    "Connection: keep-alive\r\nUpgrade-Insecure-Requests: 1\r\n\r\n"};

std::uint64_t mix(std::uint64_t hash, std::string_view text) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

std::uint64_t hash_of(const RequestHead& head) {
  std::uint64_t hash = mix(0, head.target.in(head.text));
  for (std::uint32_t i = 0; i < head.fields.count; ++i) {
    hash = mix(hash, head.fields.fields[i].name.in(head.text));
    hash = mix(hash, head.fields.fields[i].value.in(head.text));
  }
  return hash;
}

// ---- the library to beat: spans by callback, collected as ours are
// ---------------------------------------------------

struct Collected {
  std::string_view target;
  std::array<std::pair<std::string_view, std::string_view>, 128> fields;
  std::size_t count{};
};
Collected& collected(http_parser* parser) { return *static_cast<Collected*>(parser->data); }

constexpr http_parser_settings settings() {
  http_parser_settings s{};
  s.on_url = [](http_parser* p, const char* at, std::size_t length) {
    collected(p).target = {at, length};
    return 0;
  };
  s.on_header_field = [](http_parser* p, const char* at, std::size_t length) {
    collected(p).fields[collected(p).count].first = {at, length};
    return 0;
  };
  s.on_header_value = [](http_parser* p, const char* at, std::size_t length) {
    collected(p).fields[collected(p).count++].second = {at, length};
    return 0;
  };
  // The body, if any, is not part of the bench.
  s.on_headers_complete = [](http_parser*) { return 1; };
  return s;
}

std::uint64_t hash_of(const Collected& c) {
  std::uint64_t hash = mix(0, c.target);
  for (std::size_t i = 0; i < c.count; ++i) hash = mix(mix(hash, c.fields[i].first), c.fields[i].second);
  return hash;
}

void parse_http_parser(benchmark::State& state) {
  const std::string& head = kHeads[static_cast<std::size_t>(state.range(0))];
  const http_parser_settings callbacks = settings();
  Collected out;
  http_parser parser;
  for (auto _ : state) {
    http_parser_init(&parser, HTTP_REQUEST);
    parser.data = &out;
    out.count = 0;
    benchmark::DoNotOptimize(http_parser_execute(&parser, &callbacks, head.data(), head.size()));
    benchmark::ClobberMemory();
  }
  state.counters["octets"] = static_cast<double>(head.size());
  state.counters["fields"] = static_cast<double>(out.count);
  state.counters["hash"] = static_cast<double>(hash_of(out) >> 32);
}
BENCHMARK(parse_http_parser)->DenseRange(0, 2);

std::uint64_t hash_of_http_parser(const std::string& head) {
  const http_parser_settings callbacks = settings();
  Collected out;
  http_parser parser;
  http_parser_init(&parser, HTTP_REQUEST);
  parser.data = &out;
  http_parser_execute(&parser, &callbacks, head.data(), head.size());
  return hash_of(out);
}

void parse_ours(benchmark::State& state) {
  const std::string& head = kHeads[static_cast<std::size_t>(state.range(0))];
  const Classifier* classifier = classifier_of(static_cast<SimdLevel>(state.range(1)));
  if (classifier == nullptr) return state.SkipWithError("this processor has no such level");
  const HeadLimits limits;
  const HttpValidationPolicy policy;
  RequestParser parser{limits, policy, *classifier};
  Marks marks;
  RequestHead out;
  for (auto _ : state) {
    parser.reset();
    if (parser.parse(head, marks, out) != ParseStatus::complete) return state.SkipWithError("refused");
    benchmark::ClobberMemory();
  }
  if (hash_of(out) != hash_of_http_parser(head)) return state.SkipWithError("the parsers disagree");
  state.counters["octets"] = static_cast<double>(head.size());
  state.counters["fields"] = static_cast<double>(out.fields.count);
  state.counters["hash"] = static_cast<double>(hash_of(out) >> 32);
}
/// Writes the head anew with the edits that a mesh makes: one field set, one added.
void write_ours(benchmark::State& state) {
  const std::string& head = kHeads[static_cast<std::size_t>(state.range(0))];
  const HeadLimits limits;
  const HttpValidationPolicy policy;
  RequestParser parser{limits, policy, best_classifier()};
  Marks marks;
  RequestHead parsed;
  if (parser.parse(head, marks, parsed) != ParseStatus::complete) return state.SkipWithError("refused");
  const std::array<HeaderEdit, 2> edits{HeaderEdit{HeaderEdit::Op::set, "X-Request-Id", "8f14e45f"},
                                        HeaderEdit{HeaderEdit::Op::add, "X-Forwarded-For", "10.42.7.19"}};
  std::array<char, 4096> buffer;
  std::uint64_t hash = 0;
  for (auto _ : state) {
    stream::Writer out{buffer};
    if (write_request(parsed, policy, {.edits = edits, .host = "10.42.3.7:8080"}, out) != WriteStatus::ok)
      return state.SkipWithError("not written");
    hash = out.text().size();
    benchmark::ClobberMemory();
  }
  state.counters["octets"] = static_cast<double>(hash);
  state.counters["hash"] = static_cast<double>(mix(0, {buffer.data(), hash}) >> 32);
}
BENCHMARK(write_ours)->DenseRange(0, 2);

/// The heads of two answers: a small server's, and one with 12 fields.
const std::array<std::string, 2> kAnswers{
    "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n",
    "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: application/json; charset=utf-8\r\n"
    "Transfer-Encoding: chunked\r\nConnection: keep-alive\r\nVary: Accept-Encoding\r\nETag: W/\"5f1-18c0\"\r\n"
    "Cache-Control: no-cache, no-store, must-revalidate\r\nX-Request-Id: 8f14e45f-ceea-467f-9e1b-3c7a0d1b2f6e\r\n"
    "X-Frame-Options: DENY\r\nX-Content-Type-Options: nosniff\r\nStrict-Transport-Security: max-age=31536000\r\n"
    "X-Envoy-Upstream-Service-Time: 12\r\n\r\n"};

void parse_response(benchmark::State& state) {
  const std::string& head = kAnswers[static_cast<std::size_t>(state.range(0))];
  const HeadLimits limits;
  const HttpValidationPolicy policy;
  ResponseParser parser{limits, policy, best_classifier()};
  Marks marks;
  ResponseHead out;
  for (auto _ : state) {
    parser.reset();
    if (parser.parse(head, Method::get, marks, out) != ParseStatus::complete) return state.SkipWithError("refused");
    benchmark::ClobberMemory();
  }
  state.counters["octets"] = static_cast<double>(head.size());
  state.counters["fields"] = static_cast<double>(out.fields.count);
}
BENCHMARK(parse_response)->DenseRange(0, 1);

/// A body of 16 chunks of so many octets; items are chunks.
void chunked_body(benchmark::State& state) {
  constexpr int kChunks = 16;
  const auto octets = static_cast<std::size_t>(state.range(0));
  std::string body;
  std::array<char, 16> hex;
  const auto end = std::to_chars(hex.begin(), hex.end(), octets, 16).ptr;
  for (int i = 0; i < kChunks; ++i) body += std::string(hex.begin(), end) + "\r\n" + std::string(octets, 'x') + "\r\n";
  body += "0\r\n\r\n";
  const BodyLimits limits;
  std::array<char, 256> trailers;
  BodyReader reader{limits, best_classifier(), trailers};
  Marks marks;
  for (auto _ : state) {
    reader.start({.kind = BodyKind::chunked});
    stream::Slice slice{body, 0};
    BodyStatus status = BodyStatus::data;
    while (status == BodyStatus::data) {
      const BodyReader::Step step = reader.feed(slice, marks);
      slice = slice.from(step.consumed);
      status = step.status;
    }
    if (status != BodyStatus::complete) return state.SkipWithError("not complete");
  }
  state.SetItemsProcessed(state.iterations() * kChunks);
}
BENCHMARK(chunked_body)->Arg(64)->Arg(4096);

BENCHMARK(parse_ours)->ArgsProduct({{0, 1, 2}, {2, 1, 0}})->ArgNames({"head", "level"});

}  // namespace
}  // namespace penstock::http1
