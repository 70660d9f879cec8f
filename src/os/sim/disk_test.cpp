#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "os/sim/test_seed.h"
#include "os/thread.h"

namespace farshore::os::sim {
namespace {

using testing::HasSubstr;

// Each body runs with many seeds; `sum` are the faults of all of them.
FaultCounts run_seeds(std::uint64_t seeds, const std::function<void(Simulation&)>& body,
                      std::vector<std::string>* texts = nullptr) {
  FaultCounts sum;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const SeedOutcome outcome = run_test_seed(seed, body);
    EXPECT_TRUE(outcome.ok) << outcome.line();
    if (texts != nullptr) texts->push_back(outcome.text);
    sum.add(outcome.counts);
  }
  return sum;
}

// Runs `work` on a host, cuts its power and starts it again.
Files& after_power_cut(Simulation& sim, Host& host, const std::function<void(Files&)>& work) {
  sim.join(host.run("work", [&] { work(host.world().files()); }));
  sim.crash(host, Crash::power);
  return sim.restart(host).files();
}

TEST(SimulatedDisk, WhatWasSyncedSurvivesAPowerCut) {
  run_seeds(50, [](Simulation& sim) {
    Files& files = after_power_cut(sim, sim.add_host("h"), [](Files& before) {
      MUST(before.create_folder("/d/e").ok());
      MUST(replace_file(before, "/d/e/whole", "all of it").ok());
      auto file = *before.open("/d/e/log", OpenMode::create);
      MUST(before.sync_folder("/d/e").ok());
      MUST(file->write_at(0, std::string(5000, 'a')).ok());
      MUST(file->sync().ok());
      MUST(file->write_at(5000, std::string(5000, 'b')).ok());
    });
    MUST(*read_file(files, "/d/e/whole") == "all of it");
    MUST(read_file(files, "/d/e/log")->substr(0, 5000) == std::string(5000, 'a'));
  });
}

TEST(SimulatedDisk, WhatWasNotSyncedIsKeptLostOrTornAtASector) {
  std::vector<std::string> sizes;
  const FaultCounts counts = run_seeds(
      100,
      [](Simulation& sim) {
        Files& files = after_power_cut(sim, sim.add_host("h"), [](Files& before) {
          auto file = *before.open("/f", OpenMode::create);
          MUST(before.sync_folder("/").ok());
          for (std::uint64_t i = 0; i < 3; ++i)
            MUST(file->write_at(i * 2000, std::string(2000, 'x')).ok());
        });
        const Bytes left = *read_file(files, "/f");
        const bool torn = left.size() % 2000 != 0;
        MUST(!torn || left.size() % 512 == 0);
        sim.report(torn ? "torn" : std::to_string(left.size()));
      },
      &sizes);
  for (const char* size : {"0\n", "2000\n", "4000\n", "6000\n", "torn\n"}) {
    EXPECT_THAT(sizes, testing::Contains(size));
  }
  EXPECT_GT(counts.of(Fault::torn_write), 0U);
  EXPECT_GT(counts.of(Fault::lost_write), 0U);
}

TEST(SimulatedDisk, AKilledProcessLosesNothingThatItWrote) {
  const SeedOutcome outcome = run_test_seed(1, [](Simulation& sim) {
    Host& host = sim.add_host("h");
    sim.join(host.run("work", [&] {
      auto file = *host.world().files().open("/f", OpenMode::create);
      MUST(file->write_at(0, "unsynced").ok());
    }));
    sim.crash(host, Crash::process);
    MUST(*read_file(sim.restart(host).files(), "/f") == "unsynced");
  });
  EXPECT_TRUE(outcome.ok) << outcome.line();
}

TEST(SimulatedDisk, UnsyncedNamesSurviveAsAPrefix) {
  std::vector<std::string> seen;
  const FaultCounts counts = run_seeds(
      60,
      [](Simulation& sim) {
        Files& files = after_power_cut(sim, sim.add_host("h"), [](Files& before) {
          MUST(before.open("/a", OpenMode::create).ok());
          MUST(before.sync_folder("/").ok());
          MUST(before.open("/b", OpenMode::create).ok());
          MUST(before.rename("/a", "/c").ok());
          MUST(before.remove("/b").ok());
        });
        const std::vector<std::string> names = *files.list("/");
        sim.report(fmt::format("{}", fmt::join(names, " ")));
      },
      &seen);
  EXPECT_THAT(seen, testing::IsSupersetOf({"a\n", "a b\n", "b c\n", "c\n"}));
  for (const std::string& names : seen)
    EXPECT_THAT(names, testing::AnyOf("a\n", "a b\n", "b c\n", "c\n"));
  EXPECT_GT(counts.of(Fault::lost_name), 0U);
}

TEST(SimulatedDisk, ARenameBetweenFoldersNeverLosesTheFile) {
  run_seeds(60, [](Simulation& sim) {
    Files& files = after_power_cut(sim, sim.add_host("h"), [&](Files& before) {
      MUST(before.create_folder("/from").ok() && before.create_folder("/to").ok());
      MUST(replace_file(before, "/from/f", "content").ok());
      MUST(before.open("/to/first", OpenMode::create).ok());
      MUST(before.rename("/from/f", "/to/f").ok());
      if (sim.random().chance(0.5)) MUST(before.sync_folder("/from").ok());
    });
    const Result<Bytes> old_place = read_file(files, "/from/f");
    const Result<Bytes> new_place = read_file(files, "/to/f");
    MUST(old_place.ok() != new_place.ok());
    MUST((old_place.ok() ? *old_place : *new_place) == "content");
  });
}

TEST(SimulatedDisk, AfterAFailedSyncTheDataMayBeGoneThoughItIsSeen) {
  std::vector<std::string> texts;
  const FaultCounts counts = run_seeds(
      40,
      [](Simulation& sim) {
        Host& host = sim.add_host("h");
        sim.fail_next(host, Fault::sync_error);
        Files& files = after_power_cut(sim, host, [](Files& before) {
          auto file = *before.open("/f", OpenMode::create);
          MUST(file->write_at(0, "data").ok());
          const Error error = file->sync().error();
          MUST(error.kind == ErrorKind::io);
          MUST(file->sync().error().what == error.what);
          MUST(*read_file(before, "/f") == "data");
          auto again = *before.open("/f", OpenMode::write);
          MUST(again->sync().ok());  // as Linux: it knows nothing of what was lost
          MUST(before.sync_folder("/").ok());
        });
        sim.report(read_file(files, "/f")->empty() ? "lost" : "kept");
      },
      &texts);
  EXPECT_THAT(texts, testing::Contains("lost\n"));
  EXPECT_THAT(texts, testing::Contains("kept\n"));
  EXPECT_EQ(counts.of(Fault::sync_error), 40U);
}

TEST(SimulatedDisk, WritesFailWholeOrHalfWhenAsked) {
  const SeedOutcome outcome = run_test_seed(1, [](Simulation& sim) {
    Host& host = sim.add_host("h");
    sim.fail_next(host, Fault::write_error, 1);
    sim.fail_next(host, Fault::short_write, 1);
    sim.fail_next(host, Fault::slow_disk, 3);
    sim.join(host.run("work", [&] {
      auto file = *host.world().files().open("/f", OpenMode::create);
      MUST(file->write_at(0, std::string(100, 'a')).ok());
      MUST(file->write_at(100, std::string(100, 'b')).error().kind == ErrorKind::io);
      MUST(*file->size() == 100);
      MUST(file->write_at(100, std::string(100, 'c')).error().kind == ErrorKind::io);
      MUST(*file->size() > 100 && *file->size() < 200);
      const MonotonicTime begun = host.world().now();
      MUST(file->write_at(100, std::string(100, 'd')).ok());
      MUST(host.world().now() - begun > 10ms);
    }));
  });
  EXPECT_TRUE(outcome.ok) << outcome.line();
  for (Fault fault : {Fault::write_error, Fault::short_write, Fault::slow_disk}) {
    EXPECT_EQ(outcome.counts.of(fault), 1U) << name_of(fault);
  }
}

TEST(SimulatedDisk, AFullDiskTakesNothingUntilItIsFreed) {
  const SeedOutcome outcome = run_test_seed(1, [](Simulation& sim) {
    Host& host = sim.add_host("h");
    sim.join(host.run("work", [&] {
      Files& files = host.world().files();
      auto file = *files.open("/f", OpenMode::create);
      MUST(file->write_at(0, "0123456789").ok());
      sim.fill_disk(host);
      MUST(*files.free_bytes("/") == 0);
      MUST(file->write_at(0, "9876543210").ok());  // takes no new space
      MUST(file->write_at(5, "0123456789").error().kind == ErrorKind::disk_full);
      MUST(*file->size() == 10);
      sim.free_disk(host);
      MUST(file->write_at(5, "0123456789").ok());
    }));
  });
  EXPECT_TRUE(outcome.ok) << outcome.line();
  EXPECT_EQ(outcome.counts.of(Fault::disk_full), 1U);
}

TEST(SimulatedDisk, TheSizeOfADiskIsItsLimit) {
  Options options{.seed = 1};
  options.disk.capacity_bytes = 1000;
  const SeedOutcome outcome = run_seed_in_child(options, [](Simulation& sim) {
    Files& files = sim.add_host("h").world().files();
    auto file = *files.open("/f", OpenMode::create);
    MUST(file->write_at(0, std::string(600, 'a')).ok());
    MUST(*files.free_bytes("/") == 400);
    MUST(file->write_at(600, std::string(600, 'a')).error().kind == ErrorKind::disk_full);
    MUST(files.remove("/f").ok());
    MUST(*files.free_bytes("/") == 1000);
  });
  EXPECT_TRUE(outcome.ok) << outcome.line();
}

TEST(SimulatedDisk, ABitThatFlipsIsSeenByEveryReader) {
  const SeedOutcome outcome = run_test_seed(1, [](Simulation& sim) {
    Host& host = sim.add_host("h");
    Files& files = host.world().files();
    MUST(replace_file(files, "/f", "abc").ok());
    MUST(sim.corrupt(host, "/f", 1).ok());
    const Bytes damaged = *read_file(files, "/f");
    MUST(damaged.size() == 3 && damaged[0] == 'a' && damaged[1] != 'b' && damaged[2] == 'c');
    MUST(!sim.corrupt(host, "/f", 3).ok());
    sim.crash(host, Crash::power);
    MUST(*read_file(sim.restart(host).files(), "/f") == damaged);
    sim.crash(host, Crash::power);
    sim.lose_disk(host);
    MUST(read_file(sim.restart(host).files(), "/f").error().kind == ErrorKind::not_found);
  });
  EXPECT_TRUE(outcome.ok) << outcome.line();
}

TEST(SimulatedDisk, ALockNamesItsHolderAndDiesWithIt) {
  const SeedOutcome outcome = run_test_seed(1, [](Simulation& sim) {
    Host& host = sim.add_host("h");
    host.run("holder", [&] {
      auto lock = *host.world().files().lock("/lock", "first agent");
      sim.sleep(1h);
    });
    sim.sleep(1s);
    const auto refused = host.world().files().lock("/lock", "second agent");
    MUST(refused.error().kind == ErrorKind::conflict);
    MUST(refused.error().what.find("held by first agent") != std::string::npos);
    sim.crash(host, Crash::process);
    auto lock = sim.restart(host).files().lock("/lock", "second agent");
    MUST(lock.ok());
    lock->reset();
    MUST(host.world().files().lock("/lock", "third agent").ok());
  });
  EXPECT_TRUE(outcome.ok) << outcome.line();
}

TEST(SimulatedDisk, WritesDuringASyncAreNotPartOfIt) {
  std::vector<std::string> texts;
  run_seeds(
      60,
      [](Simulation& sim) {
        Files& files = after_power_cut(sim, sim.add_host("h"), [](Files& before) {
          auto file = *before.open("/f", OpenMode::create);
          MUST(before.sync_folder("/").ok());
          MUST(file->write_at(0, "A").ok());
          Thread syncs("sync", [&](std::stop_token) { MUST(file->sync().ok()); });
          MUST(file->write_at(1, "B").ok());
          syncs.join();
        });
        const Bytes left = *read_file(files, "/f");
        MUST(left == "A" || left == "AB");
        sim.report(left);
      },
      &texts);
  EXPECT_THAT(texts, testing::Contains("A\n"));
  EXPECT_THAT(texts, testing::Contains("AB\n"));
}

}  // namespace
}  // namespace farshore::os::sim
