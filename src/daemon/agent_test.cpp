// The daemon's agent against the contract of its port: of a target's region, whose database and
// whose peer are not there.
#include "daemon/agent.h"

#include <gmock/gmock.h>

#include "api/agent_contract.h"
#include "identity/certificate.h"
#include "identity/issue.h"
#include "os/real/real_world.h"
#include "os/real/test_folder.h"

namespace farshore::daemon {
namespace {

constexpr const char* kFile = R"(name: shop
regions:
  us-east-1: {{ link: 127.0.0.2:1, data: {0}/us, tls: {0}/tls }}
  eu-west-1: {{ link: 127.0.0.1:1, data: {0}/eu, tls: {0}/tls }}
sites:
  orders-us: {{ region: us-east-1, engine: postgres, dsn: "host=127.0.0.1 port=1 dbname=x user=x" }}
  orders-eu: {{ region: eu-west-1, engine: postgres, dsn: "host=127.0.0.1 port=1 dbname=x user=x" }}
streams:
  orders: {{ from: orders-us, to: [orders-eu], tables: [{{ match: "public.*" }}] }}
)";

class LoneAgent final : public api::AgentUnderTest {
 public:
  LoneAgent() {
    const std::string tls = folder_.file("tls");
    EXPECT_TRUE(identity::make_authority(*world_, tls, "shop").ok());
    for (const char* region : {"us-east-1", "eu-west-1"})
      EXPECT_TRUE(identity::make_region_certificate(*world_, tls, region).ok());
    auto started = start("eu-west-1", "127.0.0.1:0", "127.0.0.1:0");
    EXPECT_TRUE(started.ok()) << started.error().what;
    agent_ = *std::move(started);
  }
  Result<std::unique_ptr<Agent>> start(const std::string& own, const std::string& listen,
                                       const std::string& api, const EventSink& log = {}) {
    auto parsed = config::parse(fmt::format(kFile, folder_.path()), "farshore.yaml");
    EXPECT_TRUE(parsed.ok()) << config::error_text(parsed);
    for (config::RegionConfig& region : parsed.config.regions) {
      region.listen = listen;
      region.api = api;
    }
    return Agent::start(*world_, std::move(parsed.config), own, "0.1.0", log);
  }
  // From now on the region's certificate is one that ends so soon.
  void certificate_ends_in(Duration left, const std::string& region) {
    const auto text = [&](const char* name) {
      return *os::read_file(world_->files(), fmt::format("{}/tls/{}", folder_.path(), name));
    };
    const auto authority = identity::certificate_from(text("ca.crt"), "ca.crt");
    const auto authority_key = identity::key_from(text("ca.key"), "ca.key");
    const auto key = identity::key_from(text((region + ".key").c_str()), region + ".key");
    const WallTime now = world_->clock().wall();
    const auto made =
        identity::issue_region(key->get(), region, authority->get(), authority_key->get(),
                               {.from = now - identity::kClockTolerance, .until = now + left});
    ASSERT_TRUE(made.ok()) << made.error().what;
    ASSERT_TRUE(os::replace_file(world_->files(),
                                 fmt::format("{}/tls/{}.crt", folder_.path(), region),
                                 identity::pem_of(made->get()))
                    .ok());
  }
  api::Agent& agent() override { return *agent_; }
  Deadline soon(Duration d) override { return world_->after(d); }
  const Agent& started() const { return *agent_; }

 private:
  os::TestFolder folder_;
  std::unique_ptr<os::World> world_ = os::make_real_world(std::nullopt);
  std::unique_ptr<Agent> agent_;
};

TEST(AgentStart, AnAddressThatIsTakenIsNamedBeforeAnythingBegins) {
  LoneAgent other;
  const std::string any = "127.0.0.1:0";
  const auto refusal = [&](const std::string& listen, const std::string& api) {
    std::vector<std::string> said;
    const auto second = other.start("us-east-1", listen, api,
                                    [&](const Event& event) { said.push_back(event.name); });
    EXPECT_TRUE(said.empty()) << said.front();
    EXPECT_EQ(second.error().kind, ErrorKind::unavailable);
    return second.error().what;
  };
  const auto expected = [](const char* key, const std::string& address) {
    return fmt::format(
        "regions.us-east-1.{}: listen on '{}': Address already in use: another process has that "
        "port: choose another or stop it",
        key, address);
  };
  const std::string api = other.started().api_address(), link = other.started().link_address();
  EXPECT_EQ(refusal(any, api), expected("api", api));
  EXPECT_EQ(refusal(link, any), expected("listen", link));
}

TEST(AgentStart, ACertificateThatEndsSoonIsAnEventWithTheCommandThatRenewsIt) {
  LoneAgent other;
  other.certificate_ends_in(10 * 24h + 1h, "us-east-1");
  os::Mutex mutex;
  std::vector<std::string> said;
  const auto agent =
      other.start("us-east-1", "127.0.0.1:0", "127.0.0.1:0", [&](const Event& event) {
        const os::Lock lock(mutex);
        if (event.name == "certificate.expires") said.push_back(event.message);
      });
  ASSERT_TRUE(agent.ok()) << agent.error().what;
  const os::Lock lock(mutex);
  ASSERT_EQ(said.size(), 1U);  // that of the CA lasts for years
  EXPECT_THAT(said[0], testing::HasSubstr("certificate 'us-east-1' expires in 10 days"));
  EXPECT_THAT(said[0], testing::HasSubstr("farshore cert renew --region us-east-1"));
}

}  // namespace
}  // namespace farshore::daemon

namespace farshore::api {
INSTANTIATE_TEST_SUITE_P(Daemon, AgentContract,
                         testing::Values(AgentSetup{
                             "lone", [] { return std::make_unique<daemon::LoneAgent>(); }}),
                         agent_setup_name);
}  // namespace farshore::api
