// Any octets as a table image: open() refuses them, or every lookup stays inside and ends. Headers and hash are put
// right before, so that mutations reach the checks behind them.
#include <cstring>

#include "l7/route/header_edit.h"
#include "l7/route/rewrite.h"

namespace penstock::route {
namespace {

template <typename Header>
void mend(ByteSpan image, std::uint64_t magic) {
  if (image.size() < sizeof(Header)) return;
  Header header;
  std::memcpy(&header, image.data(), sizeof header);
  header.magic = magic;
  header.layout = kLayout;
  header.sections_count = static_cast<std::uint32_t>(header.sections.size());
  header.octets = image.size();
  header.content_hash = control::hash64(ByteView{image}.subspan(sizeof header));
  std::memcpy(image.data(), &header, sizeof header);
}

void answer(const LoadedTable& table, Scratch& scratch, const RequestView& request) {
  const MatchResult result = match(table, request, scratch, ~std::uint64_t{0});
  if (result.status != MatchStatus::found) return;
  const MatchedRoute matched = matched_route(table, result);
  char out[512];
  (void)write_target(matched, request, out, scratch);
  (void)write_location(matched, request, out, scratch);
  (void)direct_response(matched);
  HeaderField fields[16];
  (void)edit_headers(matched.host, matched.route.request, request.headers, fields);
  (void)edit_headers(matched.host, matched.route.response, request.headers, fields);
}

void use(ByteView image) {
  const auto table = LoadedTable::load(image);
  if (!table) return;
  Scratch scratch;
  if (!scratch.grow(*table)) return;
  const HeaderField headers[] = {HeaderField::of("x-a", "1"), HeaderField::of("X-B", "abc"),
                                 HeaderField::of("x-a", "2")};
  // Hosts and paths of the seeds, and others.
  for (const char* host : {"a.example", "x.example", "a.net", "", "unknown"})
    for (const char* path : {"/", "/api/v1/users/42", "/a/b", "/A/b/", "", "*", "/items/77/detail"})
      answer(*table, scratch, {host, path, "?a=1&b", "GET", "http", headers});
}

}  // namespace
}  // namespace penstock::route

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock::route;
  Image image{std::as_bytes(std::span{data, size})};
  use(image.bytes());
  mend<TableHeader>(image.bytes(), kTableMagic);
  use(image.bytes());
  return 0;
}
