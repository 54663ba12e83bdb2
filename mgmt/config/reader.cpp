#include "mgmt/config/reader.h"

#include <map>
#include <utility>

namespace penstock::config {
namespace {

constexpr std::size_t kHintTextMax = 64;  // longer text is no typing mistake

/// Letters without their case; names of other products are written as LEAST_REQUEST or least-request.
char folded(char c) { return c == '-' ? '_' : c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

/// Edits from one word to the other: a character added, removed, changed, or two neighbours exchanged.
std::size_t edits(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (std::size_t k = 0; k <= b.size(); ++k) cost[0][k] = k;
  for (std::size_t i = 1; i <= a.size(); ++i)
    for (std::size_t k = 1; k <= b.size(); ++k) {
      const std::size_t change = cost[i - 1][k - 1] + (folded(a[i - 1]) == folded(b[k - 1]) ? 0 : 1);
      cost[i][k] = std::min({change, cost[i - 1][k] + 1, cost[i][k - 1] + 1});
      if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
        cost[i][k] = std::min(cost[i][k], cost[i - 2][k - 2] + 1);
    }
  return cost[a.size()][b.size()];
}

}  // namespace

std::string_view near_match(std::string_view text, std::span<const std::string_view> candidates) {
  if (text.size() > kHintTextMax) return "";
  std::string_view best;
  std::size_t best_edits = 3;
  for (const std::string_view candidate : candidates) {
    if (candidate.size() > kHintTextMax) continue;
    const std::size_t n = edits(text, candidate);
    // A short word is near only by one edit: "a" is not meant by "web".
    if (n < best_edits && n < std::max<std::size_t>(2, candidate.size() / 2)) {
      best_edits = n;
      best = candidate;
    }
  }
  return best;
}

std::string hint(std::string_view text, std::span<const std::string_view> candidates, std::string otherwise) {
  const std::string_view near = near_match(text, candidates);
  return near.empty() ? std::move(otherwise) : "did you mean `" + std::string{near} + "`?";
}

std::string join(std::span<const std::string_view> words, std::string_view between) {
  std::string out;
  for (const std::string_view word : words) {
    if (!out.empty()) out += between;
    out += word;
  }
  return out;
}

void check_double_keys(Reader& reader, const YamlNode& map) {
  std::map<std::string_view, Place> seen;
  for (const YamlEntry& entry : map.entries) {
    const auto [at, fresh] = seen.emplace(entry.key, entry.place);
    if (!fresh)
      reader.problem(entry.place, "key `" + entry.key + "` stands here a second time",
                     "keep one; the first is in line " + std::to_string(at->second.line));
  }
}

}  // namespace penstock::config
