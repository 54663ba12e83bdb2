#include "mgmt/cli/top.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <thread>

#include "mgmt/cli/table.h"
#include "mgmt/telemetry/http_report.h"

namespace penstock::cli {
namespace {

std::string text(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }
std::uint64_t count(const Json& object, const std::string& key) { return object.value(key, std::uint64_t{0}); }

std::uint64_t grown(std::uint64_t before, std::uint64_t after) { return after >= before ? after - before : after; }

/// Rows of `before` by the values of some keys.
const Json* same_row(const Json& rows, const Json& row, std::initializer_list<const char*> keys) {
  for (const Json& other : rows)
    if (std::all_of(keys.begin(), keys.end(), [&](const char* key) { return other[key] == row[key]; })) return &other;
  return nullptr;
}

/// Rates of the counters named, under their names without "_total" and with "_per_second".
void put_rates(Json& into, const Json* before, const Json& after, std::initializer_list<const char*> counters,
               double seconds) {
  for (const char* counter : counters) {
    const std::uint64_t then = before == nullptr ? 0 : count(*before, counter);
    const std::string name{counter};
    const std::size_t end = name.ends_with("_total") ? name.size() - 6 : name.size();
    into[name.substr(0, end) + "_per_second"] = static_cast<double>(grown(then, count(after, counter))) / seconds;
  }
}

Json listeners(const TopSample& before, const TopSample& after, double seconds) {
  Json out = Json::array();
  for (const Json& row : after.status["listeners"]) {
    Json rate{{"name", row["name"]},
              {"tier", row.value("http", false) ? Json("http") : row["tier"]},
              {"flows_active", count(row, "flows_active")}};
    put_rates(
        rate, same_row(before.status["listeners"], row, {"name", "address", "port"}), row,
        {"flows_total", "received_packets_total", "received_octets_total", "sent_packets_total", "sent_octets_total"},
        seconds);
    out.push_back(std::move(rate));
  }
  return out;
}

/// What came into the buckets between the two samples. Trailing empty ones may be missing.
telemetry::LatencyValues grown_buckets(const Json* before, const Json& after, const char* key) {
  telemetry::LatencyValues out{};
  const auto at = [key](const Json& row, std::size_t i) {
    const auto buckets = row.find(key);
    return buckets != row.end() && i < buckets->size() ? (*buckets)[i].get<std::uint64_t>() : std::uint64_t{0};
  };
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = grown(before == nullptr ? 0 : at(*before, i), at(after, i));
  return out;
}

/// Of the answers that came between the two samples; 0 without any.
double mean_latency(const Json* before, const Json& after) {
  const auto grown_by = [&](const char* key) {
    return after.value(key, 0.0) - (before == nullptr ? 0.0 : before->value(key, 0.0));
  };
  const double answers = grown_by("http_requests_total") - grown_by("http_failures_total");
  return answers <= 0 ? 0 : std::max(0.0, grown_by("http_latency_seconds_total")) * 1e6 / answers;
}

Json endpoints(const TopSample& before, const TopSample& after, double seconds) {
  Json out = Json::array();
  for (const Json& row : after.status["endpoints"]) {
    Json rate{{"cluster", row["cluster"]},
              {"address", row["address"]},
              {"port", row["port"]},
              {"health", row.value("health", "")},
              {"flows_active", count(row, "flows_active")}};
    const Json* const then = same_row(before.status["endpoints"], row, {"cluster", "address", "port"});
    put_rates(rate, then, row,
              {"flows_total", "received_packets_total", "sent_packets_total", "http_requests_total",
               "http_responses_5xx_total", "http_failures_total"},
              seconds);
    rate["http_latency_microseconds"] = mean_latency(then, row);
    const telemetry::LatencyValues latency = grown_buckets(then, row, "http_latency_buckets");
    rate["http_latency_p50_microseconds"] = telemetry::latency_quantile_us(latency, 0.5);
    rate["http_latency_p99_microseconds"] = telemetry::latency_quantile_us(latency, 0.99);
    out.push_back(std::move(rate));
  }
  return out;
}

Json http_slots(const TopSample& before, const TopSample& after, double seconds) {
  Json out = Json::array();
  if (!after.http.is_object()) return out;
  for (const Json& row : after.http["slots"]) {
    const Json* then = before.http.is_object()
                           ? same_row(before.http["slots"], row, {"kind", "listener", "host", "route", "cluster"})
                           : nullptr;
    Json rate;
    for (const char* key : {"kind", "listener", "host", "route", "cluster", "requests_active"}) rate[key] = row[key];
    put_rates(rate, then, row,
              {"requests_total", "responses_2xx", "responses_3xx", "responses_4xx", "responses_5xx", "retries_total",
               "response_octets_total"},
              seconds);
    const telemetry::LatencyValues latency = grown_buckets(then, row, "latency_buckets");
    rate["latency_p50_microseconds"] = telemetry::latency_quantile_us(latency, 0.5);
    rate["latency_p99_microseconds"] = telemetry::latency_quantile_us(latency, 0.99);
    out.push_back(std::move(rate));
  }
  return out;
}

std::string rate(const Json& row, const char* key) {
  const double value = row.value(key, 0.0);
  if (value >= 1000) return short_count(static_cast<std::uint64_t>(value));
  std::array<char, 32> out{};
  std::snprintf(out.data(), out.size(), value == 0 ? "%.0f" : "%.1f", value);
  return out.data();
}
std::string milliseconds(const Json& row, const char* key) {
  const double value = row.value(key, 0.0);
  if (value == 0) return "-";
  std::array<char, 32> out{};
  std::snprintf(out.data(), out.size(), "%.2fms", value / 1000);
  return out.data();
}

/// The rows with the highest `key`, at most `max`.
std::vector<Json> busiest(const Json& rows, const char* key, std::size_t max) {
  std::vector<Json> out(rows.begin(), rows.end());
  std::stable_sort(out.begin(), out.end(),
                   [&](const Json& a, const Json& b) { return a.value(key, 0.0) > b.value(key, 0.0); });
  if (out.size() > max) out.resize(max);
  return out;
}

std::string http_table(const Json& rates, std::size_t max) {
  Table table{
      {"HTTP", "NAME", ">ACTIVE", ">REQ/S", ">2XX/S", ">3XX/S", ">4XX/S", ">5XX/S", ">RETRIES/S", ">P50", ">P99"}};
  for (const char* kind : {"listener", "route", "cluster", "other"}) {
    Json rows = Json::array();
    for (const Json& row : rates["http"])
      if (row["kind"] == kind) rows.push_back(row);
    for (const Json& row : busiest(rows, "requests_per_second", max)) {
      const std::string name = row["kind"] == "route"
                                   ? text(row["listener"]) + " " + text(row["host"]) + "/" + text(row["route"])
                               : row["kind"] == "cluster" ? text(row["cluster"])
                                                          : text(row["listener"]);
      if (row["kind"] == "other" && row.value("requests_per_second", 0.0) == 0) continue;
      table.add({kind, name, short_count(count(row, "requests_active")), rate(row, "requests_per_second"),
                 rate(row, "responses_2xx_per_second"), rate(row, "responses_3xx_per_second"),
                 rate(row, "responses_4xx_per_second"), rate(row, "responses_5xx_per_second"),
                 rate(row, "retries_per_second"), milliseconds(row, "latency_p50_microseconds"),
                 milliseconds(row, "latency_p99_microseconds")});
    }
  }
  return table.text();
}

}  // namespace

Json top_rates(const TopSample& before, const TopSample& after, double seconds) {
  Json out;
  out["verdict"] = after.status["verdict"];
  out["seconds"] = seconds;
  out["flows_active"] = after.status["flows"]["active"];
  out["workers"] = Json::array();
  for (const Json& worker : after.status["workers"]) {
    Json row{{"index", worker["index"]}, {"busy_percent", worker["busy_percent"]}};
    put_rates(row, same_row(before.status["workers"], worker, {"index"}), worker, {"frames_total"}, seconds);
    out["workers"].push_back(std::move(row));
  }
  out["listeners"] = listeners(before, after, seconds);
  out["endpoints"] = endpoints(before, after, seconds);
  out["http"] = http_slots(before, after, seconds);
  return out;
}

std::string render_top(const Json& rates, Style style) {
  constexpr std::size_t kRows = 20;
  const std::size_t max = rates.value("rows", kRows);
  std::string out = text(rates["verdict"]) + ", flows " + text(rates["flows_active"]);
  for (const Json& worker : rates["workers"])
    out += ", worker " + text(worker["index"]) + ": " + rate(worker, "frames_per_second") + " frames/s";
  if (style.color) out = "\033[1m" + out + "\033[0m";
  Table services{{"LISTENER", "TIER", ">ACTIVE", ">NEW/S", ">RX PKT/S", ">RX B/S", ">TX PKT/S", ">TX B/S"}};
  for (const Json& row : busiest(rates["listeners"], "received_packets_per_second", max))
    services.add({text(row["name"]), text(row["tier"]), short_count(count(row, "flows_active")),
                  rate(row, "flows_per_second"), rate(row, "received_packets_per_second"),
                  rate(row, "received_octets_per_second"), rate(row, "sent_packets_per_second"),
                  rate(row, "sent_octets_per_second")});
  Table servers{{"CLUSTER", "ENDPOINT", "HEALTH", ">ACTIVE", ">NEW/S", ">RX PKT/S", ">TX PKT/S", ">REQ/S", ">5XX/S",
                 ">FAIL/S", ">P50", ">P99"}};
  for (const Json& row : busiest(rates["endpoints"], "received_packets_per_second", max)) {
    const std::string health = text(row["health"]);
    servers.add({text(row["cluster"]), text(row["address"]) + " " + text(row["port"]), health.empty() ? "-" : health,
                 short_count(count(row, "flows_active")), rate(row, "flows_per_second"),
                 rate(row, "received_packets_per_second"), rate(row, "sent_packets_per_second"),
                 rate(row, "http_requests_per_second"), rate(row, "http_responses_5xx_per_second"),
                 rate(row, "http_failures_per_second"), milliseconds(row, "http_latency_p50_microseconds"),
                 milliseconds(row, "http_latency_p99_microseconds")});
  }
  out += "\n\n" + services.text();
  if (!rates["http"].empty()) out += "\n" + http_table(rates, max);
  return out + "\n" + servers.text();
}

int run_top(const Context& context, const TopOptions& options) {
  const auto sample = [&]() -> Result<TopSample, Fault> {
    auto status = context.source().get("/v1/status");
    if (!status) return status.error();
    const auto http = context.source().get("/v1/http");
    return TopSample{std::move(status->body), http.ok() ? http->body : Json(nullptr)};
  };
  auto before = sample();
  auto then = std::chrono::steady_clock::now();
  for (;;) {
    if (!before) {
      std::cerr << "penstock: " << before.error().text << "\n";
      return before.error().exit_code;
    }
    std::this_thread::sleep_for(std::chrono::seconds{options.interval_seconds});
    auto after = sample();
    const auto now = std::chrono::steady_clock::now();
    if (after) {
      Json rates = top_rates(*before, *after, std::chrono::duration<double>(now - then).count());
      rates["rows"] = options.rows;
      if (!context.json && !options.once && context.style().color) std::cout << "\033[H\033[2J";
      std::cout << (context.json ? rates.dump(options.once ? 2 : -1) + "\n" : render_top(rates, context.style()))
                << std::flush;
    }
    before = std::move(after);
    then = now;
    if (options.once && before) return kExitGood;
  }
}

}  // namespace penstock::cli
