// trie.h - walking the flat trie.
//
// Model     from the root along the text; the visitor sees every node whose key is a prefix of it, shortest first.
// Units     octets.
// Shape     one cache line per node; the label is compared in words, so the text needs kTextPad readable octets
//           behind its end.
// Errors    none on a checked trie.
// Not here  building (compile/trie_builder.h), checks (table_check.h).
#pragma once
#include <bit>
#include <cstring>
#include <span>
#include <string_view>

#include "l7/route/layout.h"

namespace penstock::route {

inline constexpr std::size_t kTextPad = kNodeLabel;

namespace detail {

inline std::uint64_t trie_word(const void* at) {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

/// Position of the child for `octet`, or -1. Little-endian: the first key is the lowest octet of the word.
inline int child_of(const TrieNode& node, std::span<const Fanout> fanouts, std::uint8_t octet) {
  if (node.child_count > kNodeKeys) return octet < 128 ? fanouts[node.fanout].child[octet] - 1 : -1;
  constexpr std::uint64_t kOnes = 0x0101'0101'0101'0101, kHighs = 0x8080'8080'8080'8080;
  const std::uint64_t differs = trie_word(node.keys.data()) ^ (kOnes * octet);
  // The lowest marked octet is exact; octets above a zero one may be marked falsely. kNoKey cannot equal ASCII.
  const std::uint64_t zero = (differs - kOnes) & ~differs & kHighs;
  if (zero == 0) return -1;
  const int position = std::countr_zero(zero) / 8;
  return position < node.child_count ? position : -1;
}

inline bool label_matches(const TrieNode& node, const char* text) {
  for (unsigned at = 0; at < node.label_octets; at += 8) {
    const unsigned left = node.label_octets - at;
    const std::uint64_t mask = left >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * left)) - 1;
    if (((trie_word(node.label.data() + at) ^ trie_word(text + at)) & mask) != 0) return false;
  }
  return true;
}
static_assert(std::endian::native == std::endian::little, "child_of() and label_matches() rely on it");

}  // namespace detail

/// visit(node, position behind the node's key) answers whether to go on below.
template <typename Visit>
inline void walk_trie(std::span<const TrieNode> nodes, std::span<const Fanout> fanouts, std::uint32_t root,
                      std::string_view padded_text, Visit visit) {
  const TrieNode* node = &nodes[root];
  std::size_t at = 0;
  while (visit(*node, at) && at < padded_text.size()) {
    const int child = detail::child_of(*node, fanouts, static_cast<std::uint8_t>(padded_text[at]));
    if (child < 0) return;
    node = &nodes[node->children + static_cast<unsigned>(child)];
    ++at;
    if (padded_text.size() - at < node->label_octets || !detail::label_matches(*node, padded_text.data() + at)) return;
    at += node->label_octets;
  }
}

}  // namespace penstock::route
