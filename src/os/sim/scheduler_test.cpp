#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <set>

#include "os/bounded_queue.h"
#include "os/sim/test_seed.h"
#include "os/thread.h"

namespace farshore::os::sim {
namespace {

using testing::HasSubstr;

// Some of everything: threads, queue, disk, network, faults.
void busy_body(Simulation& sim) {
  Host& a = sim.add_host("a");
  Host& b = sim.add_host("b");
  b.run("serve", [&] {
    auto listener = *b.world().network().listen("b:1");
    auto connection = *listener->accept(Deadline::never());
    char buffer[100];
    while (connection->read(buffer, sizeof buffer, Deadline::never()).ok()) {
    }
  });
  a.run("load", [&] {
    BoundedQueue<int> queue({.items_max = 4, .bytes_max = 1_KiB});
    Thread writer("writer", [&](std::stop_token) {
      World& world = a.world();
      auto connection = world.network().connect("b:1", world.after(10s));
      auto file = *world.files().open("/f", OpenMode::create);
      for (std::uint64_t i = 0; auto item = queue.pop(Deadline::never()); ++i) {
        (void)file->write_at(i * 100, std::string(100, static_cast<char>(*item)));
        if (i % 16 == 0) (void)file->sync();
        if (connection.ok()) (void)(*connection)->write("0123456789", world.after(1s));
      }
    });
    for (int i = 0; i < 300; ++i) (void)queue.push(i, 1, Deadline::never());
    queue.close();
  });
  sim.sleep_switch_points(900);
  sim.crash(a, Crash::power);
  sim.sleep(20s);
}

TEST(SimulatedSchedule, OneSeedIsOneHistory) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    const SeedOutcome first = run_test_seed(seed, busy_body);
    ASSERT_TRUE(first.ok) << first.line();
    for (int i = 0; i < 20; ++i) {
      const SeedOutcome again = run_test_seed(seed, busy_body);
      ASSERT_EQ(again.hash, first.hash) << again.line();
      ASSERT_EQ(again.switch_points, first.switch_points);
    }
  }
}

TEST(SimulatedSchedule, SeedsDiffer) {
  std::set<std::uint64_t> hashes;
  for (std::uint64_t seed = 1; seed <= 20; ++seed)
    hashes.insert(run_test_seed(seed, busy_body).hash);
  EXPECT_EQ(hashes.size(), 20U);
}

TEST(SimulatedSchedule, ADeadlockNamesWhoWaitsForWhat) {
  int found = 0;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    const SeedOutcome outcome = run_test_seed(seed, [](Simulation& sim) {
      Mutex left, right;
      Host& host = sim.add_host("h");
      const auto one = host.run("one", [&] { Lock a(left), b(right); });
      const auto other = host.run("other", [&] { Lock a(right), b(left); });
      sim.join(one);
      sim.join(other);
    });
    if (outcome.ok) continue;
    ++found;
    EXPECT_THAT(outcome.text, HasSubstr("deadlock at virtual time"));
    EXPECT_THAT(outcome.text, HasSubstr("'h/one' in lock"));
    EXPECT_THAT(outcome.text, HasSubstr("'h/other' in lock"));
    EXPECT_THAT(outcome.text, HasSubstr("'driver/main' in join"));
  }
  EXPECT_GT(found, 3);
  EXPECT_LT(found, 30);
}

TEST(SimulatedSchedule, ARaceBetweenTwoCallsIsFound) {
  int lost_updates = 0;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    const SeedOutcome outcome = run_test_seed(seed, [](Simulation& sim) {
      Mutex mutex;
      int counter = 0;
      const auto increment = [&] {
        const int read = [&] { return Lock(mutex), counter; }();
        Lock lock(mutex);
        counter = read + 1;
      };
      Thread one("one", [&](std::stop_token) { increment(); });
      increment();
      one.join();
      sim.report(std::to_string(counter));
    });
    if (outcome.text == "1\n") ++lost_updates;
  }
  EXPECT_GT(lost_updates, 3);
}

TEST(SimulatedSchedule, TimeMovesOnlyWhenAllWait) {
  const SeedOutcome outcome = run_test_seed(1, [](Simulation& sim) {
    Mutex mutex;
    CondVar changed;
    const MonotonicTime begun = sim.driver().world().now();
    Lock lock(mutex);
    MUST(!changed.wait(lock, sim.driver().world().after(3h), [] { return false; }));
    MUST(sim.driver().world().now() - begun == 3h);
  });
  EXPECT_TRUE(outcome.ok) << outcome.line();
  EXPECT_LT(outcome.wall_time, 10s);
}

TEST(SimulatedSchedule, AWaitOnADriftingHostEndsWhenItsOwnClockSaysSo) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const SeedOutcome outcome = run_test_seed(seed, [](Simulation& sim) {
      Host& host = sim.add_host("h");
      sim.join(host.run("sleeper", [&] {
        Mutex mutex;
        CondVar never;
        Lock lock(mutex);
        const Deadline deadline = host.world().after(1h);
        MUST(!never.wait(lock, deadline, [] { return false; }));
        MUST(deadline.reached(host.world().now()));
        MUST(host.world().now() - deadline.time() < 10us);
      }));
    });
    EXPECT_TRUE(outcome.ok) << outcome.line();
  }
}

TEST(SimulatedSchedule, AQueueKeepsItsOrderAndItsLimit) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    const SeedOutcome outcome = run_test_seed(seed, [](Simulation&) {
      BoundedQueue<int> queue({.items_max = 3, .bytes_max = 30});
      Thread producer("producer", [&](std::stop_token) {
        for (int i = 0; i < 200; ++i) MUST(queue.push(i, 8, Deadline::never()).ok());
        queue.close();
      });
      for (int i = 0; i < 200; ++i) {
        MUST(queue.bytes() <= 30);
        MUST(*queue.pop(Deadline::never()) == i);
      }
      MUST(queue.pop(Deadline::never()).error().kind == ErrorKind::closed);
    });
    ASSERT_TRUE(outcome.ok) << outcome.line();
  }
}

// A stop callback that is destroyed while another thread runs it waits in the kernel, with the
// baton in its hand.
TEST(SimulatedSchedule, StopCallbacksDoNotHangIt) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const SeedOutcome outcome = run_test_seed(seed, [](Simulation& sim) {
      Mutex mutex;
      CondVar woken;
      bool poked = false;
      Thread loop("loop", [&](std::stop_token stop) {
        while (!stop.stop_requested()) {
          std::stop_callback wake(stop, [&] {
            Lock lock(mutex);
            poked = true;
            woken.notify_all();
          });
          Lock lock(mutex);
          woken.wait(lock, sim.driver().world().after(1ms), [&] { return poked; });
          poked = false;
        }
      });
      for (int i = 0; i < 20; ++i) {
        Lock lock(mutex);
        poked = true;
        woken.notify_all();
      }
    });
    ASSERT_TRUE(outcome.ok) << outcome.line();
  }
}

TEST(SimulatedSchedule, ALoopThatNeverWaitsIsNamed) {
  const Options options{.seed = 1, .switch_points_max = 10'000};
  const SeedOutcome outcome = run_seed_in_child(options, [](Simulation&) {
    Mutex mutex;
    Thread spinning("spinning", [&](std::stop_token) {
      while (true) Lock lock(mutex);
    });
    spinning.join();
  });
  EXPECT_FALSE(outcome.ok);
  EXPECT_THAT(outcome.text, HasSubstr("more than 10000 switch points"));
  EXPECT_THAT(outcome.text, HasSubstr("'driver/spinning'"));
}

TEST(SimulatedSchedule, EndlessVirtualTimeIsNamed) {
  const Options options{.seed = 1, .virtual_time_max = 1h};
  const SeedOutcome outcome = run_seed_in_child(options, [](Simulation& sim) {
    while (true) sim.sleep(1s);
  });
  EXPECT_THAT(outcome.text, HasSubstr("more than 1h00m of virtual time"));
}

TEST(SimulatedSchedule, WhoBlocksOutsideTheSimulatorIsNamed) {
  const SeedOutcome outcome = run_seed_in_child(
      {.seed = 1},
      [](Simulation& sim) { sim.join(sim.add_host("h").run("outsider", [] { pause(); })); }, 500ms);
  EXPECT_FALSE(outcome.ok);
  EXPECT_THAT(outcome.text, HasSubstr("'h/outsider' blocks or loops outside the simulator"));
}

TEST(SimulatedSchedule, ABrokenInvariantEndsTheSeedWithItsThread) {
  const SeedOutcome outcome = run_test_seed(1, [](Simulation& sim) {
    sim.report("began");
    Thread thread("checker", [](std::stop_token) { FARSHORE_CHECK(false, "the sky fell"); });
    sim.sleep(1s);
  });
  EXPECT_FALSE(outcome.ok);
  EXPECT_THAT(outcome.text, HasSubstr("began\n"));
  EXPECT_THAT(outcome.text, HasSubstr("thread 'driver/checker'"));
  EXPECT_THAT(outcome.text, HasSubstr("the sky fell"));
}

TEST(SimulatedSchedule, ThreadsOfACrashedHostNeverRunAgain) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const SeedOutcome outcome = run_test_seed(seed, [](Simulation& sim) {
      Host& host = sim.add_host("h");
      int steps = 0;
      for (const char* name : {"one", "two"}) {
        host.run(name, [&] {
          while (true) {
            host.world().files().free_bytes("/").ok();
            ++steps;
          }
        });
      }
      sim.sleep_switch_points(sim.random().below(100));
      sim.crash(host, Crash::process);
      const int at_crash = steps;
      sim.sleep(1s);
      MUST(steps == at_crash);
      sim.restart(host);
      sim.join(host.run("again", [&] { steps = -1; }));
      MUST(steps == -1);
    });
    ASSERT_TRUE(outcome.ok) << outcome.line();
  }
}

TEST(SimulatedSchedule, AHostMayCrashByItsOwnHandOrByAnEvent) {
  const SeedOutcome outcome = run_test_seed(3, [](Simulation& sim) {
    Host& host = sim.add_host("h");
    bool survived = false;
    host.run("suicide", [&] {
      sim.crash(host, Crash::power);
      survived = true;
    });
    sim.sleep(1s);
    MUST(!host.up() && !survived);
    sim.restart(host);
    host.run("victim", [&] {
      sim.sleep(2s);
      survived = true;
    });
    sim.after(1s, [&] { sim.crash(host, Crash::power); });
    sim.sleep(5s);
    MUST(!host.up() && !survived);
  });
  EXPECT_TRUE(outcome.ok) << outcome.line();
}

TEST(SimulatedSchedule, ClocksDifferDriftAndStep) {
  const SeedOutcome outcome = run_test_seed(1, [](Simulation& sim) {
    Host& a = sim.add_host("a");
    Host& b = sim.add_host("b");
    const auto apart = [&] { return a.world().clock().wall() - b.world().clock().wall(); };
    const Duration before = apart();
    MUST(before != 0ns && before < 1s && before > -1s);
    sim.sleep(1h);
    MUST(apart() != before);
    const MonotonicTime monotonic = a.world().now();
    sim.step_wall(a, -1h);
    MUST(apart() < -59min);
    MUST(a.world().now() == monotonic);
  });
  EXPECT_TRUE(outcome.ok) << outcome.line();
}

}  // namespace
}  // namespace farshore::os::sim
