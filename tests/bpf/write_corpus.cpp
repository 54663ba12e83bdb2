// Writes the frames of steer_cases(), and cuts of one of them, as seeds: write_corpus tests/corpus/parse_fuzz
#include <cstdio>
#include <fstream>

#include "tests/bpf/steer_cases.h"

int main(int argc, char** argv) {
  using namespace penstock::test;
  if (argc != 2) {
    std::fprintf(stderr, "usage: write_corpus DIRECTORY\n");
    return 2;
  }
  const auto write = [&](const std::string& name, const Bytes& frame) {
    std::ofstream file{std::string{argv[1]} + "/" + name, std::ios::binary};
    for (const std::byte each : frame) file.put(static_cast<char>(each));
  };
  for (const SteerCase& each : steer_cases()) write(each.name, each.frame);
  const Bytes whole = steer_cases().front().frame;
  for (std::size_t octets = 0; octets < 14; octets += 13)
    write("cut_to_" + std::to_string(octets), {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(octets)});
  return 0;
}
