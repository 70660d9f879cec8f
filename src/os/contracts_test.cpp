// The contracts of the ports of os/, each against the machine's half and the simulated one.
#include <gtest/gtest.h>

#include "os/files_contract.h"
#include "os/mutex.h"
#include "os/network_contract.h"
#include "os/real/real_world.h"
#include "os/real/test_certificates.h"
#include "os/real/test_folder.h"

namespace farshore::os {
namespace {

constexpr std::uint64_t kSeeds = 5;

void run_simulated(const std::function<void(sim::Simulation&)>& body) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const sim::SeedOutcome outcome = sim::run_test_seed(seed, body);
    EXPECT_TRUE(outcome.ok) << outcome.line();
  }
}

template <class Rule>
std::string rule_name(const testing::TestParamInfo<Rule>& info) {
  return info.param.name;
}

class FilesContract : public testing::TestWithParam<FilesRule> {};
INSTANTIATE_TEST_SUITE_P(Rules, FilesContract, testing::ValuesIn(files_contract()),
                         rule_name<FilesRule>);

TEST_P(FilesContract, HoldsOnTheMachine) {
  const TestFolder folder;
  const auto world = make_real_world({});
  GetParam().body(*world, folder.path());
}

TEST_P(FilesContract, HoldsOnASimulatedDisk) {
  run_simulated([](sim::Simulation& simulation) {
    sim::Host& host = simulation.add_host("h");
    simulation.call(host, [&] {
      MUST(host.world().files().create_folder("/data").ok());
      GetParam().body(host.world(), "/data");
    });
  });
}

class NetworkContract : public testing::TestWithParam<NetworkRule> {};
INSTANTIATE_TEST_SUITE_P(Rules, NetworkContract, testing::ValuesIn(network_contract()),
                         rule_name<NetworkRule>);

TEST_P(NetworkContract, HoldsOverTls) {
  const TestFolder folder;
  TestCa ca(folder.path(), "ca");
  const auto near = make_real_world(ca.make("us-east-1"));
  const auto far = make_real_world(ca.make("eu-west-1"));
  TwoMachines machines{*near, *far, *near, "us-east-1", "eu-west-1", "127.0.0.1:0"};
  GetParam().body(machines);
}

TEST_P(NetworkContract, HoldsOverSimulatedWires) {
  run_simulated([](sim::Simulation& simulation) {
    sim::Host& near = simulation.add_host("near");
    sim::Host& far = simulation.add_host("far");
    TwoMachines machines{near.world(), far.world(), simulation.driver().world(),
                         "near",       "far",       "0.0.0.0:7400"};
    GetParam().body(machines);
  });
}

struct ClockRule {
  const char* name;
  void (*body)(World& world);
};

void wait_for(World& world, Duration d) {
  Mutex mutex;
  CondVar never;
  Lock lock(mutex);
  never.wait(lock, world.after(d));
}

const std::vector<ClockRule> kClockContract{
    {"NeverGoesBack",
     [](World& world) {
       MonotonicTime before = world.now();
       for (int i = 0; i < 1000; ++i) {
         const MonotonicTime now = world.now();
         MUST(now >= before);
         before = now;
       }
     }},
    {"AWaitLastsUntilItsDeadline",
     [](World& world) {
       const Deadline deadline = world.after(20ms);
       MUST(!deadline.reached(world.now()));
       wait_for(world, 20ms);
       MUST(deadline.reached(world.now()));
     }},
    {"TheWallClockGoesOnAsTheOtherDoes",
     [](World& world) {
       const WallTime wall = world.clock().wall();
       const MonotonicTime began = world.now();
       wait_for(world, 50ms);
       const Duration difference = (world.clock().wall() - wall) - (world.now() - began);
       MUST(difference < 40ms && difference > -40ms);
     }},
    {"ChanceDiffers", [](World& world) { MUST(world.random().next() != world.random().next()); }},
};

class ClockContract : public testing::TestWithParam<ClockRule> {};
INSTANTIATE_TEST_SUITE_P(Rules, ClockContract, testing::ValuesIn(kClockContract),
                         rule_name<ClockRule>);

TEST_P(ClockContract, HoldsOnTheMachine) {
  const auto world = make_real_world({});
  GetParam().body(*world);
}

TEST_P(ClockContract, HoldsInASimulation) {
  run_simulated([](sim::Simulation& simulation) {
    sim::Host& host = simulation.add_host("h");
    simulation.call(host, [&] { GetParam().body(host.world()); });
  });
}

}  // namespace
}  // namespace farshore::os
