// flat_image.h - writing and opening images of fixed sections.
//
// Model     ImageWriter collects sections and lays them out; open_sections() checks header, sizes and places of all
//           sections before anything is read through them.
// Units     octets.
// Errors    a Problem that names section and fault; opening is a total function of the octets.
// Limits    per section, by SectionRule.
// Not here  what the records mean (table_check.cpp).
#pragma once
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "dataplane/control/hash.h"
#include "dataplane/core/result.h"
#include "l7/route/layout.h"

namespace penstock::route {

/// Octets that own themselves and begin where an image may begin.
class Image {
 public:
  Image() = default;
  explicit Image(std::size_t octets) : lines_((octets + kImageAlign - 1) / kImageAlign), octets_{octets} {}
  explicit Image(ByteView bytes) : Image(bytes.size()) {
    if (!bytes.empty()) std::memcpy(lines_.data(), bytes.data(), bytes.size());
  }
  [[nodiscard]] ByteView bytes() const { return {reinterpret_cast<const std::byte*>(lines_.data()), octets_}; }
  [[nodiscard]] ByteSpan bytes() { return {reinterpret_cast<std::byte*>(lines_.data()), octets_}; }

 private:
  struct alignas(kImageAlign) Line {
    std::array<std::byte, kImageAlign> octets;
  };
  std::vector<Line> lines_;
  std::size_t octets_{0};
};

inline std::size_t aligned_up(std::size_t octets) { return (octets + kImageAlign - 1) / kImageAlign * kImageAlign; }

template <std::size_t kSections>
class ImageWriter {
 public:
  template <typename Record>
  void put(std::size_t section, std::span<const Record> records) {
    refs_[section] = {0, static_cast<std::uint32_t>(records.size()), sizeof(Record)};
    contents_[section] = std::as_bytes(records);
  }
  /// The records that were put must still live.
  [[nodiscard]] Image finish(std::uint64_t magic) {
    ImageHeader<kSections> header{magic, kLayout, kSections, 0, 0, refs_};
    std::size_t at = aligned_up(sizeof header);
    for (std::size_t i = 0; i < kSections; ++i) {
      header.sections[i].offset = at;
      at = aligned_up(at + contents_[i].size());
    }
    header.octets = at;
    Image image{at};
    for (std::size_t i = 0; i < kSections; ++i)
      if (!contents_[i].empty())
        std::memcpy(image.bytes().data() + header.sections[i].offset, contents_[i].data(), contents_[i].size());
    header.content_hash = control::hash64(ByteView{image.bytes()}.subspan(sizeof header));
    std::memcpy(image.bytes().data(), &header, sizeof header);
    return image;
  }

 private:
  std::array<SectionRef, kSections> refs_{};
  std::array<ByteView, kSections> contents_{};
};

struct SectionRule {
  const char* name;
  std::uint32_t entry_octets;
  std::size_t count_min;
  std::size_t count_max;
};

/// The sections of an image whose header and section table are sound.
template <std::size_t kSections>
struct Sections {
  ByteView image;
  std::array<SectionRef, kSections> refs{};
  template <typename Record>
  [[nodiscard]] std::span<const Record> get(std::size_t section) const {
    return {reinterpret_cast<const Record*>(image.data() + refs[section].offset), refs[section].count};
  }
};

template <std::size_t kSections>
Result<Sections<kSections>> open_sections(ByteView image, std::uint64_t magic, std::string_view what,
                                          const std::array<SectionRule, kSections>& rules, bool check_hash) {
  const auto bad = [&](std::string_view place, std::string text) {
    return Problem{std::string{what} + ": " + std::string{place}, std::move(text), ""};
  };
  ImageHeader<kSections> header;
  if (image.size() < sizeof header) return bad("header", "shorter than a header");
  if (reinterpret_cast<std::uintptr_t>(image.data()) % kImageAlign != 0) return bad("header", "not aligned to 64");
  std::memcpy(&header, image.data(), sizeof header);
  if (header.magic != magic) return bad("header", "magic number is wrong");
  if (header.layout != kLayout)
    return bad("header", "layout " + std::to_string(header.layout) + ", expected " + std::to_string(kLayout));
  if (header.sections_count != kSections) return bad("header", "number of sections is wrong");
  if (header.octets != image.size()) return bad("header", "length differs from the image's");
  if (check_hash && header.content_hash != control::hash64(image.subspan(sizeof header)))
    return bad("header", "content does not have the stated hash");
  for (std::size_t i = 0; i < kSections; ++i) {
    const SectionRef& ref = header.sections[i];
    const SectionRule& rule = rules[i];
    if (ref.entry_octets != rule.entry_octets) return bad(rule.name, "size of a record is wrong");
    if (ref.count < rule.count_min || ref.count > rule.count_max) return bad(rule.name, "number of records is wrong");
    if (ref.offset % kImageAlign != 0 || ref.offset < sizeof header || ref.offset > image.size())
      return bad(rule.name, "begins at a wrong place");
    if (std::uint64_t{ref.count} * ref.entry_octets > image.size() - ref.offset)
      return bad(rule.name, "ends behind the image");
  }
  return Sections<kSections>{image, header.sections};
}

}  // namespace penstock::route
