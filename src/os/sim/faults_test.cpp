#include <gtest/gtest.h>

#include "os/sim/test_seed.h"

namespace farshore::os::sim {
namespace {

// Two agents that write files and talk, while everything goes wrong at random.
class Storm {
 public:
  explicit Storm(Simulation& sim) : sim_(sim), a_(sim.add_host("a")), b_(sim.add_host("b")) {
    for (Host* host : {&a_, &b_}) start(*host);
  }

  void rage(int rounds) {
    RandomStream& random = sim_.random();
    for (int round = 0; round < rounds; ++round) {
      if (random.chance(0.5)) {
        sim_.sleep_switch_points(random.between(1, 300));
      } else {
        sim_.sleep(random.duration(1ms, 2s));
      }
      Host& host = random.chance(0.5) ? a_ : b_;
      random.chance(0.5) ? hit_network(host) : hit_host(host);
    }
  }

 private:
  Host& peer_of(Host& host) { return &host == &a_ ? b_ : a_; }

  void start(Host& host) {
    host.run("serve", [&host] {
      World& world = host.world();
      auto listener = world.network().listen(host.name() + ":1");
      while (auto connection = (*listener)->accept(Deadline::never())) {
        char buffer[1000];
        while ((*connection)->read(buffer, sizeof buffer, world.after(5s)).ok()) {
        }
      }
    });
    host.run("log", [&host] {
      World& world = host.world();
      auto file = world.files().open("/log", OpenMode::create);
      for (std::uint64_t i = 0; file.ok(); i = (i + 1) % 64) {
        (void)(*file)->write_at(i * 1500, std::string(1500, 'l'));
        if (i % 8 == 7 && !(*file)->sync().ok())
          file = world.files().open("/log", OpenMode::create);
      }
    });
    host.run("work", [&host, &peer = peer_of(host)] {
      World& world = host.world();
      while (true) {
        (void)replace_file(world.files(), "/state", std::string(3000, 's'));
        auto connection = world.network().connect(peer.name() + ":1", world.after(3s));
        for (int i = 0; i < 20 && connection.ok(); ++i) {
          if (!(*connection)->write(std::string(700, 'm'), world.after(1s)).ok()) break;
        }
      }
    });
  }

  void hit_network(Host& host) {
    RandomStream& random = sim_.random();
    switch (random.below(7)) {
      case 0:
        return sim_.cut(a_, b_);
      case 1:
        return sim_.swallow(a_, b_);
      case 2:
        return sim_.half_open(host, peer_of(host));
      case 3:
        return sim_.spike(a_, b_, random.duration(100ms, 3s), 1s);
      case 4:
        return sim_.refuse(host, random.chance(0.5));
      case 5:
        return sim_.reset(a_, b_);
      default:
        return sim_.heal(a_, b_);
    }
  }

  void hit_host(Host& host) {
    RandomStream& random = sim_.random();
    switch (random.below(4)) {
      case 0:
        return random.chance(0.5) ? sim_.fill_disk(host) : sim_.free_disk(host);
      case 1:
        return (void)sim_.corrupt(host, "/state", random.below(3000));
      case 2:
        return sim_.step_wall(host, random.duration(-10s, 10s));
      default:
        break;
    }
    sim_.crash(host, random.chance(0.5) ? Crash::power : Crash::process);
    sim_.sleep(random.duration(0ms, 1s));
    if (random.chance(0.2)) sim_.lose_disk(host);
    sim_.restart(host);
    start(host);
  }

  Simulation& sim_;
  Host &a_, &b_;
};

void stormy_body(Simulation& sim) {
  Storm(sim).rage(60);
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
