#include "dataplane/lb/maglev.h"

#include <algorithm>
#include <numeric>
#include <queue>

#include "dataplane/core/require.h"

namespace penstock::lb {
namespace {

constexpr std::size_t kMembersMax = 65535;

/// One member's walk through the table: a permutation, because size is prime and the stride is not 0.
struct Walk {
  std::uint32_t next;
  std::uint32_t stride;
  std::uint32_t left;  ///< entries still to take
  std::uint16_t index;
};

/// Which entries are taken: 8 KiB for the largest table, so that probing stays in the first-level cache.
class TakenBits {
 public:
  explicit TakenBits(std::uint32_t size) : words_((size + 63) / 64) {}
  [[nodiscard]] bool test(std::uint32_t at) const { return (words_[at / 64] >> (at % 64) & 1) != 0; }
  void set(std::uint32_t at) { words_[at / 64] |= std::uint64_t{1} << (at % 64); }

 private:
  std::vector<std::uint64_t> words_;
};

/// Members of one weight take their turns together: turn k of weight w is due at virtual time (k + 1) / w.
struct WeightClass {
  std::uint32_t weight;
  std::uint32_t turn;
  std::uint32_t first, count;  ///< in the walks, which are sorted by weight, then identity
};
struct Later {
  bool operator()(const WeightClass& a, const WeightClass& b) const {
    const std::uint64_t left = std::uint64_t{a.turn + 1} * b.weight;
    const std::uint64_t right = std::uint64_t{b.turn + 1} * a.weight;
    return left != right ? left > right : a.weight < b.weight;
  }
};

/// Exact shares: the floor for everyone, the entries left over to the largest remainders.
void divide(std::span<Walk> walks, std::span<const MaglevMember> members, std::uint32_t size) {
  std::uint64_t total = 0;
  for (const Walk& walk : walks) total += members[walk.index].weight;
  std::vector<std::pair<std::uint64_t, std::uint32_t>> remainders;
  std::uint32_t given = 0;
  for (std::uint32_t i = 0; i < walks.size(); ++i) {
    const std::uint64_t product = std::uint64_t{size} * members[walks[i].index].weight;
    walks[i].left = static_cast<std::uint32_t>(product / total);
    given += walks[i].left;
    remainders.emplace_back(product % total, i);
  }
  std::sort(remainders.begin(), remainders.end(),
            [](const auto& a, const auto& b) { return a.first != b.first ? a.first > b.first : a.second < b.second; });
  for (std::uint32_t i = 0; given < size; ++i, ++given) ++walks[remainders[i].second].left;
}

std::vector<Walk> make_walks(std::span<const MaglevMember> members, std::uint32_t size) {
  std::vector<Walk> walks;
  walks.reserve(members.size());
  for (std::uint32_t i = 0; i < members.size(); ++i) {
    if (members[i].weight == 0) continue;
    const std::uint64_t offset = detail::mix(members[i].identity ^ detail::kSeed0, detail::kSeed1);
    const std::uint64_t stride = detail::mix(members[i].identity ^ detail::kSeed2, detail::kSeed3);
    walks.push_back({share_of(offset, size), 1 + share_of(stride, size - 1), 0, static_cast<std::uint16_t>(i)});
  }
  std::sort(walks.begin(), walks.end(), [&](const Walk& a, const Walk& b) {
    const MaglevMember &left = members[a.index], &right = members[b.index];
    return left.weight != right.weight ? left.weight > right.weight : left.identity < right.identity;
  });
  return walks;
}

std::vector<WeightClass> make_classes(std::span<const Walk> walks, std::span<const MaglevMember> members) {
  std::vector<WeightClass> classes;
  for (std::uint32_t i = 0; i < walks.size(); ++i) {
    const std::uint32_t weight = members[walks[i].index].weight;
    if (classes.empty() || classes.back().weight != weight) classes.push_back({weight, 0, i, 0});
    ++classes.back().count;
  }
  return classes;
}

}  // namespace

std::vector<std::uint16_t> build_maglev(std::span<const MaglevMember> members, std::uint32_t size) {
  require(size >= 2 && size <= kTableSizeMax && is_prime(size), "Maglev table size is not a prime up to 65537");
  require(members.size() <= kMembersMax, "too many Maglev members");
  std::vector<Walk> walks = make_walks(members, size);
  if (walks.empty()) return {};
  divide(walks, members, size);
  const std::vector<WeightClass> classes = make_classes(walks, members);
  std::priority_queue<WeightClass, std::vector<WeightClass>, Later> due{Later{}, classes};

  std::vector<std::uint16_t> table(size);
  TakenBits taken{size};
  for (std::uint32_t filled = 0; filled < size;) {
    WeightClass now = due.top();
    due.pop();
    bool more = false;
    for (Walk& walk : std::span{walks}.subspan(now.first, now.count)) {
      if (walk.left == 0) continue;
      std::uint32_t at = walk.next;
      while (taken.test(at)) {
        at += walk.stride;
        if (at >= size) at -= size;
      }
      table[at] = walk.index;
      taken.set(at);
      walk.next = at;
      --walk.left;
      ++filled;
      more = more || walk.left > 0;
    }
    ++now.turn;
    if (more) due.push(now);
  }
  return table;
}

std::uint32_t default_table_size(std::size_t endpoints) {
  for (const std::uint32_t size : {1021u, 4093u, 16381u})
    if (endpoints * 100 <= size) return size;
  return kTableSizeMax;
}

bool is_prime(std::uint32_t n) {
  if (n < 2) return false;
  for (std::uint32_t d = 2; std::uint64_t{d} * d <= n; ++d)
    if (n % d == 0) return false;
  return true;
}

}  // namespace penstock::lb
