#include "daemon/init.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/command_line.h"
#include "os/real/test_folder.h"

namespace farshore::daemon {
namespace {

using testing::HasSubstr;

struct InitTest : testing::Test {
  int run() {
    err.str("");
    return init({.folder = folder.path(), .name = "shop", .regions = {"east", "west"}}, {out, err});
  }
  std::string text(const std::string& name) {
    std::ostringstream bytes;
    bytes << std::ifstream(folder.file(name)).rdbuf();
    return bytes.str();
  }

  os::TestFolder folder;
  std::ostringstream out, err;
};

TEST_F(InitTest, WhatIsThereIsNotOverwritten) {
  ASSERT_EQ(run(), cli::kDone) << err.str();
  const std::string key = text("tls/ca.key");
  ASSERT_FALSE(key.empty());
  EXPECT_EQ(run(), cli::kRefused);
  EXPECT_THAT(err.str(), HasSubstr("farshore.yaml is there already: nothing was written"));
  EXPECT_EQ(text("tls/ca.key"), key);
}

// farshore.yaml comes last, so one that was interrupted anywhere before it looks like this.
TEST_F(InitTest, WhatAnInterruptedOneLeftIsNamedWithTheLineThatRemovesIt) {
  ASSERT_EQ(run(), cli::kDone) << err.str();
  for (const char* name :
       {"farshore.yaml", "tls/ca.crt", "tls/east.key", "tls/east.crt", "tls/west.crt"})
    std::filesystem::remove(folder.file(name));
  const std::string key = text("tls/ca.key");
  EXPECT_EQ(run(), cli::kRefused);
  EXPECT_THAT(err.str(),
              HasSubstr("rm " + folder.file("tls/ca.key") + " " + folder.file("tls/west.key")));
  EXPECT_EQ(text("tls/ca.key"), key);
  EXPECT_FALSE(std::filesystem::exists(folder.file("farshore.yaml")));

  std::filesystem::remove(folder.file("tls/ca.key"));
  std::filesystem::remove(folder.file("tls/west.key"));
  EXPECT_EQ(run(), cli::kDone) << err.str();
}

}  // namespace
}  // namespace farshore::daemon
