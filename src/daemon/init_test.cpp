#include "daemon/init.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/command_line.h"
#include "config/config.h"
#include "identity/certificate.h"
#include "os/real/real_world.h"
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

class InitChoices : public testing::Test {
 protected:
  // What was made in `folder` is named; empty when nothing was.
  std::string name_in(const cli::InitArguments& arguments) {
    out_.str("");
    err_.str("");
    if (init(arguments, {out_, err_}) != cli::kDone) return "";
    const auto config = config::load(world_->files(), arguments.folder + "/farshore.yaml");
    EXPECT_TRUE(config.ok()) << config.error().what;
    const auto ca = identity::read_certificate(world_->files(), arguments.folder + "/tls/ca.crt");
    EXPECT_TRUE(ca.ok()) << ca.error().what;
    EXPECT_THAT(ca->subject, HasSubstr("Farshore CA of " + config->name));
    return config->name;
  }

  os::TestFolder folder_;
  std::unique_ptr<os::World> world_ = os::make_real_world(std::nullopt);
  std::ostringstream out_, err_;
};

TEST_F(InitChoices, TheConfigurationAndItsAuthorityHaveTheFoldersName) {
  EXPECT_EQ(name_in({.folder = folder_.file("prod"), .name = {}, .regions = {}}), "prod");
  EXPECT_EQ(name_in({.folder = folder_.file("stage/"), .name = {}, .regions = {}}), "stage");
  EXPECT_EQ(name_in({.folder = folder_.file("my shop.x"), .name = {}, .regions = {}}), "my-shop-x");
  EXPECT_EQ(name_in({.folder = folder_.file("y"), .name = "eu prod", .regions = {}}), "eu-prod");
  const auto before = std::filesystem::current_path();
  std::filesystem::create_directory(folder_.file("here"));
  std::filesystem::current_path(folder_.file("here"));
  EXPECT_EQ(name_in({.folder = ".", .name = {}, .regions = {}}), "here");
  std::filesystem::current_path(before);
}

TEST_F(InitChoices, AsJsonItNamesEachFileThatWasMade) {
  const std::string prod = folder_.file("prod");
  ASSERT_EQ(name_in({.folder = prod, .name = {}, .regions = {"a", "b"}, .json = true}), "prod");
  const auto json = nlohmann::json::parse(out_.str(), nullptr, false);
  EXPECT_EQ(json["name"], "prod");
  ASSERT_EQ(json["files"].size(), 7U);
  for (const auto& file : json["files"]) EXPECT_TRUE(std::filesystem::exists(std::string(file)));
}

TEST_F(InitChoices, OneRegionAloneIsRefused) {
  EXPECT_EQ(name_in({.folder = folder_.file("prod"), .name = {}, .regions = {"solo"}}), "");
  EXPECT_THAT(err_.str(), HasSubstr("--regions names 'solo' alone: name two at least"));
  EXPECT_FALSE(std::filesystem::exists(folder_.file("prod")));
}

}  // namespace
}  // namespace farshore::daemon
