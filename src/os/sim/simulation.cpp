#include "os/sim/simulation.h"

#include "base/check.h"
#include "os/sim/sim_files.h"
#include "os/sim/sim_network.h"

namespace farshore::os::sim {
namespace {

constexpr WallTime kWallStart{std::chrono::seconds(1767225600)};  // 2026-01-01T00:00:00Z
constexpr Duration kUptimeMax = 720h;

class SimClock : public Clock {
 public:
  SimClock(const Core& core, const Life& life) : core_(core), life_(life) {}
  MonotonicTime monotonic() override { return life_.clock.monotonic(core_.virtual_time()); }
  WallTime wall() override { return life_.clock.wall(core_.virtual_time()); }

 private:
  const Core& core_;
  const Life& life_;
};

class SimRandom : public Random {
 public:
  explicit SimRandom(RandomStream& stream) : stream_(stream) {}
  std::uint64_t next() override { return stream_.next(); }

 private:
  RandomStream& stream_;
};

class SimWorld : public World {
 public:
  SimWorld(Core& core, Disk& disk, Wires& wires, RandomStream& random, const Life& life)
      : clock_(core, life),
        random_(random),
        files_(make_sim_files(core, disk, life)),
        network_(make_sim_network(wires, life)) {}

  Clock& clock() override { return clock_; }
  Random& random() override { return random_; }
  Files& files() override { return *files_; }
  Network& network() override { return *network_; }

 private:
  SimClock clock_;
  SimRandom random_;
  const std::unique_ptr<Files> files_;
  const std::unique_ptr<Network> network_;
};

}  // namespace

Host::Host(Core& core, std::string name, const Options& options, FaultCounts& counts)
    : core_(core),
      name_(std::move(name)),
      disk_(options.seed, name_, options.disk, counts),
      random_(options.seed, "random of " + name_) {}

std::uint64_t Host::run(const std::string& thread, std::function<void()> body) {
  return core_.spawn_on(*lives_.back(), thread, std::move(body));
}

Simulation::Simulation(const Options& options)
    : options_(options),
      core_(options_),
      random_(options.seed, "driver"),
      wires_(core_, options_, counts_) {
  add_host("driver");
}

void Simulation::run(const std::function<void()>& body) {
  core_.enter(*driver().lives_.back());
  try {
    body();
  } catch (const std::exception& escaped) {
    fail(fmt::format("driver/main: {}", escaped.what()));
  }
  core_.leave();
}

Host& Simulation::add_host(const std::string& name) {
  hosts_.push_back(std::unique_ptr<Host>(new Host(core_, name, options_, counts_)));
  start_life(*hosts_.back(), false);
  return *hosts_.back();
}

void Simulation::start_life(Host& host, bool same_boot) {
  auto life = std::make_unique<Life>();
  life->host = host.name_;
  if (same_boot) {
    life->clock = host.lives_.back()->clock;
  } else if (host.name_ == "driver") {
    life->clock.wall_at_start = kWallStart;
  } else {
    const Duration offset_max = options_.clock.wall_offset_max;
    const auto drift_max = static_cast<std::uint64_t>(options_.clock.drift_max_ppb);
    life->clock.monotonic_offset = random_.duration(0ns, kUptimeMax);
    life->clock.drift_ppb = static_cast<std::int64_t>(random_.below(2 * drift_max + 1) - drift_max);
    life->clock.wall_at_start = kWallStart + random_.duration(-offset_max, offset_max);
  }
  host.worlds_.push_back(
      std::make_unique<SimWorld>(core_, host.disk_, wires_, host.random_, *life));
  host.lives_.push_back(std::move(life));
  wires_.host_started(host.name_);
}

void Simulation::crash(Host& host, Crash how) {
  FARSHORE_CHECK(host.up(), "host '{}' crashes but is down already", host.name_);
  Life& life = *host.lives_.back();
  life.alive = false;
  core_.abandon(life);
  if (how == Crash::power) {
    counts_.count(Fault::power_cut);
    wires_.host_died(life, random_.chance(0.5));
    host.disk_.power_cut();
  } else {
    counts_.count(Fault::process_kill);
    wires_.host_died(life, false);
    host.disk_.release_locks();
  }
  host.last_crash_ = how;
  core_.stop_if_abandoned();
}

World& Simulation::restart(Host& host) {
  FARSHORE_CHECK(!host.up(), "host '{}' starts but is up already", host.name_);
  start_life(host, host.last_crash_ == Crash::process);
  return host.world();
}

void Simulation::lose_disk(Host& host) {
  FARSHORE_CHECK(!host.up(), "host '{}' loses its disk while it is up", host.name_);
  host.disk_.lose_all();
}

Result<void> Simulation::corrupt(Host& host, const std::string& path, std::uint64_t offset) {
  return host.disk_.flip_bit(path, offset);
}

void Simulation::step_wall(Host& host, Duration by) {
  counts_.count(Fault::wall_step);
  host.lives_.back()->clock.wall_at_start += by;
}

}  // namespace farshore::os::sim
