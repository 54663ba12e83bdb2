// snapshot_seed_test_support.h - what the corpus of snapshot_fuzz begins with: whole snapshots of today's records.
//
// Model     a seed is content of a test, as write_snapshot() lays it out. One with records of other sizes would be
//           refused at its first section and lead the fuzzer nowhere, so that a test compares them.
// Errors    with PENSTOCK_WRITE_SEEDS in the environment the file is written instead: for whoever changed a record.
#pragma once
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "dataplane/control/snapshot_view.h"
#include "dataplane/control/snapshot_writer.h"

namespace penstock::control::test {

inline void expect_seed(const std::string& name, const SnapshotContent& content) {
  const std::vector<std::byte> bytes = write_snapshot(content, 1);
  const auto view = SnapshotView::open(bytes);
  EXPECT_TRUE(view.ok()) << name << ": " << view.error().text();
  const std::string path = "tests/corpus/snapshot_fuzz/" + name;
  const std::string want{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  if (std::getenv("PENSTOCK_WRITE_SEEDS") != nullptr) std::ofstream{path, std::ios::binary} << want;
  std::ifstream file{path, std::ios::binary};
  const std::string have{std::istreambuf_iterator<char>{file}, {}};
  EXPECT_TRUE(have == want) << path << " is stale: run control_test in the repository with PENSTOCK_WRITE_SEEDS=1";
}

}  // namespace penstock::control::test
