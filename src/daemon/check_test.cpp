#include "daemon/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "os/real/real_world.h"
#include "os/real/test_folder.h"

namespace farshore::daemon {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

TEST(Check, KernelBuffersThatHoldARoundTripAreEnoughAndOthersANote) {
  EXPECT_THAT(check_kernel("us-east-1", 1us), IsEmpty());
  const auto found = check_kernel("us-east-1", 1000s);  // more than any machine has
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].code, "kernel_buffers");
  EXPECT_EQ(found[0].level, api::FindingView::Level::note);
  EXPECT_EQ(found[0].object, "region us-east-1, kernel setting net.ipv4.tcp_wmem");
  EXPECT_THAT(found[0].message, HasSubstr("at a round trip of"));
  std::ifstream set("/proc/sys/net/ipv4/tcp_wmem");
  unsigned long long low = 0, usual = 0;
  set >> low >> usual;
  EXPECT_EQ(found[0].remedy,
            fmt::format("sysctl -w net.ipv4.tcp_wmem='{} {} 274877906944'", low, usual))
      << "a power of two that holds twice 125 GB, and what it has at first stays";
  EXPECT_EQ(found[1].object, "region us-east-1, kernel setting net.ipv4.tcp_rmem");
}

// Two regions in one file, and which agents have run on this machine.
class CheckConfig : public testing::Test {
 protected:
  std::string write(const std::string& sites, const std::string& eu_api = "127.0.0.1:7434") {
    const std::string path = folder_.file("farshore.yaml");
    std::ofstream(path) << fmt::format(R"(name: shop
regions:
  us-east-1: {{ link: us:7432, api: 127.0.0.1:7433, data: {0}/us, tls: {0}/tls }}
  eu-west-1: {{ link: eu:7432, api: {1}, data: {0}/eu, tls: {0}/tls }}
sites:
{2}
streams:
  orders: {{ from: orders-us, to: [orders-eu], tables: [{{ match: "public.*" }}] }}
)",
                                       folder_.path(), eu_api, sites);
    return path;
  }
  std::string write() { return write(site("orders-us") + site("orders-eu")); }
  // Of the region that its name ends with; no server is there.
  static std::string site(const std::string& name, const std::string& key = "") {
    return fmt::format(
        "  {}: {{ region: {}, engine: postgres, dsn: \"host=/nowhere dbname=app\"{}{} }}\n", name,
        name.ends_with("us") ? "us-east-1" : "eu-west-1", key.empty() ? "" : ", ", key);
  }
  void has_run(const std::string& data) {
    std::filesystem::create_directories(folder_.file(data));
    std::ofstream(folder_.file(data + "/agent.lock")) << "agent";
  }
  std::string write_secret(const std::string& name, const std::string& text, unsigned mode) {
    const std::string path = folder_.file(name);
    std::ofstream(path) << text;
    std::filesystem::permissions(path, std::filesystem::perms(mode));
    return path;
  }
  // "code object: message; remedy" of the errors, but those of certificates.
  std::vector<std::string> errors(const std::string& file, const std::string& region) {
    auto world = os::make_real_world(std::nullopt);
    const auto config = config::load(world->files(), file);
    EXPECT_TRUE(config.ok()) << config.error().what;
    const auto found = check(*world, *config, region, "");
    EXPECT_TRUE(found.ok());
    std::vector<std::string> texts;
    for (const api::FindingView& one : *found)
      if (one.level == api::FindingView::Level::error && one.code != "certificate")
        texts.push_back(
            fmt::format("{} {}: {}; {}", one.code, one.object, one.message, one.remedy));
    return texts;
  }

  os::TestFolder folder_;
};

TEST_F(CheckConfig, TheAgentIsThatOfTheSiteElseTheOneThatRunsHere) {
  const std::string file = write();
  EXPECT_THAT(*regions_here(file), IsEmpty());
  EXPECT_EQ(api_endpoint({file, "", ""})->url, "http://127.0.0.1:7433") << "the first";
  has_run("eu");
  EXPECT_THAT(*regions_here(file), ElementsAre("eu-west-1"));
  EXPECT_EQ(api_endpoint({file, "", ""})->url, "http://127.0.0.1:7434");
  has_run("us");
  EXPECT_THAT(*regions_here(file), ElementsAre("us-east-1", "eu-west-1"));
  const auto both = api_endpoint({file, "", ""});
  ASSERT_FALSE(both.ok());
  EXPECT_EQ(both.error().kind, ErrorKind::invalid);
  EXPECT_EQ(both.error().what,
            "the agents of us-east-1 and eu-west-1 have their data on this machine: say which one "
            "is meant with --region us-east-1 or --region eu-west-1");
  EXPECT_EQ(api_endpoint({file, "", "orders-us"})->url, "http://127.0.0.1:7433");
  EXPECT_EQ(api_endpoint({file, "", "orders-eu"})->url, "http://127.0.0.1:7434");
  EXPECT_EQ(api_endpoint({file, "us-east-1", "orders-eu"})->url, "http://127.0.0.1:7433")
      << "--region goes before the site";
  EXPECT_FALSE(api_endpoint({file, "", "nosuch"}).ok()) << "nothing is derived from it";
}

TEST_F(CheckConfig, RegionsOfOneAddressAreOnMachinesOfTheirOwnAndLeaveNoChoice) {
  const std::string file = write(site("orders-us") + site("orders-eu"), "127.0.0.1:7433");
  has_run("us");
  has_run("eu");
  EXPECT_THAT(*regions_here(file), ElementsAre("us-east-1"));
  EXPECT_TRUE(api_endpoint({file, "", ""}).ok());
}

TEST_F(CheckConfig, APasswordThatIsNotToBeHadIsAnErrorWithTheLineThatHelps) {
  const std::string missing = folder_.file("none");
  const std::string open = write_secret("open", "hunter2\n", 0644);
  const std::string file = write(site("orders-us", "password_file: " + missing) +
                                 site("orders-eu", "password_file: " + open));
  const std::string us = fmt::format(
      "password site orders-us, password_file: secret file '{0}': No such file or directory; "
      "install -m 0600 /dev/stdin '{0}'  -- then type the password, Enter, Ctrl-D",
      missing);
  const std::string eu = fmt::format(
      "password site orders-eu, password_file: secret file '{0}' has mode 0644, others can reach "
      "it; chmod 0600 '{0}'",
      open);
  EXPECT_THAT(errors(file, ""), UnorderedElementsAre(us, eu)) << "and nothing is asked without it";
  EXPECT_THAT(errors(file, "us-east-1"), ElementsAre(us)) << "the other region's are not here";
}

TEST_F(CheckConfig, AWarningOfTheFileIsAFindingUnlessOneStreamIsAskedFor) {
  const std::string file =
      write(site("orders-us") +
            "  orders-eu: { region: eu-west-1, engine: postgres, dsn: \"host=db.eu dbname=app\", "
            "password_env: FARSHORE_TEST_PASSWORD }\n");
  ASSERT_EQ(::unsetenv("FARSHORE_TEST_PASSWORD"), 0);
  auto world = os::make_real_world(std::nullopt);
  const auto config = config::load(world->files(), file);
  ASSERT_TRUE(config.ok()) << config.error().what;
  const auto warnings = [&](const std::string& stream) {
    std::vector<std::string> texts;
    const auto found = check(*world, *config, "us-east-1", stream);
    for (const api::FindingView& one : *found)
      if (one.code == "configuration" && one.level == api::FindingView::Level::warning)
        texts.push_back(one.message);
    return texts;
  };
  EXPECT_THAT(warnings(""),
              ElementsAre(HasSubstr(file + ":7:58: sites.orders-eu.dsn: sslmode is not set")));
  EXPECT_THAT(warnings("orders"), IsEmpty());
}

TEST_F(CheckConfig, AnEmptyPasswordIsNoPassword) {
  const std::string empty = write_secret("empty", "\n", 0600);
  ASSERT_EQ(::unsetenv("FARSHORE_TEST_PASSWORD"), 0);
  const std::string file = write(site("orders-us", "password_file: " + empty) +
                                 site("orders-eu", "password_env: FARSHORE_TEST_PASSWORD"));
  EXPECT_THAT(
      errors(file, ""),
      UnorderedElementsAre(
          HasSubstr("password site orders-us, password_file: secret file '" + empty +
                    "': its first line is empty; install -m 0600"),
          "password site orders-eu, password_env: environment variable FARSHORE_TEST_PASSWORD is "
          "not set for this process; set FARSHORE_TEST_PASSWORD where the agent is started, e.g. "
          "with EnvironmentFile= of its service"));
}

TEST_F(CheckConfig, ATokenOfTheApiThatIsNotToBeHadIsAnError) {
  const std::string open = write_secret("token", "0123456789abcdef0123\n", 0640);
  const std::string file =
      write(site("orders-us") + site("orders-eu"), "0.0.0.0:7434, api_token_file: " + open);
  EXPECT_THAT(errors(file, "eu-west-1"),
              testing::Contains(HasSubstr("api_token region eu-west-1, api_token_file: secret file "
                                          "'" +
                                          open + "' has mode 0640")));
}

TEST(Check, ClocksThatAreASecondApartAreAWarning) {
  const auto found = [](Duration offset, Duration bound) {
    link::PeerFacts facts;
    facts.clock_offset = offset;
    facts.clock_offset_bound = bound;
    return check_clocks("us-east-1", facts, "eu-west-1");
  };
  EXPECT_THAT(found(0s, 0s), IsEmpty());  // never measured
  EXPECT_THAT(found(-1s, 1ms), IsEmpty());
  EXPECT_THAT(found(2s, 1s), IsEmpty());  // perhaps none
  for (const Duration offset : {-30s, 30s}) {
    const auto one = found(offset, 200us);
    ASSERT_EQ(one.size(), 1u);
    EXPECT_EQ(one[0].level, api::FindingView::Level::warning);
    EXPECT_EQ(one[0].code, "region_clock_offset");
    EXPECT_EQ(one[0].object, "region eu-west-1");
    EXPECT_THAT(one[0].message, HasSubstr(fmt::format("its clock is {:+.1f} s off that of region "
                                                      "us-east-1",
                                                      seconds_of(offset))));
    EXPECT_THAT(one[0].remedy, HasSubstr("time service"));
  }
}

}  // namespace
}  // namespace farshore::daemon
