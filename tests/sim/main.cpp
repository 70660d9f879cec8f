// farshore_sim: histories of two simulated regions, one for each seed. See --help.
#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "history.h"
#include "os/sim/seed_run.h"

namespace farshore::simtest {
namespace {

struct Arguments {
  std::uint64_t first = 1, seeds = 500, twice = 0;
  std::string trace_path;
  HistoryOptions history;
  bool quiet = false, all_faults = true, until_failure = false;
};

constexpr const char* kUsage =
    "usage: farshore_sim [--seeds N] [--first N] [--seed N [--trace FILE]] [--twice N] [--quiet]\n"
    "  --seeds N     run N seeds (500)         --first N   beginning with this one (1)\n"
    "  --seed N      run just this one         --trace F   and write each switch point to a file\n"
    "  --twice N     run the first N a second time: both must have the same trace hash\n"
    "  --until-failure ends with the first seed that fails\n"
    "  --apply-twice a planted fault that must be found\n"
    "FARSHORE_SIM_EVENTS=1 prints the events of both regions.\n";

bool parse(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    auto number = [&] { return std::strtoull(i + 1 < argc ? argv[++i] : "0", nullptr, 10); };
    if (word == "--seeds")
      arguments.seeds = number();
    else if (word == "--first")
      arguments.first = number();
    else if (word == "--seed")
      arguments.first = number(), arguments.seeds = 1, arguments.all_faults = false;
    else if (word == "--twice")
      arguments.twice = number();
    else if (word == "--trace")
      arguments.trace_path = i + 1 < argc ? argv[++i] : "";
    else if (word == "--quiet")
      arguments.quiet = true;
    else if (word == "--until-failure")
      arguments.until_failure = true;
    else if (word == "--apply-twice")
      arguments.history.apply_twice = true;
    else
      return false;
  }
  return arguments.seeds > 0;
}

os::sim::SeedOutcome run(std::uint64_t seed, const Arguments& arguments) {
  os::sim::Options options{.seed = seed, .trace_path = arguments.trace_path};
  options.switch_points_max = 3'000'000;  // more than ten times what the longest history has
  options.wire.reset = 0.0002;
  options.wire.delay_spike = 0.001;
  // Regions of one city, and disks that take their time: an answer may then be faster than a sync.
  if (seed % 3 == 1) options.wire.latency = 1ms, options.wire.jitter = 500us;
  if (seed % 4 < 2) options.disk.sync_max = 150ms;
  return os::sim::run_seed_in_child(
      options, [&](os::sim::Simulation& simulation) { run_history(simulation, arguments.history); },
      120s);
}

// The faults that histories are made of; each must have fired at least once in a long run.
bool every_fault_fired(const os::sim::FaultCounts& counts) {
  using os::sim::Fault;
  bool all = true;
  for (Fault fault :
       {Fault::write_error, Fault::short_write, Fault::sync_error, Fault::disk_full,
        Fault::slow_disk, Fault::lost_write, Fault::torn_write, Fault::lost_name, Fault::lost_disk,
        Fault::power_cut, Fault::process_kill, Fault::wall_step, Fault::cut, Fault::reset,
        Fault::half_open, Fault::swallow, Fault::delay_spike}) {
    if (counts.of(fault) > 0) continue;
    fmt::print("the fault {} never fired: it tested nothing\n", os::sim::name_of(fault));
    all = false;
  }
  return all;
}

// How many histories took each of the turns.
class TurnCounts {
 public:
  void add(const os::sim::SeedOutcome& outcome) {
    for (std::size_t i = 0; i < kTurns.size(); ++i)
      if (outcome.text.find(kTurns[i]) != std::string::npos) ++taken_[i];
  }
  std::string text() const {
    std::string text;
    for (std::size_t i = 0; i < kTurns.size(); ++i)
      text += fmt::format("{}{} {}", i == 0 ? "" : ", ", kTurns[i], taken_[i]);
    return text;
  }
  bool each_was_taken() const {
    bool all = true;
    for (std::size_t i = 0; i < kTurns.size(); ++i) {
      if (taken_[i] > 0) continue;
      fmt::print("no history has '{}': it tested nothing\n", kTurns[i]);
      all = false;
    }
    return all;
  }

 private:
  std::array<std::uint64_t, kTurns.size()> taken_{};
};

int run_all(const Arguments& arguments) {
  os::sim::FaultCounts counts;
  TurnCounts turns;
  std::uint64_t passed = 0, failed = 0, switch_points = 0;
  for (std::uint64_t seed = arguments.first; seed < arguments.first + arguments.seeds; ++seed) {
    os::sim::SeedOutcome outcome = run(seed, arguments);
    if (outcome.ok && seed - arguments.first < arguments.twice) {
      const os::sim::SeedOutcome again = run(seed, arguments);
      if (again.hash != outcome.hash) {
        outcome.ok = false;
        outcome.text =
            fmt::format("two runs differ: hashes {:016x} and {:016x}", outcome.hash, again.hash);
      }
    }
    counts.add(outcome.counts);
    turns.add(outcome);
    switch_points += outcome.switch_points;
    ++(outcome.ok ? passed : failed);
    if (!arguments.quiet || !outcome.ok) fmt::print("{}\n", outcome.line());
    if (!outcome.ok) fmt::print("  {}\n  replay: ./dev sim --seed {}\n", outcome.text, seed);
    std::fflush(stdout);
    if (!outcome.ok && arguments.until_failure) break;
  }
  fmt::print("{} switch points; faults: {}; histories: {}\n", switch_points, counts.text(),
             turns.text());
  const bool long_run = arguments.all_faults && arguments.seeds >= 100;
  if (long_run && !every_fault_fired(counts)) ++failed;
  if (long_run && !turns.each_was_taken()) ++failed;
  fmt::print("{} seeds passed, {} failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace farshore::simtest

int main(int argc, char** argv) {
  farshore::simtest::Arguments arguments;
  if (!farshore::simtest::parse(argc, argv, arguments)) {
    fmt::print(stderr, "{}", farshore::simtest::kUsage);
    return 2;
  }
  return farshore::simtest::run_all(arguments);
}
