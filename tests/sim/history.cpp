#include "history.h"

#include <algorithm>
#include <set>

#include "journal/journal.h"
#include "newcomers.h"
#include "promotion.h"
#include "regions.h"

namespace farshore::simtest {
namespace {

using os::sim::Crash;
using os::sim::Fault;
using os::sim::Simulation;

constexpr std::uint64_t kSwitchPointsMin = 20'000;
constexpr Duration kCatchUpMax = 20min;

class History {
 public:
  History(Simulation& simulation, const HistoryOptions& options)
      : simulation_(simulation), regions_(simulation), restores_(regions_.keeps() && chance(2)) {
    regions_.apply_twice = options.apply_twice;
  }

  void run() {
    regions_.start_far();
    regions_.start_near();
    const auto writer = simulation_.driver().run("writer", [this] { write(); });
    const auto waiter = simulation_.driver().run("waiter", [this] { commit_and_wait(); });
    strike();
    const bool region_lost = chance(4);
    if (region_lost) lose_near_region();
    stopping_ = true;
    simulation_.join(writer);
    simulation_.join(waiter);
    if (region_lost)
      apply_what_is_left();
    else
      catch_up();
    if (!region_lost && chance(3)) return_near_disk_from_image();
    check_applied(region_lost);
    if (!region_lost && chance(3) && promise_newer_epoch() && chance(2)) promote();
    regions_.stop_near();
    regions_.stop_far();
    check_far_journal();
    if (!region_lost) compare_journals();
  }

 private:
  bool chance(std::uint64_t one_in) { return simulation_.random().next() % one_in == 0; }
  std::uint64_t below(std::uint64_t limit) { return simulation_.random().next() % limit; }
  Duration some_time(Duration most) {
    return Duration(static_cast<std::int64_t>(below(static_cast<std::uint64_t>(most.count()))));
  }

  // Its table is one of a few, which change as the history goes on: the stream must define some
  // again and again, and what has to know them comes soon after.
  std::string text() {
    const char table = static_cast<char>('A' + (++number_ / 16 + below(4)) % 60);
    return fmt::format("{}{}-{}", table, number_,
                       std::string(below(chance(50) ? 60'000 : 200), 'x'));
  }

  // Transactions of all kinds: small, streamed and interleaved, with aborted parts, aborted whole;
  // heartbeats.
  void write() {
    std::vector<std::uint64_t> open;
    while (!stopping_) {
      simulation_.sleep(some_time(20ms));
      const std::uint64_t kind = below(10);
      if (kind < 5)
        commit_small();
      else if (kind == 5)
        regions_.database().heartbeat();
      else if (kind == 6 && open.size() < 3)
        open.push_back(regions_.database().begin_streamed());
      else if (!open.empty())
        change_streamed(open);
    }
    for (const std::uint64_t xid : open) regions_.database().commit_streamed(xid);
    regions_.database().heartbeat();
  }

  void commit_small() {
    std::vector<std::string> changes(1 + below(6));
    for (std::string& change : changes) change = text();
    regions_.database().commit(std::move(changes));
  }

  void change_streamed(std::vector<std::uint64_t>& open) {
    const std::size_t at = below(open.size());
    const std::uint64_t xid = open[at];
    const std::uint64_t kind = below(8);
    if (kind < 5) return regions_.database().change(xid, text(), below(3));
    if (kind == 5) return regions_.database().abort_sub(xid, 1 + below(2));
    if (kind == 6)
      regions_.database().commit_streamed(xid);
    else
      regions_.database().abort_streamed(xid);
    open.erase(open.begin() + static_cast<std::ptrdiff_t>(at));
  }

  // Commits as under remote_apply: acknowledged only when the far side holds them durably.
  void commit_and_wait() {
    os::World& world = simulation_.driver().world();
    while (!stopping_) {
      simulation_.sleep(some_time(200ms));
      const std::uint64_t lsn = regions_.database().commit({text()});
      if (!regions_.database().wait_far_durable(lsn, world.after(20s))) continue;
      acknowledged_.insert(lsn);
      if (doomed_) strike_near_region();
    }
  }

  void strike() {
    const int faults = 4 + static_cast<int>(below(8));
    for (int i = 0; i < faults || simulation_.switch_points() < kSwitchPointsMin; ++i) {
      simulation_.sleep(some_time(3s));
      one_fault();
      if (chance(3)) heal();
    }
    heal();
  }

  void one_fault() {
    os::sim::Host& near = regions_.near_host();
    os::sim::Host& far = regions_.far_host();
    os::sim::Host& one = chance(2) ? near : far;
    switch (below(17)) {
      case 0:
      case 1:
        return restart(one, Crash::power);
      case 2:
        return restart(one, Crash::process);
      case 3:  // what the first incarnation wrote, the second must not call durable unsynced
        restart(one, Crash::process);
        simulation_.sleep(some_time(1s));
        return restart(one, Crash::power);
      case 4:
        return regions_.target().crash();
      case 5:
        return simulation_.cut(near, far);
      case 6:
        return simulation_.swallow(near, far);
      case 7:
        return simulation_.half_open(one, &one == &near ? far : near);
      case 8:
        return simulation_.reset(near, far);
      case 9:
        return simulation_.spike(near, far, some_time(2s), some_time(5s));
      case 10:
        return simulation_.fail_next(one, Fault::sync_error, below(20));
      case 11:
        return simulation_.fail_next(one, chance(2) ? Fault::write_error : Fault::short_write,
                                     below(20));
      case 12:
        return fill_for_a_while(one);
      case 13:
        return simulation_.fail_next(one, Fault::slow_disk, below(20));
      case 14:
        return simulation_.step_wall(one, some_time(20s) - 10s);
      case 15:
        return lose_near_disk();
      default:
        return restore_target();
    }
  }

  void restart(os::sim::Host& host, Crash how) {
    simulation_.crash(host, how);
    simulation_.sleep(some_time(2s));
    simulation_.restart(host);
    start(host);
  }

  void start(os::sim::Host& host) {
    if (&host == &regions_.near_host())
      regions_.start_near();
    else
      regions_.start_far();
  }

  void fill_for_a_while(os::sim::Host& host) {
    if (restores_) return;  // a full disk trims what is kept for that
    simulation_.fill_disk(host);
    simulation_.sleep(some_time(5s));
    simulation_.free_disk(host);
  }

  // What the source has not released and the far journal has is all there is then, and it is
  // enough.
  void lose_near_disk() {
    simulation_.crash(regions_.near_host(), Crash::power);
    simulation_.lose_disk(regions_.near_host());
    simulation_.sleep(some_time(1s));
    simulation_.restart(regions_.near_host());
    regions_.start_near();
  }

  // The target's database comes back from a backup, so long as the journals hold what it lacks.
  void restore_target() {
    const std::uint64_t newest = regions_.target().count();
    if (!restores_ || newest == 0) return;
    regions_.target().restore(newest - below(newest));
    simulation_.report(fmt::format("{} from {}", kTargetRestored, newest));
  }

  void heal() {
    simulation_.heal(regions_.near_host(), regions_.far_host());
    simulation_.free_disk(regions_.near_host());
    simulation_.free_disk(regions_.far_host());
  }

  void catch_up() {
    const std::size_t all = regions_.database().committed().size();
    const Duration until = simulation_.virtual_time() + kCatchUpMax;
    while (regions_.target().count() < all) {
      if (simulation_.virtual_time() > until)
        simulation_.fail("the target does not catch up: " + states());
      if (regions_.near_agent().stream != nullptr && chance(20)) regions_.database().heartbeat();
      simulation_.sleep(100ms);
    }
  }

  std::string states() {
    std::string text = fmt::format("{} of {} transactions are applied", regions_.target().count(),
                                   regions_.database().committed().size());
    if (const auto* stream = regions_.near_agent().stream) {
      const auto status = stream->status();
      text += fmt::format("; capture {} ({}{}), journal {} {} {}", name_of(status.capture.state),
                          status.capture.reason, status.capture.last_error, status.journal.durable,
                          status.journal.written, status.journal.reason);
      for (const auto& target : status.targets)
        text += fmt::format("; ship {} ({}{}), shipped {}, acknowledged {}",
                            name_of(target.leg.state), target.leg.reason, target.leg.last_error,
                            target.far.shipped, target.far.ack.durable);
    }
    if (const auto* leg = regions_.far_agent().leg) {
      const auto status = leg->status();
      text += fmt::format("; leg {} ({}{}), journal {}, applied {}", name_of(status.leg.state),
                          status.leg.reason, status.leg.last_error, status.journal.durable,
                          status.applied.applied);
    }
    return text;
  }

  // The whole primary region is gone for good, if it can be at the moment at which a commit was
  // acknowledged.
  void lose_near_region() {
    doomed_ = true;
    for (int tries = 0; doomed_ && tries < 100; ++tries) simulation_.sleep(100ms);
    if (doomed_) strike_near_region();
    if (regions_.far_host().up()) return;
    simulation_.restart(regions_.far_host());
    regions_.start_far();
  }

  void strike_near_region() {
    doomed_ = false;
    simulation_.crash(regions_.near_host(), Crash::power);
    simulation_.lose_disk(regions_.near_host());
    if (chance(4)) return;
    simulation_.crash(regions_.far_host(), chance(4) ? Crash::process : Crash::power);
  }

  // The far side applies what it holds.
  void apply_what_is_left() {
    std::size_t count = 0;
    for (int quiet = 0; quiet < 100; ++quiet) {
      simulation_.sleep(500ms);
      if (regions_.target().count() != count) quiet = 0;
      count = regions_.target().count();
    }
  }

  void check_applied(bool region_lost) {
    for (const std::string& violation : regions_.target().violations()) simulation_.fail(violation);
    const auto committed = regions_.database().committed();
    const auto applied = regions_.target().applied();
    if (applied.size() > committed.size()) simulation_.fail("more was applied than committed");
    for (std::size_t i = 0; i < applied.size(); ++i) {
      if (applied[i].xid != committed[i].xid)
        simulation_.fail(fmt::format("transaction {} was applied where {} was committed",
                                     applied[i].xid, committed[i].xid));
      if (applied[i].changes != committed[i].changes)
        simulation_.fail(
            fmt::format("transaction {}: {} changes applied, {} committed, or they differ",
                        applied[i].xid, applied[i].changes.size(), committed[i].changes.size()));
    }
    if (!region_lost && applied.size() != committed.size()) simulation_.fail("not all was applied");
    const std::uint64_t newest = applied.empty() ? 0 : committed[applied.size() - 1].commit_lsn;
    // A region that died before the initial copy was complete leaves a journal, but no target to
    // apply it to.
    const auto* leg = regions_.far_agent().leg;
    const bool copied = leg != nullptr && leg->status().leg.state != pipeline::State::copying;
    if (copied && !acknowledged_.empty() && *acknowledged_.rbegin() > newest)
      simulation_.fail(fmt::format(
          "commit {} was acknowledged as far durable and is not in the target, which ends at {}",
          *acknowledged_.rbegin(), newest));
    simulation_.report(fmt::format("{} transactions, {} acknowledged far, {}", applied.size(),
                                   acknowledged_.size(), region_lost ? kRegionLost : "caught up"));
  }

  // The near machine comes back with its disk as it was before it shipped the newest records: it
  // must not write others in their place. The operator does as the failure says.
  void return_near_disk_from_image() {
    os::sim::Host& near = regions_.near_host();
    const auto image = near.disk().image();
    simulation_.half_open(near, regions_.far_host());  // what it ships it does not hear of
    for (int i = 0; i < 20; ++i) {
      commit_small();
      simulation_.sleep(some_time(100ms));
    }
    simulation_.crash(near, Crash::power);
    near.disk().restore(image);
    simulation_.report(kNearDiskFromImage);
    heal();
    simulation_.restart(near);
    regions_.start_near();
    const Duration until = simulation_.virtual_time() + kCatchUpMax;
    while (!journals_agree_on_their_end()) {
      if (simulation_.virtual_time() > until) simulation_.fail("no end: " + states());
      if (shipping_failed()) lose_near_disk();
      simulation_.sleep(100ms);
    }
    catch_up();
  }

  std::optional<pipeline::SourceTargetStatus> shipping() {
    const auto* stream = regions_.near_agent().stream;
    if (stream == nullptr) return std::nullopt;
    auto targets = stream->status().targets;
    return targets.empty() ? std::nullopt : std::optional(std::move(targets.front()));
  }

  bool shipping_failed() {
    const auto target = shipping();
    return target && target->leg.state == pipeline::State::failed;
  }

  bool journals_agree_on_their_end() {
    const auto target = shipping();
    return target && target->far.connected &&
           target->far.ack.durable == regions_.near_agent().stream->status().journal.durable;
  }

  // A far journal that has promised a newer epoch takes nothing more of the old one.
  bool promise_newer_epoch() {
    regions_.stop_far();
    Sequence end;
    {
      const auto far = regions_.open_journal(regions_.far_host(), Regions::kJournalFar);
      end = far->status().written.sequence;
      if (!far->promise(Epoch(2)).ok()) return false;  // a fault that was armed
    }
    regions_.start_far();
    for (int i = 0; i < 20; ++i) {
      commit_small();
      simulation_.sleep(200ms);
    }
    regions_.stop_far();
    const auto far = regions_.open_journal(regions_.far_host(), Regions::kJournalFar);
    if (far->status().written.sequence > end)
      simulation_.fail(
          fmt::format("the far journal has promised epoch 2 at {} and then took {} of "
                      "epoch 1",
                      end, far->status().written));
    return true;
  }

  // Then the stream goes on in the new epoch. What the near tail held is captured again.
  void promote() {
    regions_.stop_near();
    promote_far_region(simulation_, regions_);
    regions_.start_far();
    regions_.start_near();
    for (int i = 0; i < 20; ++i) {
      commit_small();
      simulation_.sleep(some_time(100ms));
    }
    catch_up();
    check_applied(false);
  }

  // What was acknowledged as far durable is in the far journal, whatever became of the near region.
  void check_far_journal() {
    const auto far = regions_.open_journal(regions_.far_host(), Regions::kJournalFar);
    const std::uint64_t newest = fakes::lsn_of(far->tail().position);
    if (!acknowledged_.empty() && *acknowledged_.rbegin() > newest)
      simulation_.fail(
          fmt::format("commit {} was acknowledged as far durable and is not in the far journal, "
                      "which ends at {}",
                      *acknowledged_.rbegin(), newest));
    begin_at_preambles(simulation_, regions_.far_host().world(), *far,
                       regions_.database().committed());
  }

  // The far journal is a prefix of the near one: the same hash at the same place.
  void compare_journals() {
    const auto near = regions_.open_journal(regions_.near_host(), Regions::kJournalNear);
    const auto far = regions_.open_journal(regions_.far_host(), Regions::kJournalFar);
    const Sequence end = far->status().durable.sequence;
    if (end > near->status().durable.sequence)
      simulation_.fail("the far journal is longer than the near one");
    if (end == Sequence(0)) return;
    auto near_hash = near->hash_at(end);
    if (!near_hash.ok() || *near_hash != far->status().hash)
      simulation_.fail(fmt::format("the journals differ at {}", end));
    if (near->history() != far->history()) simulation_.fail("the epoch histories differ");
  }

  Simulation& simulation_;
  Regions regions_;
  const bool restores_;
  bool stopping_ = false;
  bool doomed_ = false;  // the near region ends at the next acknowledgement
  std::uint64_t number_ = 0;
  std::set<std::uint64_t> acknowledged_;
};

}  // namespace

void run_history(Simulation& simulation, const HistoryOptions& options) {
  History(simulation, options).run();
}

}  // namespace farshore::simtest
