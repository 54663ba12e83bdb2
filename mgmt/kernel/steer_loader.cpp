#include "mgmt/kernel/steer_loader.h"

#include <bpf/bpf.h>

#include <cstdarg>
#include <cstdio>

#include "bpf/abi/steer_object.h"
#include "mgmt/kernel/system_problem.h"

namespace penstock::kernel {
namespace {

// libbpf explains failures by a process-wide print callback; the explanation is kept for the thread's next Problem.
thread_local std::string last_words;

int keep_warning(libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN) return 0;
  std::array<char, 512> line{};
  std::vsnprintf(line.data(), line.size(), format, arguments);
  last_words += line.data();
  if (last_words.size() > 4096) last_words.erase(0, last_words.size() - 4096);
  return 0;
}

}  // namespace

Result<BpfObject> open_steer() {
  libbpf_set_print(keep_warning);
  last_words.clear();
  const auto bytes = steer_object();
  LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "steer");
  BpfObject object{bpf_object__open_mem(bytes.data(), bytes.size(), &options)};
  if (!object) return system_problem("steering program", "cannot open the object: " + last_words, errno);
  return object;
}

Result<BpfObject> load_steer(const MapFds& reuse, bool large_frames) {
  auto opened = open_steer();
  if (!opened) return opened.error();
  BpfObject object = std::move(opened).value();
  for (const auto& [name, fd] : reuse) {
    // The kernel keeps programs for large frames and others apart by device map. These get an empty one of their own:
    // the dataplane forwards no flow of such a port.
    if (large_frames && name == kDeviceMap) continue;
    bpf_map* map = bpf_object__find_map_by_name(object.get(), name.c_str());
    require(map != nullptr, "unknown map name");
    if (const int error = bpf_map__reuse_fd(map, fd); error != 0)
      return system_problem(name, "cannot reuse the map", error);
  }
  bpf_program* program = bpf_object__find_program_by_name(object.get(), kSteerProgramName);
  // Not by the section's name: what that sets cannot be taken back.
  if (large_frames) bpf_program__set_flags(program, bpf_program__flags(program) | BPF_F_XDP_HAS_FRAGS);
  if (const int error = bpf_object__load(object.get()); error != 0)
    return system_problem("steering program", "the kernel refuses to load it", error,
                          "needs CAP_BPF, CAP_NET_ADMIN and Linux 5.18 or newer; libbpf says: " + last_words);
  return object;
}

int map_fd(const BpfObject& object, std::string_view name) {
  return bpf_object__find_map_fd_by_name(object.get(), std::string{name}.c_str());
}

int program_fd(const BpfObject& object) {
  return bpf_program__fd(bpf_object__find_program_by_name(object.get(), kSteerProgramName));
}

Status check_layout(const BpfObject& definitions, const std::string& name, int fd, const std::string& path) {
  const bpf_map* wanted = bpf_object__find_map_by_name(definitions.get(), name.c_str());
  require(wanted != nullptr, "unknown map name");
  bpf_map_info found{};
  __u32 octets = sizeof found;
  if (const int error = bpf_obj_get_info_by_fd(fd, &found, &octets); error != 0)
    return system_problem(path, "cannot read the pinned map", error);
  if (found.type == bpf_map__type(wanted) && found.key_size == bpf_map__key_size(wanted) &&
      found.value_size == bpf_map__value_size(wanted) && found.max_entries == bpf_map__max_entries(wanted))
    return Done{};
  return Problem{path, "pinned map has another layout than this version",
                 "stop the other version of penstockd, then remove the pins"};
}

}  // namespace penstock::kernel
