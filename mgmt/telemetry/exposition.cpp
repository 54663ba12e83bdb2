// Families as Prometheus text (exposition format 0.0.4). Numbers are the shortest decimals that read back as the same
// value, never in scientific notation: the bound of a bucket is a label, and a label is compared as text.
#include <array>
#include <charconv>
#include <cmath>

#include "mgmt/telemetry/families.h"

namespace penstock::telemetry {
namespace {

void put_number(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "NaN";
    return;
  }
  if (std::isinf(value)) {
    out += value < 0 ? "-Inf" : "+Inf";
    return;
  }
  std::array<char, 1100> digits;  // the longest that a double takes so
  const auto [end, error] =
      std::to_chars(digits.data(), digits.data() + digits.size(), value, std::chars_format::fixed);
  if (error == std::errc{}) out.append(digits.data(), end);
}

/// What would end the text early, escaped. Quotes end values only.
void put_escaped(std::string& out, std::string_view text, bool quoted) {
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '\\' || (quoted && c == '"')) out += '\\';
    out += c;
  }
}

/// "name{label="value",...,le="bound"} "; a bound only with buckets.
void put_head(std::string& out, const std::string& name, const char* suffix, const Labels& labels,
              const double* bound = nullptr) {
  out.append(name).append(suffix);
  char before = '{';
  for (const ClientMetric::Label& label : labels) {
    out += before;
    before = ',';
    out.append(label.name).append("=\"");
    put_escaped(out, label.value, true);
    out += '"';
  }
  if (bound != nullptr) {
    out += before;
    before = ',';
    out += "le=\"";
    put_number(out, *bound);
    out += '"';
  }
  out += before == '{' ? " " : "} ";
}

void put_line(std::string& out, const std::string& name, const char* suffix, const Labels& labels, double value,
              const double* bound = nullptr) {
  put_head(out, name, suffix, labels, bound);
  put_number(out, value);
  out += '\n';
}

void put_histogram(std::string& out, const std::string& name, const ClientMetric& metric) {
  put_line(out, name, "_count", metric.label, static_cast<double>(metric.histogram.sample_count));
  put_line(out, name, "_sum", metric.label, metric.histogram.sample_sum);
  for (const ClientMetric::Bucket& bucket : metric.histogram.bucket)
    put_line(out, name, "_bucket", metric.label, static_cast<double>(bucket.cumulative_count), &bucket.upper_bound);
}

const char* type_name(prometheus::MetricType type) {
  switch (type) {
    case prometheus::MetricType::Counter:
      return "counter";
    case prometheus::MetricType::Histogram:
      return "histogram";
    default:
      return "gauge";
  }
}

}  // namespace

std::string exposition_text(const std::vector<MetricFamily>& families) {
  std::string out;
  for (const MetricFamily& family : families) {
    out.append("# HELP ").append(family.name).append(" ");
    put_escaped(out, family.help, false);
    out.append("\n# TYPE ").append(family.name).append(" ").append(type_name(family.type)).append("\n");
    for (const ClientMetric& metric : family.metric) {
      if (family.type == prometheus::MetricType::Histogram)
        put_histogram(out, family.name, metric);
      else
        put_line(out, family.name, "", metric.label,
                 family.type == prometheus::MetricType::Counter ? metric.counter.value : metric.gauge.value);
    }
  }
  return out;
}

}  // namespace penstock::telemetry
