// The daemon's agent against the contract of its port: of a target's region, whose database and
// whose peer are not there.
#include "daemon/agent.h"

#include "api/agent_contract.h"
#include "identity/certificate.h"
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
    EXPECT_TRUE(identity::make_region_certificate(*world_, tls, "eu-west-1").ok());
    auto parsed = config::parse(fmt::format(kFile, folder_.path()), "farshore.yaml");
    EXPECT_TRUE(parsed.ok()) << config::error_text(parsed);
    for (config::RegionConfig& region : parsed.config.regions)
      region.listen = region.api = "127.0.0.1:0";
    auto started = Agent::start(*world_, std::move(parsed.config), "eu-west-1", "0.1.0", {});
    EXPECT_TRUE(started.ok()) << started.error().what;
    agent_ = *std::move(started);
  }
  api::Agent& agent() override { return *agent_; }
  Deadline soon(Duration d) override { return world_->after(d); }

 private:
  os::TestFolder folder_;
  std::unique_ptr<os::World> world_ = os::make_real_world(std::nullopt);
  std::unique_ptr<Agent> agent_;
};

}  // namespace
}  // namespace farshore::daemon

namespace farshore::api {
INSTANTIATE_TEST_SUITE_P(Daemon, AgentContract,
                         testing::Values(AgentSetup{
                             "lone", [] { return std::make_unique<daemon::LoneAgent>(); }}),
                         agent_setup_name);
}  // namespace farshore::api
