#include "l7/route/compile/validate_route.h"

#include <algorithm>

#include "l7/route/compile/regex_syntax.h"
#include "l7/route/compile/validate.h"
#include "l7/route/text_fold.h"

namespace penstock::route {
namespace {

/// What helps against what regex_problem() says.
const char* regex_remedy(std::string_view problem) {
  const auto says = [problem](std::string_view words) { return problem.find(words) != std::string_view::npos; };
  if (says("look-around") || says("back-references") || says("backtracking"))
    return "write it without; several routes, or `invert` of a condition, often do the same";
  if (says("states") || says("repeats more than")) return "lower the counts, or match part of it by prefix";
  return "write it in RE2's syntax";
}

class RouteValidator {
 public:
  RouteValidator(const std::string& place, Problems& problems) : place_{place}, problems_{problems} {}

  void run(const Route& route) {
    if (route.name.size() > kNameOctetsMax) add("name", "longer than " + std::to_string(kNameOctetsMax), "shorten it");
    path(route.match.path);
    conditions(route.match);
    if (const auto* forward = std::get_if<Forward>(&route.action))
      this->forward(*forward);
    else if (const auto* redirect = std::get_if<Redirect>(&route.action))
      this->redirect(*redirect);
    else
      direct_response(std::get<DirectResponse>(route.action));
    edits(route.request, "request headers");
    edits(route.response, "response headers");
  }

 private:
  void add(const std::string& field, std::string what, std::string remedy) {
    problems_.push_back({place_ + ": " + field, std::move(what), std::move(remedy)});
  }
  void text_size(const std::string& field, const std::string& text, std::size_t max) {
    if (text.size() > max) add(field, "longer than " + std::to_string(max) + " octets", "shorten it");
  }
  void regex(const std::string& field, const std::string& pattern) {
    if (std::string problem = regex_problem(pattern); !problem.empty())
      add(field, "expression \"" + pattern + "\": " + problem, regex_remedy(problem));
  }

  void literal_path(const std::string& field, const std::string& text) {
    text_size(field, text, kTextOctetsMax);
    if (!text.starts_with('/')) add(field, "\"" + text + "\" does not begin with '/'", "paths do");
    if (!is_visible_ascii(text) || text.find_first_of("?#") != std::string::npos)
      add(field, "\"" + text + "\" has octets that no path has", "percent-encode them; match queries by parameter");
  }

  void path(const PathMatch& path) {
    const std::string field = "match.path";
    if (path.kind == PathKind::regex) {
      regex(field, path.value);
      if (path.ignore_case) add(field, "ignore_case does not apply to expressions", "begin the expression with (?i)");
      return;
    }
    if (path.kind == PathKind::exact && path.value == "*") return;  // OPTIONS *
    literal_path(field, path.value);
    if (path.kind == PathKind::segment_prefix && path.value.ends_with('/'))
      add(field, "segment_prefix \"" + path.value + "\" ends with '/'", "leave the '/' out, or use prefix");
  }

  void conditions(const RouteMatch& match) {
    if (match.headers.size() + match.query_params.size() > kConditionMax)
      add("match", "more than " + std::to_string(kConditionMax) + " conditions", "split the route");
    for (const ValueMatch& header : match.headers) {
      const std::string field = "match.headers \"" + header.name + "\"";
      if (header.name.starts_with(':'))
        add(field, "pseudo headers are not matched as headers", "use methods, path or domains");
      else if (!is_token(header.name) || header.name.size() > kNameOctetsMax)
        add(field, "not the name of a header", "letters, digits and -");
      value(header, field);
    }
    for (const ValueMatch& param : match.query_params) {
      const std::string field = "match.query_params \"" + param.name + "\"";
      if (!is_visible_ascii(param.name) || param.name.find_first_of("&=#") != std::string::npos || param.name.empty() ||
          param.name.size() > kNameOctetsMax)
        add(field, "not the name of a query parameter", "as it stands in the request, percent-encoded");
      value(param, field);
    }
    if (match.methods.size() > kMethodMax)
      add("match.methods", "more than " + std::to_string(kMethodMax), "leave them out to allow every method");
    for (const std::string& method : match.methods)
      if (!is_token(method) || method.size() > kNameOctetsMax)
        add("match.methods", "\"" + method + "\" is not a method", "such as GET; case matters");
      else if (const std::string meant = meant_method(method); !meant.empty())
        add("match.methods", "\"" + method + "\" is never asked for", "did you mean " + meant + "? case matters");
  }

  void value(const ValueMatch& match, const std::string& field) {
    if (match.kind == ValueKind::regex) regex(field, match.value);
    if (match.kind == ValueKind::range && match.low >= match.high)
      add(field, "range is empty: low " + std::to_string(match.low) + ", high " + std::to_string(match.high),
          "low <= value < high");
    if (match.kind == ValueKind::exact || match.kind == ValueKind::prefix)
      header_value(field, match.value);
    else if (match.ignore_case)
      add(field, "ignore_case applies to exact and prefix only", "expressions begin with (?i)");
  }

  void header_value(const std::string& field, const std::string& value) {
    text_size(field, value, kTextOctetsMax);
    const bool control = std::any_of(value.begin(), value.end(), [](char c) {
      return (static_cast<std::uint8_t>(c) < 0x20 && c != '\t') || c == 0x7f;
    });
    if (control) add(field, "value has control characters", "remove them");
  }

  void forward(const Forward& forward) {
    std::uint64_t sum = 0;
    if (forward.clusters.size() > kWeightedClusterMax)
      add("clusters", "more than " + std::to_string(kWeightedClusterMax), "split the route");
    for (const WeightedCluster& cluster : forward.clusters) {
      sum += cluster.weight;
      if (cluster.name.empty() || cluster.name.size() > kNameOctetsMax)
        add("clusters", "name is empty or longer than " + std::to_string(kNameOctetsMax), "name a cluster");
      if (cluster.weight > kClusterWeightMax)
        add("clusters", "weight of \"" + cluster.name + "\" is above " + std::to_string(kClusterWeightMax),
            "scale all");
    }
    if (sum == 0) add("clusters", "weights add up to 0: no request could go anywhere", "give one a weight above 0");
    rewrite(forward.rewrite);
    host("host_rewrite", forward.host_rewrite);
    if (std::max({forward.timeout_ms, forward.idle_timeout_ms, forward.retry.per_try_timeout_ms}) > kTimeoutMsMax)
      add("timeouts", "longer than a week", "0 means none");
    retry(forward.retry);
  }

  void retry(const RetryPolicy& retry) {
    if ((retry.on & ~kRetryOnAll) != 0) add("retry.on", "unknown condition", "see RetryOn");
    if (retry.on != 0 && retry.retries == 0) add("retry.retries", "0, though there are conditions", "1 or more");
    if (((retry.on & kRetryStatuses) != 0) != !retry.statuses.empty())
      add("retry.statuses", "statuses and the condition that uses them go together", "give both or neither");
    if (retry.statuses.size() > kRetryStatusMax)
      add("retry.statuses", "more than " + std::to_string(kRetryStatusMax), "use kRetry5xx");
    for (const std::uint16_t status : retry.statuses)
      if (status < 100 || status > 599) add("retry.statuses", std::to_string(status) + " is no status", "100 to 599");
  }

  void rewrite(const PathRewrite& rewrite) {
    if (rewrite.prefix && rewrite.regex) add("rewrite", "both a prefix and an expression", "choose one");
    if (rewrite.prefix) literal_path("rewrite.prefix", *rewrite.prefix);
    if (!rewrite.regex) return;
    regex("rewrite.regex", rewrite.regex->pattern);
    substitution(*rewrite.regex);
  }

  void substitution(const RegexRewrite& rewrite) {
    const std::string field = "rewrite.substitution";
    const std::string& text = rewrite.substitution;
    text_size(field, text, kTextOctetsMax);
    if ((!text.empty() && !is_visible_ascii(text)) || text.find_first_of("?#") != std::string::npos)
      add(field, "has octets that no path has", "percent-encode them");
    const auto parsed = parse_regex(rewrite.pattern);
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '\\') continue;
      const char next = ++i < text.size() ? text[i] : '\0';
      if (next == '\\') continue;
      if (next < '0' || next > '9')
        add(field, "a backslash stands alone", "\\0 to \\9 are captures, \\\\ is a backslash");
      else if (parsed.ok() && next - '0' > parsed->groups)
        add(field, std::string{"\\"} + next + ", but the expression has " + std::to_string(parsed->groups) + " groups",
            "count the parentheses");
    }
  }

  void redirect(const Redirect& redirect) {
    static constexpr std::uint16_t kStatuses[] = {301, 302, 303, 307, 308};
    if (std::find(std::begin(kStatuses), std::end(kStatuses), redirect.status) == std::end(kStatuses))
      add("redirect.status", std::to_string(redirect.status) + " does not redirect", "301, 302, 303, 307 or 308");
    if (!redirect.scheme.empty() && redirect.scheme != "http" && redirect.scheme != "https")
      add("redirect.scheme", "\"" + redirect.scheme + "\"", "http or https");
    host("redirect.host", redirect.host);
    if (redirect.path) {
      const std::string& path = *redirect.path;
      text_size("redirect.path", path, kTextOctetsMax);
      if (!path.starts_with('/') || !is_visible_ascii(path))
        add("redirect.path", "\"" + path + "\" is no path", "begins with '/', percent-encoded");
      if (redirect.rewrite.prefix || redirect.rewrite.regex)
        add("redirect", "both a whole path and a rewrite", "choose one");
    }
    rewrite(redirect.rewrite);
    const bool changes = !redirect.scheme.empty() || !redirect.host.empty() || redirect.port != 0 || redirect.path ||
                         redirect.rewrite.prefix || redirect.rewrite.regex || redirect.strip_query;
    if (!changes) add("redirect", "leads back to the same place", "change scheme, host, port or path");
  }

  void direct_response(const DirectResponse& direct) {
    if (direct.status < 200 || direct.status > 599)
      add("direct_response.status", std::to_string(direct.status) + " is no final status", "200 to 599");
    text_size("direct_response.body", direct.body, kTextOctetsMax);
    if ((direct.status == 204 || direct.status == 205 || direct.status == 304) && !direct.body.empty())
      add("direct_response.body", "status " + std::to_string(direct.status) + " has no body", "remove it");
  }

  void host(const std::string& field, const std::string& host) {
    if (host.size() > kDomainOctetsMax ||
        (!host.empty() && (!is_visible_ascii(host) || host.find_first_of("/?#@\\*") != std::string::npos)))
      add(field, "\"" + host + "\" is not a host name", "a name or address, with port if needed");
  }

  void edits(const HeaderEdits& edits, const std::string& field) {
    if (edits.remove.size() + edits.edits.size() > kHeaderEditMax)
      add(field, "more than " + std::to_string(kHeaderEditMax) + " edits", "split the route");
    for (const std::string& name : edits.remove) edited_name(field, name);
    for (const HeaderEdit& edit : edits.edits) {
      edited_name(field, edit.name);
      header_value(field + " \"" + edit.name + "\"", edit.value);
      if (edit.value.starts_with(' ') || edit.value.ends_with(' '))
        add(field + " \"" + edit.name + "\"", "value begins or ends with a space", "remove it");
    }
  }

  /// Headers that delimit messages or connections are the proxy's: editing them would split or smuggle messages.
  void edited_name(const std::string& field, const std::string& name) {
    static constexpr std::string_view kOurs[] = {"host",       "content-length", "transfer-encoding",
                                                 "connection", "keep-alive",     "upgrade",
                                                 "te",         "trailer",        "proxy-connection"};
    if (!is_token(name) || name.size() > kNameOctetsMax)
      return add(field + " \"" + name + "\"", "not the name of a header",
                 name.starts_with(':') ? "use host_rewrite or a path rewrite" : "letters, digits and -");
    for (const std::string_view ours : kOurs)
      if (equals_folded(name, ours))
        add(field + " \"" + name + "\"", "delimits messages or connections and cannot be edited",
            ours == "host" ? "use host_rewrite" : "leave it to the proxy");
  }

  const std::string& place_;
  Problems& problems_;
};

}  // namespace

void validate_route(const Route& route, const std::string& place, Problems& problems) {
  RouteValidator{place, problems}.run(route);
}

bool is_visible_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

std::string meant_method(std::string_view method) {
  static constexpr std::string_view kKnown[] = {"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                                "CONNECT", "OPTIONS", "TRACE", "PATCH"};
  std::string upper{method};
  for (char& c : upper)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  const bool is_meant = upper != method && std::find(std::begin(kKnown), std::end(kKnown), upper) != std::end(kKnown);
  return is_meant ? upper : std::string{};
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view{"!#$%&'*+-.^_`|~"}.find(c) != std::string_view::npos;
  });
}

}  // namespace penstock::route
