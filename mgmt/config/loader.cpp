#include "mgmt/config/loader.h"

#include <sched.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "mgmt/config/advice.h"
#include "mgmt/config/checks.h"
#include "mgmt/config/fields.h"

namespace penstock::config {
namespace {

Problems problems_of(Findings findings, std::string_view file_name) {
  std::stable_sort(findings.begin(), findings.end(),
                   [](const Finding& a, const Finding& b) { return a.place < b.place; });
  Problems out;
  for (Finding& finding : findings) {
    if (out.size() == kProblemMax) {
      out.push_back({std::string{file_name}, std::to_string(findings.size() - kProblemMax) + " more problems",
                     "put the others right first"});
      break;
    }
    out.push_back(
        {std::string{file_name} + ":" + std::to_string(finding.place.line) + ":" + std::to_string(finding.place.column),
         std::move(finding.what), std::move(finding.remedy)});
  }
  return out;
}

/// A text of another version may have other keys: complaining about those would only hide the one cause.
bool is_other_version(const YamlNode& root) {
  const YamlNode* version = root.find("apiVersion");
  return version != nullptr && version->kind == YamlNode::Kind::scalar && version->text != kApiVersion;
}

/// Values that follow others when the text does not give them.
void derive_defaults(const YamlNode& root, Node& node) {
  const YamlNode* text = root.find("node");
  if (text == nullptr) return;
  if (text->find("workers") == nullptr && !node.cpus.empty())
    node.workers = static_cast<std::uint16_t>(node.cpus.size());
  const YamlNode* proxy = text->find("proxy");
  const auto given = [proxy](std::string_view key) { return proxy != nullptr && proxy->find(key) != nullptr; };
  if (!given("connections_per_worker"))
    node.proxy.connections_per_worker = std::min(node.proxy.connections_per_worker, node.limits.flows_per_worker);
  if (!given("half_open_max"))
    node.proxy.half_open_max = std::min(node.proxy.half_open_max, node.proxy.connections_per_worker);
}

/// HTTP is always proxied.
void derive_modes(const YamlNode& root, std::vector<Listener>& listeners) {
  const YamlNode* text = root.find("listeners");
  for (std::size_t i = 0; text != nullptr && i < std::min(listeners.size(), text->items.size()); ++i)
    if (listeners[i].application == Application::http && text->items[i].find("mode") == nullptr)
      listeners[i].mode = control::ListenerMode::proxy;
}

Problems file_problem(const std::string& path, std::string what, std::string remedy) {
  return {Problem{path, std::move(what), std::move(remedy)}};
}

}  // namespace

Machine this_machine() {
  Machine out;
  utsname system{};
  if (::uname(&system) == 0)
    (void)std::sscanf(system.release, "%u.%u", &out.kernel.major, &out.kernel.minor);  // else 0.0: an old one
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) return out;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(static_cast<std::size_t>(cpu), &mask)) out.cpus.push_back(static_cast<std::uint16_t>(cpu));
  return out;
}

Result<Config, Problems> load_text(std::string_view text, std::string_view file_name, const Machine& machine,
                                   Advice* advice) {
  Findings findings;
  const auto root = parse_document(text, findings);
  if (!root) return problems_of(std::move(findings), file_name);
  Reader reader{findings};
  Config config;
  if (root->kind == YamlNode::Kind::null) {
    reader.problem(root->place, "the file is empty", "begin with `apiVersion: penstock/v1`");
  } else if (is_other_version(*root)) {
    reader.set_key("apiVersion");
    ApiVersion{}.read(reader, *root->find("apiVersion"), config.api_version);
  } else {
    read_map(reader, *root, config);
    derive_defaults(*root, config.node);
    derive_modes(*root, config.listeners);
    check_relations(config, *root, machine, reader);
  }
  if (!findings.empty()) return problems_of(std::move(findings), file_name);
  if (advice != nullptr)
    *advice = {problems_of(find_warnings(config, *root), file_name),
               problems_of(find_notes(config, *root, machine), file_name)};
  return config;
}

Result<Config, Problems> load_file(const std::string& path, const Machine& machine) {
  std::ifstream file{path, std::ios::binary};
  if (!file)
    return file_problem(path, std::string{"cannot be opened: "} + std::strerror(errno),
                        "check the path and its rights");
  // One octet more than allowed, so that parse_document() sees that it is too much.
  std::string text(kConfigOctetsMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return file_problem(path, "cannot be read", "is it a regular file?");
  text.resize(static_cast<std::size_t>(file.gcount()));
  return load_text(text, path, machine);
}

}  // namespace penstock::config
