// The link over real sockets: plain TCP, and TLS 1.3 with certificates made here.
#include <random>

#include "base/checksum.h"
#include "link/link_fixture.h"
#include "os/real/test_certificates.h"
#include "os/real/test_folder.h"
#include "os/thread.h"

namespace farshore::link {
namespace {

using testing::HasSubstr;

struct RealPair : testing::Test {
  // The agents need each other's ports: eu listens first, us dials it, and eu is told nothing to
  // dial.
  void start(os::World& eu_world, os::World& us_world) {
    eu = std::make_unique<Agent>(eu_world, "127.0.0.1:21100",
                                 options_of("eu", "us", "127.0.0.1:21101"));
    us = std::make_unique<Agent>(us_world, "127.0.0.1:21101",
                                 options_of("us", "eu", "127.0.0.1:21100"));
  }
  static Options options_of(const std::string& own, const std::string& peer,
                            const std::string& address) {
    Options options = FakePair::options_of(own, peer);
    options.peer_address = address;
    return options;
  }
  void exchange_much() {
    ASSERT_TRUE(us->link->wait_connected(soon()).ok());
    ASSERT_TRUE(eu->link->wait_connected(soon()).ok());
    auto here = *us->link->open("much", Class::stream);
    os::Thread sender("sender", [&](std::stop_token) {
      std::mt19937_64 random(7);
      for (int i = 0; i < 100; ++i) {
        Bytes message(random() % 2_MiB, '\0');
        for (std::size_t at = 0; at < message.size(); at += 16)
          message[at] = static_cast<char>(random());
        sent = crc32c(message, sent);
        const auto done = here->send(message, soon());
        ASSERT_TRUE(done.ok()) << done.error().what;
      }
      here->close();
    });
    auto there = eu->next_incoming().channel;
    std::uint32_t received = 0;
    for (auto message = there->receive(soon()); message.ok(); message = there->receive(soon()))
      received = crc32c(*message, received);
    sender.join();
    EXPECT_EQ(received, sent);
  }

  os::World& world_of(std::optional<os::TlsFiles> tls) {
    worlds.push_back(os::make_real_world(std::move(tls)));
    return *worlds.back();
  }

  std::uint32_t sent = 0;
  std::vector<std::unique_ptr<os::World>> worlds;  // outlive the agents
  std::unique_ptr<Agent> eu, us;
};

TEST_F(RealPair, TalksOverTcp) {
  os::World& world = world_of(std::nullopt);
  start(world, world);
  exchange_much();
}

TEST_F(RealPair, TalksOverTlsAndKnowsThePeerByItsCertificate) {
  os::TestFolder folder;
  os::TestCa ca(folder.path(), "ca");
  start(world_of(ca.make("eu")), world_of(ca.make("us")));
  exchange_much();
}

TEST_F(RealPair, ACertificateOfAnotherRegionIsRefused) {
  os::TestFolder folder;
  os::TestCa ca(folder.path(), "ca");
  start(world_of(ca.make("eu")), world_of(ca.make("ap")));  // says it is "us"
  EXPECT_TRUE(us->wait_state("region 'ap' is no peer here")) << us->link->facts().state;
  EXPECT_TRUE(eu->wait_state("certificate names region 'ap'")) << eu->link->facts().state;
  EXPECT_FALSE(eu->link->facts().connected);
}

TEST_F(RealPair, ARestartedAgentIsTakenBack) {
  os::World& world = world_of(std::nullopt);
  start(world, world);
  exchange_much();
  us.reset();
  Options options = options_of("us", "eu", "127.0.0.1:21100");
  options.own_incarnation = "us-2";
  us = std::make_unique<Agent>(world, "127.0.0.1:21101", options);
  sent = 0;
  exchange_much();
  EXPECT_EQ(eu->link->facts().incarnation, "us-2");
}

}  // namespace
}  // namespace farshore::link
