// Regions: two simulated regions with the real agents' data plane: journal, link, pipeline. The
// databases are in memory and outlive every crash; an agent lives on its host's thread and is
// abandoned when the host dies.
#pragma once

#include <memory>
#include <string>

#include "fakes/memory_database.h"
#include "fakes/memory_target.h"
#include "os/sim/simulation.h"
#include "pipeline/source_stream.h"
#include "pipeline/target_leg.h"

namespace farshore::simtest {

// What the driver may look at while an agent is up; plain, since only one thread runs at a time.
struct NearAgent {
  pipeline::SourceStream* stream = nullptr;
  bool stop = false, stopped = false;
};
struct FarAgent {
  pipeline::TargetLeg* leg = nullptr;
  bool stop = false, stopped = false;
};

class Regions {
 public:
  explicit Regions(os::sim::Simulation& simulation);

  void start_near();  // on the present incarnation of its host
  void start_far();
  void stop_near();  // a clean stop; waits for it
  void stop_far();
  // Of an agent that is down, from the driver's thread.
  std::unique_ptr<journal::Journal> open_journal(os::sim::Host& host, const char* folder);

  os::sim::Host& near_host() { return near_; }
  os::sim::Host& far_host() { return far_; }
  fakes::MemoryDatabase& database() { return database_; }
  fakes::MemoryTarget& target() { return target_; }
  const NearAgent& near_agent() const { return *near_agent_; }
  const FarAgent& far_agent() const { return *far_agent_; }
  bool apply_twice = false;  // a planted fault

  static constexpr const char* kJournalNear = "/data/source/journal";
  static constexpr const char* kJournalFar = "/data/target/journal";
  // Half of the seeds keep what was applied, the others trim it at once, in small segments.
  const journal::Options& journal_options() const { return journal_options_; }
  bool keeps() const { return journal_options_.keep > Duration::zero(); }

 private:
  void run_near(os::World& world, std::shared_ptr<NearAgent> self);
  void run_far(os::World& world, std::shared_ptr<FarAgent> self);
  EventSink events(const std::string& who);

  os::sim::Simulation& simulation_;
  os::sim::Host& near_;
  os::sim::Host& far_;
  fakes::MemoryDatabase database_;
  fakes::MemoryTarget target_;
  journal::Options journal_options_;
  std::shared_ptr<NearAgent> near_agent_;
  std::shared_ptr<FarAgent> far_agent_;
};

}  // namespace farshore::simtest
