#include "journal/scrub.h"

#include <algorithm>
#include <utility>

#include "journal/scrub_place.h"

namespace farshore::journal {
namespace {

constexpr std::uint64_t kStepBytes = 1_MiB;
constexpr double kShareOfInterval = 0.9;  // ends a round in time although reading takes time too
constexpr Duration kRoundMin = 1s;
constexpr Duration kKeepEvery = 1min;  // of the place, against a kill

Result<void> check_header(Log& log, SegmentReader& reader, const Segment& segment) {
  const auto head = reader.head();
  if (!head && head.error().kind != ErrorKind::io) return head.error();
  if (!head || !head->starts_with(encode_segment_header(segment.header)))
    log.report({segment.path, segment.header.epoch, 0, segment.header.first, segment.header.first,
                head ? "the segment's header changed" : head.error().what, !head});
  return {};
}

// False: the log was trimmed, cut or closed under us, so what looks like damage is none.
bool still_there(Log& log, const SegmentPtr& segment, std::size_t cuts) {
  const os::Lock lock(log.mutex);
  return log.phase == Phase::open && log.cuts.size() == cuts &&
         segment->header.first >= log.first();
}

// What a restart goes on from: nothing behind damage that is not repaired yet, since only a scrub
// or a reader finds it again.
std::optional<Sequence> place_to_keep(const Log& log) {
  const os::Lock lock(log.mutex);
  std::optional<Sequence> place = log.scrubbed;
  for (const Damage& damage : log.damages)
    if (place && damage.first <= *place) place = damage.first.previous();
  return place;
}

void keep_place(Log& log) {
  if (const auto place = place_to_keep(log))
    (void)save_scrub_place(log.world.files(), log.folder, *place);  // a hint
}

// At the newest place before `from` that the index knows.
Result<void> stand_at(Log& log, SegmentReader& reader, const SegmentPtr& segment, Sequence from) {
  const SegmentHeader& header = segment->header;
  IndexEntry entry{header.first, header.bytes()};
  if (from > header.first) {
    FARSHORE_TRY_ASSIGN(entry, log.index_entry(segment, from));
  }
  reader.seek(entry.offset, entry.sequence,
              entry.sequence == header.first ? std::optional(header.hash_before) : std::nullopt);
  return {};
}

class ScrubRound {
 public:
  // Goes on behind `through` when that lies in the log.
  ScrubRound(Log& log, std::optional<Sequence> through)
      : log_(log), started_(log.world.now()), kept_at_(started_) {
    const os::Lock lock(log_.mutex);
    total_ = std::max<std::uint64_t>(log_.total_bytes, 1);
    log_.scrubbed.reset();
    next_ = log_.first();
    if (!through || *through < next_ || *through >= log_.durable.place.sequence) return;
    log_.scrubbed = through;
    next_ = through->next();
    for (const SegmentPtr& segment : log_.segments)
      if (segment->last < next_) read_ += segment->planned_end;
    started_ -= due_after(read_);
  }

  void run() {
    const auto pace = [this](std::uint64_t bytes) { return wait_for_turn(bytes); };
    for (;;) {
      const Sequence from = next_;
      const SegmentPtr segment = next_segment();
      if (segment == nullptr) break;
      const auto done = scrub_segment(log_, segment, from, pace);
      if (!done && done.error().kind != ErrorKind::closed)
        log_.emit(Severity::warning, "journal.upkeep_failed",
                  fmt::format("journal {}: the scrub passed over {}: {}", log_.folder,
                              segment->path, done.error().what));
      if (!done && !wait_for_turn(kStepBytes)) return;
    }
    (void)wait_until(started_ + std::max(log_.options.scrub_interval, kRoundMin));
  }

 private:
  SegmentPtr next_segment() {
    const os::Lock lock(log_.mutex);
    if (log_.phase != Phase::open || next_ > log_.durable.place.sequence) return nullptr;
    SegmentPtr segment = log_.segment_of(std::max(next_, log_.first()));
    if (segment != nullptr) next_ = std::min(segment->last, log_.durable.place.sequence).next();
    return segment;
  }

  Duration due_after(std::uint64_t bytes) const {
    const double share = std::min(1.0, static_cast<double>(bytes) / static_cast<double>(total_));
    return std::chrono::duration_cast<Duration>(log_.options.scrub_interval * kShareOfInterval *
                                                share);
  }

  bool wait_for_turn(std::uint64_t bytes) {
    read_ += bytes;
    if (const MonotonicTime now = log_.world.now(); now - kept_at_ >= kKeepEvery) {
      keep_place(log_);
      kept_at_ = now;
    }
    return wait_until(started_ + due_after(read_));
  }

  bool wait_until(MonotonicTime time) {
    os::Lock lock(log_.mutex);
    return !log_.scrub_wakeup.wait(lock, Deadline::at(time),
                                   [&] { return log_.phase != Phase::open; });
  }

  Log& log_;
  MonotonicTime started_;
  MonotonicTime kept_at_;
  std::uint64_t total_ = 1, read_ = 0;
  Sequence next_;
};

void run_scrub(Log& log) {
  std::optional<Sequence> through = load_scrub_place(log.world.files(), log.folder);
  for (;;) {
    {
      const os::Lock lock(log.mutex);
      if (log.phase != Phase::open) break;
    }
    ScrubRound(log, std::exchange(through, std::nullopt)).run();
  }
  keep_place(log);
}

}  // namespace

Result<void> scrub_segment(Log& log, const SegmentPtr& segment, Sequence from,
                           const std::function<bool(std::uint64_t)>& pace) {
  std::uint64_t limit = 0;
  std::size_t cuts = 0;
  Sequence last;
  {
    const os::Lock lock(log.mutex);
    limit = segment->durable_end;
    cuts = log.cuts.size();
    last = std::min(segment->last, log.durable.place.sequence);
  }
  auto opened = SegmentReader::open(log.world.files(), segment->path, segment->header.epoch);
  if (!opened) {
    if (!still_there(log, segment, cuts)) return {};
    const Error error = log.explain_open(segment, cuts, std::move(opened).error());
    if (error.kind == ErrorKind::corrupt) return {};  // it was reported
    return error;
  }
  SegmentReader reader = *std::move(opened);
  FARSHORE_TRY(check_header(log, reader, *segment));
  FARSHORE_TRY(stand_at(log, reader, segment, from));
  std::uint64_t step = 0;
  while (reader.expected() <= last) {
    const std::uint64_t before = reader.offset();
    const auto frame = reader.next(limit);
    if (!frame && frame.error().kind != ErrorKind::corrupt) return frame.error();
    if (!still_there(log, segment, cuts)) return {};
    if (frame && !*frame) {
      log.report({segment->path, segment->header.epoch, before, reader.expected(), last,
                  "the file ends early"});
      return {};
    }
    if (!frame) {
      FARSHORE_TRY_ASSIGN(const Damage damage, pass_damage(reader, limit, last));
      log.report(damage);
    }
    {
      const os::Lock lock(log.mutex);
      log.scrubbed = reader.expected().previous();
    }
    step += reader.offset() - before;
    if (step >= kStepBytes && !pace(std::exchange(step, 0))) return {};
  }
  (void)pace(step);
  return {};
}

Scrub::Scrub(LogPtr log)
    : thread_("journal-scrub",
              [log = std::move(log)](std::stop_token) { log->guard([&] { run_scrub(*log); }); }) {}

}  // namespace farshore::journal
