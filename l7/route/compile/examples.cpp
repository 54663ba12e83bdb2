#include "l7/route/compile/examples.h"

#include <algorithm>

namespace penstock::route {
namespace {

using Kind = RegexNode::Kind;

/// A visible member if there is one: such occur in paths.
void append_member(const OctetSet& octets, ExampleRandom& random, std::string& out) {
  std::string visible, others;
  for (unsigned octet = 0; octet < 128; ++octet)
    if (octets.has(static_cast<std::uint8_t>(octet)))
      (octet > 0x20 && octet < 0x7f ? visible : others) += static_cast<char>(octet);
  const std::string& from = visible.empty() ? others : visible;
  if (!from.empty()) out += from[random.below(from.size())];
}

void append(const RegexNode& node, ExampleRandom& random, std::size_t octets_max, std::string& out) {
  switch (node.kind) {
    case Kind::set:
      return append_member(node.octets, random, out);
    case Kind::concat:
      for (const RegexNode& child : node.children) append(child, random, octets_max, out);
      return;
    case Kind::alternate:
      return append(node.children[random.below(node.children.size())], random, octets_max, out);
    case Kind::capture:
      return append(node.children.front(), random, octets_max, out);
    case Kind::repeat: {
      const int more = node.max == RegexNode::kUnbounded ? 3 : node.max - node.min;
      const int times = node.min + (more > 0 ? static_cast<int>(random.below(static_cast<std::size_t>(more) + 1)) : 0);
      for (int i = 0; i < times && out.size() < octets_max; ++i) append(node.children.front(), random, octets_max, out);
      return;
    }
    case Kind::empty:
    case Kind::assertion:
      return;
  }
}

}  // namespace

std::uint64_t ExampleRandom::next() {
  std::uint64_t z = (state_ += 0x9e37'79b9'7f4a'7c15);
  z = (z ^ (z >> 30)) * 0xbf58'476d'1ce4'e5b9;
  z = (z ^ (z >> 27)) * 0x94d0'49bb'1331'11eb;
  return z ^ (z >> 31);
}

std::string example_of(const Regex& regex, ExampleRandom& random, std::size_t octets_max) {
  std::string out;
  append(regex.root, random, octets_max, out);
  return out;
}

}  // namespace penstock::route
