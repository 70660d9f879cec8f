// Simulation: a world of hosts with disks, clocks and a network, in which the real code runs under
// a scheduler that a seed decides. One seed is one history: the same program gives the same trace
// and hash each time.
//
// Use: run_seed_in_child (sim/seed_run.h) makes one in a process of its own, since the threads of
// crashed hosts are abandoned with their stacks. Its body is the simulated thread "driver/main": it
// adds hosts, starts threads on them, sleeps, injects faults, checks. A broken invariant in any
// thread, a deadlock or a passed limit ends the simulation with a text that names it.
//
// Threads: everything here is called from simulated threads (or events); only one runs at a time
// and switches happen only inside os:: calls, so plain variables may be shared. What several hosts
// share must not be guarded by os::Mutex: a crashed thread would hold it for ever. Real locks, real
// time and pointers as keys of an order are forbidden.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "os/sim/core.h"
#include "os/sim/disk.h"
#include "os/sim/fault.h"
#include "os/sim/options.h"
#include "os/sim/wires.h"
#include "os/world.h"

namespace farshore::os::sim {

enum class Crash : std::uint8_t {
  power,    // machine and unsynced data are gone; its peers see a reset or hear nothing more, as
            // chance says
  process,  // kill -9: what was written stays, connections are reset
};

// A machine that can crash and start again; owned by its Simulation.
class Host {
 public:
  const std::string& name() const { return name_; }
  bool up() const { return lives_.back()->alive; }
  // Of this incarnation; after a crash a new one is made by Simulation::restart.
  World& world() { return *worlds_.back(); }
  // Starts a simulated thread here. It need not be joined: it ends with its body or with the host.
  std::uint64_t run(const std::string& thread, std::function<void()> body);
  Disk& disk() { return disk_; }

 private:
  friend class Simulation;
  Host(Core& core, std::string name, const Options& options, FaultCounts& counts);

  Core& core_;
  const std::string name_;
  Disk disk_;
  RandomStream random_;
  std::vector<std::unique_ptr<Life>> lives_;  // the last is the present one; none is ever destroyed
  Crash last_crash_ = Crash::power;
  std::vector<std::unique_ptr<World>> worlds_;
};

class Simulation {
 public:
  explicit Simulation(const Options& options);

  // Runs `body` as the simulated thread "driver/main", on the calling thread.
  void run(const std::function<void()>& body);

  Host& add_host(const std::string& name);
  Host& driver() { return *hosts_.front(); }  // of the test itself; has a true clock
  void join(std::uint64_t thread) { core_.join(thread); }
  // Runs `body` in a thread of this host and waits for it; for ever, if the host crashes meanwhile.
  void call(Host& host, std::function<void()> body) { join(host.run("call", std::move(body))); }

  // --- time and chance
  Duration virtual_time() const { return core_.virtual_time(); }
  void sleep(Duration d) { core_.sleep(d, "sleep"); }
  // Until the others have made `count` switch points: then the caller runs at once, wherever they
  // are.
  void sleep_switch_points(std::uint64_t count) { core_.sleep_switch_points(count); }
  // Calls `event` then, between two threads; it must not block.
  void after(Duration d, std::function<void()> event) {
    core_.schedule(virtual_time() + d, std::move(event));
  }
  RandomStream& random() { return random_; }

  // --- faults of hosts and disks
  void crash(Host& host, Crash how);
  World& restart(Host& host);
  void lose_disk(Host& host);  // of a host that is down
  Result<void> corrupt(Host& host, const std::string& path, std::uint64_t offset);
  void fill_disk(Host& host) { host.disk_.set_full(true); }
  void free_disk(Host& host) { host.disk_.set_full(false); }
  // write_error, short_write, sync_error or slow_disk at the operation of that kind after
  // `after_operations` others.
  void fail_next(Host& host, Fault fault, std::uint64_t after_operations = 0) {
    host.disk_.arm(fault, after_operations);
  }
  void step_wall(Host& host, Duration by);

  // --- faults of the network between two hosts, both ways; see Fault
  WireOptions& wire(const Host& from, const Host& to) {
    return wires_.wire(from.name(), to.name()).options;
  }
  void cut(const Host& a, const Host& b) { wires_.cut(a.name(), b.name()); }
  void swallow(const Host& a, const Host& b) { wires_.swallow(a.name(), b.name()); }
  void heal(const Host& a, const Host& b) { wires_.heal(a.name(), b.name()); }
  void reset(const Host& a, const Host& b) { wires_.reset(a.name(), b.name()); }
  void half_open(const Host& deaf, const Host& other) {
    wires_.half_open(deaf.name(), other.name());
  }
  void spike(const Host& a, const Host& b, Duration extra, Duration how_long) {
    wires_.spike(a.name(), b.name(), extra, how_long);
  }
  void refuse(const Host& host, bool refused) { wires_.refuse(host.name(), refused); }

  // --- what came of it
  const FaultCounts& counts() const { return counts_; }
  std::uint64_t hash() const { return core_.hash(); }
  std::uint64_t switch_points() const { return core_.switch_points(); }
  [[noreturn]] void fail(const std::string& why) { core_.fail(why); }
  void report(const std::string& line) { report_ += line + "\n"; }  // into the outcome's text
  const std::string& report_text() const { return report_; }
  Core& core() { return core_; }

 private:
  void start_life(Host& host, bool same_boot);

  const Options options_;
  FaultCounts counts_;
  Core core_;
  RandomStream random_;
  Wires wires_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::string report_;
};

}  // namespace farshore::os::sim
