#include "dataplane/flow/rte_hash_baseline.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace penstock::flow {
namespace {

void start_eal() {
  static bool started = false;
  if (started) return;
  started = true;
  std::array<std::string, 8> args{"flow_bench", "--no-shconf", "--no-pci", "--no-telemetry",
                                  "--no-huge",  "-m",          "1024",     "--log-level=error"};
  std::array<char*, 8> argv{};
  for (std::size_t i = 0; i < args.size(); ++i) argv[i] = args[i].data();
  if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0) {
    std::fprintf(stderr, "flow_bench: EAL does not start: %s\n", rte_strerror(rte_errno));
    std::exit(1);
  }
}

}  // namespace

RteHashBaseline::RteHashBaseline(std::uint32_t keys) {
  start_eal();
  static int serial = 0;
  const std::string name = "baseline" + std::to_string(serial++);
  rte_hash_parameters parameters{};
  parameters.name = name.c_str();
  parameters.entries = keys;
  parameters.key_len = kKeyOctets;
  parameters.hash_func = rte_hash_crc;
  parameters.hash_func_init_val = 0x1234;
  parameters.extra_flag = RTE_HASH_EXTRA_FLAGS_EXT_TABLE;
  table_ = rte_hash_create(&parameters);
  if (table_ == nullptr) {
    std::fprintf(stderr, "flow_bench: rte_hash of %u keys: %s\n", keys, rte_strerror(rte_errno));
    std::exit(1);
  }
}

RteHashBaseline::~RteHashBaseline() { rte_hash_free(static_cast<rte_hash*>(table_)); }

bool RteHashBaseline::add(const void* key) { return rte_hash_add_key(static_cast<rte_hash*>(table_), key) >= 0; }

void RteHashBaseline::lookup(const void* const* keys, std::uint32_t count, std::int32_t* positions) const {
  rte_hash_lookup_bulk(static_cast<rte_hash*>(table_), const_cast<const void**>(keys), count, positions);
}

}  // namespace penstock::flow
