// MemoryDisk against the rules that the machine's disk and the simulated one keep
// (os/contracts_test.cpp).
#include <gtest/gtest.h>

#include "journal/fake_disk.h"
#include "os/files_contract.h"

namespace farshore::journal {
namespace {

class MemoryDiskContract : public testing::TestWithParam<os::FilesRule> {};
INSTANTIATE_TEST_SUITE_P(Rules, MemoryDiskContract, testing::ValuesIn(os::files_contract()),
                         [](const auto& rule) { return rule.param.name; });

TEST_P(MemoryDiskContract, Holds) {
  MemoryWorld world;
  ASSERT_TRUE(world.disk.create_folder("/data").ok());
  GetParam().body(world, "/data");
}

}  // namespace
}  // namespace farshore::journal
