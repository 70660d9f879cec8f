// An agent whose API asks for a token, and the command line that finds it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/command_line.h"
#include "daemon/agent.h"
#include "daemon/check.h"
#include "identity/certificate.h"
#include "os/real/real_world.h"
#include "os/real/test_folder.h"

namespace farshore::daemon {
namespace {

using testing::HasSubstr;

constexpr const char* kFile = R"(name: shop
regions:
  us-east-1: {{ link: 127.0.0.2:1, data: {0}/us, tls: {0}/tls }}
  eu-west-1: {{ link: 127.0.0.1:1, data: {0}/eu, tls: {0}/tls, api: "{1}",
               api_token_file: {0}/token }}
sites:
  orders-us: {{ region: us-east-1, engine: postgres, dsn: "host=127.0.0.1 port=1 dbname=x user=x" }}
  orders-eu: {{ region: eu-west-1, engine: postgres, dsn: "host=127.0.0.1 port=1 dbname=x user=x" }}
streams:
  orders: {{ from: orders-us, to: [orders-eu], tables: [{{ match: "public.*" }}] }}
)";

class SecureApi : public testing::Test {
 protected:
  SecureApi() {
    for (const char* folder : {"tls", "other"}) {
      EXPECT_TRUE(identity::make_authority(*world_, folder_.file(folder), "shop").ok());
      EXPECT_TRUE(
          identity::make_region_certificate(*world_, folder_.file(folder), "eu-west-1").ok());
    }
    std::ofstream(folder_.file("token")) << "0123456789abcdef\n";
    std::filesystem::permissions(folder_.file("token"), std::filesystem::perms(0600));
    start("127.0.0.1");
  }

  void start(const std::string& host) {
    agent_.reset();
    auto parsed = config::parse(fmt::format(kFile, folder_.path(), host + ":1"), "farshore.yaml");
    ASSERT_TRUE(parsed.ok()) << config::error_text(parsed);
    for (config::RegionConfig& region : parsed.config.regions) {
      region.listen = "127.0.0.1:0";
      region.api = host + ":0";
    }
    auto started = Agent::start(*world_, std::move(parsed.config), "eu-west-1", "0.1.0", {});
    ASSERT_TRUE(started.ok()) << started.error().what;
    agent_ = *std::move(started);
    address_ = agent_->api_address();
    std::ofstream(folder_.file("farshore.yaml")) << fmt::format(kFile, folder_.path(), address_);
  }

  int run(std::vector<std::string> words, bool with_file = true) {
    words.push_back("--config");
    words.push_back(folder_.file(with_file ? "farshore.yaml" : "none.yaml"));
    std::istringstream in;
    std::ostringstream out, err;
    cli::Terminal terminal{.in = in, .out = out, .err = err};
    const int code = cli::run(words, hooks_, terminal);
    said_ = err.str();
    return code;
  }

  os::TestFolder folder_;
  std::unique_ptr<os::World> world_ = os::make_real_world(std::nullopt);
  std::unique_ptr<Agent> agent_;
  std::string address_;
  const cli::Hooks hooks_{.version = "0.1.0", .api_endpoint = api_endpoint, .check = check_text};
  std::string said_;
};

TEST_F(SecureApi, TheCertificateBearsTheRegionsNameAndTheConnectionGoesToTheAddress) {
  EXPECT_EQ(agent_->api_url(), "https://" + address_);
  EXPECT_EQ(run({"status"}), cli::kDone) << said_ << "the agent that has run here";
  EXPECT_EQ(run({"status", "--region", "eu-west-1"}), cli::kDone) << said_;
  EXPECT_EQ(run({"status", "--api", "https://" + address_}), cli::kDone)
      << said_ << "the one region whose API is there";
  start("localhost");
  EXPECT_EQ(run({"status"}), cli::kDone) << said_ << "an address with a name";
}

TEST_F(SecureApi, WithoutAFileTheRegionIsTheNameToBeSeen) {
  const std::vector<std::string> words{"status",
                                       "--api",
                                       "https://" + address_,
                                       "--ca",
                                       folder_.file("tls/ca.crt"),
                                       "--token-file",
                                       folder_.file("token")};
  auto named = words;
  named.insert(named.end(), {"--region", "eu-west-1"});
  EXPECT_EQ(run(named, false), cli::kDone) << said_;
  EXPECT_EQ(run(words, false), cli::kUnreachable);
  EXPECT_EQ(said_, "farshore: the certificate at https://" + address_ +
                       " has another name than '127.0.0.1': an agent's has that of its region, say "
                       "it with --region REGION\n");
}

TEST_F(SecureApi, WhatIsWrongIsToldApart) {
  const std::string url = "https://" + address_;
  EXPECT_EQ(run({"status", "--api", url, "--region", "us-east-1", "--ca",
                 folder_.file("tls/ca.crt"), "--token-file", folder_.file("token")}),
            cli::kUnreachable);
  EXPECT_THAT(said_, HasSubstr("the certificate at " + url +
                               " has another name than 'us-east-1': say with --region whose agent "
                               "answers there"));
  const std::string other = folder_.file("other/ca.crt");
  EXPECT_EQ(run({"status", "--ca", other}), cli::kUnreachable);
  EXPECT_THAT(said_, HasSubstr("the certificate at " + url + " is not of the authority " + other));
  EXPECT_EQ(run({"check", "--ca", other}), cli::kUnreachable) << "and is not passed over";
  EXPECT_THAT(said_, HasSubstr("is not of the authority"));
  EXPECT_EQ(run({"status", "--api", "http://" + address_}), cli::kUnreachable);
  EXPECT_THAT(said_, HasSubstr("with api_token_file an agent speaks https"));
  agent_.reset();
  EXPECT_EQ(run({"status"}), cli::kUnreachable);
  EXPECT_THAT(said_, HasSubstr("no agent answers at " + url + " (connection refused)"));
}

}  // namespace
}  // namespace farshore::daemon
