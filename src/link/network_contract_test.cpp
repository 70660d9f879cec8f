// FakeNetwork against the rules that TLS over TCP and simulated wires keep (os/contracts_test.cpp).
#include <gtest/gtest.h>

#include "link/fake_network.h"
#include "os/network_contract.h"

namespace farshore::link {
namespace {

class FakeNetworkContract : public testing::TestWithParam<os::NetworkRule> {};
INSTANTIATE_TEST_SUITE_P(Rules, FakeNetworkContract, testing::ValuesIn(os::network_contract()),
                         [](const auto& rule) { return rule.param.name; });

TEST_P(FakeNetworkContract, Holds) {
  const auto wire = std::make_shared<FakeWire>();
  FakeWorld near(wire, {}, "us-east-1"), far(wire, {}, "eu-west-1");
  os::TwoMachines machines{near, far, near, "us-east-1", "eu-west-1", "eu:1"};
  GetParam().body(machines);
}

}  // namespace
}  // namespace farshore::link
