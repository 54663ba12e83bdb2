#include "l7/route/compile/verify.h"

#include <algorithm>

#include "l7/route/compile/examples.h"
#include "l7/route/compile/linear.h"
#include "l7/route/match.h"

namespace penstock::route {
namespace {

constexpr std::size_t kExampleOctets = 256;
constexpr std::size_t kPathsPerRoute = 10;  ///< about; for spreading the work

/// One request with the octets that it refers to.
struct Sample {
  std::string host, path, query, method{"GET"};
  std::vector<std::pair<std::string, std::string>> headers;
};

/// A value that may fulfil the condition, or nothing.
std::string fulfilling(const ValueMatch& match, ExampleRandom& random) {
  switch (match.kind) {
    case ValueKind::present:
      return "1";
    case ValueKind::exact:
      return match.value;
    case ValueKind::prefix:
      return match.value + "x";
    case ValueKind::range:
      return std::to_string(random.below(2) == 0 ? match.low : match.high);
    case ValueKind::regex:
      if (const auto regex = parse_regex(match.value); regex.ok()) return example_of(*regex, random, kExampleOctets);
  }
  return {};
}

class Verifier {
 public:
  Verifier(const RouteTable& table, const LoadedTable& loaded, std::uint64_t seed)
      : table_{table}, loaded_{loaded}, linear_{table}, random_{seed} {}

  Result<Verified> run(std::size_t work) {
    if (Status status = scratch_.grow(loaded_); !status) return status.error();
    for (const VirtualHost& host : table_.virtual_hosts) {
      // Each request costs the reference up to all routes of the host, and a host its share of the work.
      const std::size_t routes = std::max<std::size_t>(host.routes.size(), 1);
      const std::size_t share = work / table_.virtual_hosts.size() / routes / kPathsPerRoute;
      const std::size_t step = std::max<std::size_t>(1, routes / std::max<std::size_t>(share, 1));
      for (std::size_t i = random_.below(step); i < host.routes.size() && !problem_; i += step)
        route(host, host.routes[i]);
      domains(host);
      if (problem_) return *problem_;
    }
    return verified_;
  }

 private:
  void domains(const VirtualHost& host) {
    for (std::string name : host.domains) {
      const std::size_t star = name.find('*');
      if (star != std::string::npos) name.replace(star, 1, "any");
      const std::string path = host.routes.empty() ? "/" : host.routes.front().match.path.value;
      compare({name, path, {}, "GET", {}});
      compare({name.substr(1), path, {}, "GET", {}});
      compare({name + "x", path, {}, "GET", {}});
    }
  }

  void route(const VirtualHost& host, const Route& route) {
    std::vector<std::string> paths;
    if (route.match.path.kind == PathKind::regex) {
      const auto regex = parse_regex(route.match.path.value);
      for (int i = 0; regex.ok() && i < 3; ++i) paths.push_back(example_of(*regex, random_, kExampleOctets));
    } else {
      paths.push_back(route.match.path.value);
    }
    const std::size_t plain = paths.size();
    for (std::size_t i = 0; i < plain; ++i) add_near(paths, i);
    for (const std::string& path : paths) {
      compare(sample(host, route, path, true));
      if (!route.match.headers.empty() || !route.match.query_params.empty() || !route.match.methods.empty())
        compare(sample(host, route, path, false));
    }
  }

  /// A little more, a little less, one octet changed, another case.
  void add_near(std::vector<std::string>& paths, std::size_t of) {
    const std::string path = paths[of];
    paths.push_back(path + "/");
    paths.push_back(path + static_cast<char>('a' + random_.below(26)));
    if (path.empty()) return;
    paths.push_back(path.substr(0, path.size() - 1));
    std::string changed = path;
    changed[random_.below(changed.size())] = static_cast<char>(0x21 + random_.below(0x5e));
    paths.push_back(changed);
    std::string flipped = path;
    for (char& c : flipped) c = fold(c) != c ? fold(c) : c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    paths.push_back(flipped);
  }

  Sample sample(const VirtualHost& host, const Route& route, const std::string& path, bool fulfil) {
    Sample out;
    out.host = host.domains[random_.below(host.domains.size())];
    std::replace(out.host.begin(), out.host.end(), '*', 'q');
    out.path = path;
    if (!route.match.methods.empty()) out.method = fulfil ? route.match.methods.front() : "OTHER";
    // Of conditions that are not to hold, half are missing, half wrong.
    for (const ValueMatch& match : route.match.headers)
      if (fulfil || random_.below(2) == 0)
        out.headers.emplace_back(match.name, fulfilling(match, random_) + (fulfil ? "" : "-"));
    for (const ValueMatch& match : route.match.query_params)
      out.query +=
          (out.query.empty() ? "?" : "&") + match.name + "=" + fulfilling(match, random_) + (fulfil ? "" : "-");
    return out;
  }

  void compare(const Sample& sample) {
    if (problem_) return;
    std::vector<HeaderField> fields;
    for (const auto& [name, value] : sample.headers) fields.push_back(HeaderField::of(name, value));
    const RequestView request{sample.host, sample.path, sample.query, sample.method, "http", fields};
    const auto expected = linear_.match(request);
    const MatchResult got = match(loaded_, request, scratch_, random_.next());
    const bool found = got.status == MatchStatus::found;
    ++verified_.requests;
    verified_.found += found ? 1 : 0;
    if (found == expected.has_value() && (!found || LinearMatch{got.host, got.route} == *expected)) return;
    const auto name = [](bool any, std::size_t host, std::size_t route) {
      return any ? "host " + std::to_string(host) + " route " + std::to_string(route) : std::string{"no route"};
    };
    problem_ = Problem{"route table: " + sample.method + " " + sample.host + sample.path + sample.query,
                       "compiled table finds " + name(found, got.host, got.route) + ", the reference " +
                           name(expected.has_value(), expected ? expected->host : 0, expected ? expected->route : 0),
                       "not published; please report the table and this request"};
  }

  const RouteTable& table_;
  const LoadedTable& loaded_;
  LinearTable linear_;
  ExampleRandom random_;
  Scratch scratch_;
  Verified verified_;
  std::optional<Problem> problem_;
};

}  // namespace

Result<Verified> verify(const RouteTable& table, const LoadedTable& loaded, std::uint64_t seed, std::size_t work) {
  if (loaded.view().hosts().size() != table.virtual_hosts.size())
    return Problem{"route table", "the image has another number of hosts than the configuration", ""};
  return Verifier{table, loaded, seed}.run(work);
}

}  // namespace penstock::route
