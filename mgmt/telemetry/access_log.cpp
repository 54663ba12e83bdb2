#include "mgmt/telemetry/access_log.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "dataplane/control/snapshot_layout.h"
#include "mgmt/telemetry/flow_reader.h"

namespace penstock::telemetry {
namespace {

using Json = nlohmann::ordered_json;

/// Printable ASCII as it is, but for '"' and '\'; everything else as \xHH.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if (octet >= 0x20 && octet < 0x7f && c != '"' && c != '\\') {
      out += c;
      continue;
    }
    std::array<char, 5> code{};
    std::snprintf(code.data(), code.size(), "\\x%02x", octet);
    out += code.data();
  }
  return out;
}

std::string time_text(std::uint64_t unix_ns) {
  const auto seconds = static_cast<std::time_t>(unix_ns / 1'000'000'000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 64> out{};
  const std::size_t octets = std::strftime(out.data(), out.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(out.data() + octets, out.size() - octets, ".%03uZ", static_cast<unsigned>(unix_ns / 1'000'000 % 1000));
  return out.data();
}

std::string name_of(const std::map<std::uint32_t, std::string>& names, std::uint32_t id) {
  if (id == 0) return "-";
  const auto at = names.find(id);
  return at == names.end() ? std::to_string(id) : at->second;
}

std::string route_of(const AccessNames& names, const control::AccessRecord& record) {
  if (record.route == control::kNoIndex) return "-";
  const auto at = names.routes.find(record.listener_id);
  if (at == names.routes.end() || record.route >= at->second.size()) return "#" + std::to_string(record.route);
  return at->second[record.route];
}

/// The port is 0 when the dataplane does not tell it.
std::string client_of(const control::AccessRecord& record) {
  return record.client_port == 0 ? record.client.text() : host_port_text(record.client, record.client_port);
}

std::string_view detail_of(control::ResponseDetail detail) {
  const auto index = static_cast<std::size_t>(detail);
  return index < control::kResponseDetails.size() ? control::kResponseDetails[index].name : "unknown";
}

/// The record's texts, within its bounds whatever it says.
struct Texts {
  explicit Texts(const control::AccessRecord& record) {
    std::string_view rest{record.text.data(), record.text.size()};
    const auto take = [&](std::size_t octets) {
      const std::string_view out = rest.substr(0, octets);
      rest.remove_prefix(out.size());
      return escaped(out);
    };
    method = take(record.method_octets);
    host = take(record.host_octets);
    path = take(record.path_octets);
  }
  std::string method, host, path;
};

std::string version_of(const control::AccessRecord& record) { return "HTTP/1." + std::to_string(record.http_minor); }

std::string text_line(const control::AccessRecord& record, const AccessNames& names, const std::string& time) {
  const Texts texts{record};
  std::string out = time + " " + name_of(names.listeners, record.listener_id) + " " + client_of(record) + " \"";
  // What was refused has no parts: its path is the line that came.
  out += texts.method.empty() ? texts.path : texts.method + " " + texts.host + texts.path + " " + version_of(record);
  out += "\" " + std::to_string(record.status);
  out += " " + std::string{detail_of(record.detail)} + " route=" + escaped(route_of(names, record)) +
         " cluster=" + name_of(names.clusters, record.cluster_id) +
         " endpoint=" + name_of(names.endpoints, record.endpoint_id) +
         " duration_us=" + std::to_string(record.duration_us) + " upstream_us=" + std::to_string(record.upstream_us) +
         " in=" + std::to_string(record.request_octets) + " out=" + std::to_string(record.response_octets) +
         " retries=" + std::to_string(record.retries);
  return out + "\n";
}

std::string json_line(const control::AccessRecord& record, const AccessNames& names, const std::string& time) {
  const Texts texts{record};
  const Json out{{"time", time},
                 {"listener", name_of(names.listeners, record.listener_id)},
                 {"client", client_of(record)},
                 {"method", texts.method},
                 {"host", texts.host},
                 {"path", texts.path},
                 {"version", texts.method.empty() ? "-" : version_of(record)},
                 {"status", record.status},
                 {"detail", detail_of(record.detail)},
                 {"route", escaped(route_of(names, record))},
                 {"cluster", name_of(names.clusters, record.cluster_id)},
                 {"endpoint", name_of(names.endpoints, record.endpoint_id)},
                 {"duration_us", record.duration_us},
                 {"upstream_us", record.upstream_us},
                 {"request_octets", record.request_octets},
                 {"response_octets", record.response_octets},
                 {"retries", record.retries}};
  return out.dump() + "\n";
}

}  // namespace

void AccessNameBook::add(AccessNames names) {
  names_.push_back(std::move(names));
  while (names_.size() > kKept) names_.pop_front();
}

const AccessNames& AccessNameBook::at(std::uint64_t epoch) const {
  const auto newest = std::find_if(names_.rbegin(), names_.rend(),
                                   [&](const AccessNames& names) { return names.first_epoch <= epoch; });
  return newest == names_.rend() ? names_.front() : *newest;
}

std::string access_line(const control::AccessRecord& record, const AccessNames& names, std::uint64_t unix_ns,
                        AccessFormat format) {
  const std::string time = time_text(unix_ns);
  return format == AccessFormat::json ? json_line(record, names, time) : text_line(record, names, time);
}

}  // namespace penstock::telemetry
