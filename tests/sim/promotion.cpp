#include "promotion.h"

#include <set>

#include "history.h"
#include "journal/recovery.h"
#include "journal/segment_scan.h"

namespace farshore::simtest {
namespace {

using os::sim::Crash;
using os::sim::Simulation;

constexpr int kTriesMax = 50;
constexpr Epoch kNew = Epoch(2);

class Promotion {
 public:
  Promotion(Simulation& simulation, Regions& regions)
      : simulation_(simulation), regions_(regions) {}

  void run() {
    begin_in_far_journal();
    const auto near = near_end();
    rejoin_near();
    check_near();
    check_salvage(near);
    simulation_.report(
        fmt::format("{} {}, the near journal ended at {}", kPromoted, entry_.first, near));
  }

 private:
  std::uint64_t below(std::uint64_t limit) { return simulation_.random().next() % limit; }

  // What a promoted region's capture writes first, and some heartbeats.
  void begin_in_far_journal() {
    for (int tries = 0;; ++tries) {  // a fault that was armed may still strike here
      const auto far = regions_.open_journal(regions_.far_host(), Regions::kJournalFar);
      if (write_epoch(*far).ok()) return;
      if (tries == kTriesMax) simulation_.fail("the new epoch cannot be written");
    }
  }

  Result<void> write_epoch(journal::Journal& far) {
    const auto history = far.history();
    const bool begun = history.back().epoch == kNew;
    entry_ = begun ? history.back()
                   : journal::EpochEntry{.epoch = kNew,
                                         .first = far.status().durable.sequence.next(),
                                         .identity = "promoted"};
    FARSHORE_TRY(far.begin_epoch(entry_));
    if (far.status().durable.sequence < entry_.first) {
      const journal::Tail tail = far.tail();
      std::vector<Record> records(3 + below(20), Record{.kind = RecordKind::heartbeat,
                                                        .session = tail.session + 1,
                                                        .commit_time = WallTime(1h),
                                                        .position = tail.position});
      records[0] = {.kind = RecordKind::session, .session = tail.session + 1};
      records[1] = {.kind = RecordKind::preamble, .session = tail.session + 1};
      FARSHORE_TRY_ASSIGN(const Place last, far.append(records, soon()));
      FARSHORE_TRY(far.wait_durable(last.sequence, soon()));
    }
    FARSHORE_TRY_ASSIGN(auto reader, far.reader(entry_.first));
    FARSHORE_TRY_ASSIGN(records_, reader->next(1_MiB, soon()));
    hash_ = far.status().hash;
    return {};
  }

  Sequence near_end() {
    return regions_.open_journal(regions_.near_host(), Regions::kJournalNear)
        ->status()
        .durable.sequence;
  }

  void rejoin_near() {
    os::sim::Host& near = regions_.near_host();
    for (int tries = 0; tries < kTriesMax; ++tries) {
      bool ended = false, done = false;
      near.run("rejoin", [this, &world = near.world(), &ended, &done] {
        done = take_epoch(world).ok();
        ended = true;
      });
      const bool strikes = below(3) != 0;
      if (strikes) simulation_.sleep_switch_points(below(300));
      while (!strikes && !ended) simulation_.sleep(10ms);
      if (strikes && !ended) {
        simulation_.crash(near, below(3) == 0 ? Crash::process : Crash::power);
        simulation_.restart(near);
      }
      if (done) return;
    }
    simulation_.fail("the near journal does not take the new epoch");
  }

  Result<void> take_epoch(os::World& world) {
    FARSHORE_TRY_ASSIGN(auto near, journal::Journal::open(world, Regions::kJournalNear,
                                                          regions_.journal_options(), {}));
    FARSHORE_TRY(near->begin_epoch(entry_));
    FARSHORE_TRY_ASSIGN(const Place last, near->append_shipped(records_, world.after(60s)));
    FARSHORE_TRY(near->wait_durable(last.sequence, world.after(60s)));
    return {};
  }

  void check_near() {
    const auto near = regions_.open_journal(regions_.near_host(), Regions::kJournalNear);
    if (near->status().hash != hash_ || near->status().durable != records_.back().place)
      simulation_.fail(fmt::format("the near journal ends at {} with another hash than the far one",
                                   near->status().durable));
  }

  // It holds each record of the old epoch from the new one's first to `end`.
  void check_salvage(Sequence end) {
    os::Files& files = regions_.near_host().world().files();
    const std::string folder = std::string(Regions::kJournalNear) + "/salvage";
    std::set<Sequence> held;
    const auto segments = journal::find_segments(files, folder);
    for (std::size_t i = 0; segments.ok() && i < segments->size(); ++i) {
      const journal::FoundSegment& segment = (*segments)[i];
      auto reader = journal::SegmentReader::open(files, segment.path, segment.header.epoch);
      if (!reader.ok()) simulation_.fail(reader.error().what);
      auto scan = journal::scan_segment(*reader, segment.header, {.limit = segment.size},
                                        [&](const journal::Frame& frame) -> Result<void> {
                                          held.insert(frame.header.sequence);
                                          return {};
                                        });
      if (!scan.ok()) simulation_.fail(scan.error().what);
    }
    for (Sequence lost = entry_.first; lost <= end; lost = lost.next())
      if (!held.contains(lost))
        simulation_.fail(
            fmt::format("record {} lost against the new epoch and is not in salvage/", lost));
  }

  Deadline soon() { return simulation_.driver().world().after(60s); }

  Simulation& simulation_;
  Regions& regions_;
  journal::EpochEntry entry_;
  std::vector<PlacedRecord> records_;  // of the new epoch
  std::uint64_t hash_ = 0;             // at their end
};

}  // namespace

void promote_far_region(Simulation& simulation, Regions& regions) {
  Promotion(simulation, regions).run();
}

}  // namespace farshore::simtest
