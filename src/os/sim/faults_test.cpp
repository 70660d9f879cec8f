#include <gtest/gtest.h>

#include "os/sim/test_seed.h"

namespace farshore::os::sim {
namespace {

// Two agents that write files and talk, while everything goes wrong at random.
void stormy_body(Simulation& sim) {
  Host& a = sim.add_host("a");
  Host& b = sim.add_host("b");
  const auto serve = [](Host& host) {
    host.run("serve", [&host] {
      World& world = host.world();
      auto listener = world.network().listen(host.name() + ":1");
      while (auto connection = (*listener)->accept(Deadline::never())) {
        char buffer[1000];
        while ((*connection)->read(buffer, sizeof buffer, world.after(5s)).ok()) {
        }
      }
    });
  };
  const auto work = [](Host& host, Host& peer) {
    host.run("work", [&host, &peer] {
      World& world = host.world();
      while (true) {
        (void)replace_file(world.files(), "/state", std::string(3000, 's'));
        auto connection = world.network().connect(peer.name() + ":1", world.after(3s));
        for (int i = 0; i < 20 && connection.ok(); ++i) {
          if (!(*connection)->write(std::string(700, 'm'), world.after(1s)).ok()) break;
        }
      }
    });
  };
  const auto start = [&](Host& host) {
    serve(host);
    work(host, &host == &a ? b : a);
  };
  start(a);
  start(b);
  RandomStream& random = sim.random();
  for (int round = 0; round < 60; ++round) {
    Host& one = random.chance(0.5) ? a : b;
    random.chance(0.5) ? sim.sleep_switch_points(random.between(1, 300))
                       : sim.sleep(random.duration(1ms, 2s));
    switch (random.below(11)) {
      case 0:
        sim.cut(a, b);
        break;
      case 1:
        sim.swallow(a, b);
        break;
      case 2:
        sim.half_open(one, &one == &a ? b : a);
        break;
      case 3:
        sim.spike(a, b, random.duration(100ms, 3s), 1s);
        break;
      case 4:
        sim.refuse(one, random.chance(0.5));
        break;
      case 5:
        random.chance(0.5) ? sim.fill_disk(one) : sim.free_disk(one);
        break;
      case 6:
        (void)sim.corrupt(one, "/state", random.below(3000));
        break;
      case 7:
        sim.step_wall(one, random.duration(-10s, 10s));
        break;
      case 8:
        sim.reset(a, b);
        break;
      case 9:
        sim.heal(a, b);
        break;
      default:
        sim.crash(one, random.chance(0.5) ? Crash::power : Crash::process);
        sim.sleep(random.duration(0ms, 1s));
        if (random.chance(0.2)) sim.lose_disk(one);
        sim.restart(one);
        start(one);
    }
  }
}

TEST(SimulatedFaults, EachKindFiresOverFiftySeedsAndHistoriesRepeat) {
  FaultCounts sum;
  std::uint64_t switch_points = 0;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Options options{.seed = seed};
    options.disk.write_error = options.disk.short_write = options.disk.sync_error =
        options.disk.slow = 0.01;
    options.wire.reset = options.wire.half_open = options.wire.swallow = options.wire.delay_spike =
        0.002;
    const SeedOutcome outcome = run_seed_in_child(options, stormy_body);
    ASSERT_TRUE(outcome.ok) << outcome.line();
    sum.add(outcome.counts);
    switch_points += outcome.switch_points;
    if (seed <= 20) {
      EXPECT_EQ(run_seed_in_child(options, stormy_body).hash, outcome.hash) << outcome.line();
    }
  }
  for (std::size_t i = 0; i < kFaults; ++i)
    EXPECT_GT(sum.fired[i], 0U) << name_of(static_cast<Fault>(i));
  fmt::print("{} switch points; {}\n", switch_points, sum.text());
}

}  // namespace
}  // namespace farshore::os::sim
