#include "journal/scrub.h"

#include <algorithm>

namespace farshore::journal {
namespace {

constexpr std::uint64_t kStepBytes = 1_MiB;
constexpr double kShareOfInterval = 0.9;  // ends a round in time although reading takes time too
constexpr Duration kRoundMin = 1s;

Result<void> check_header(Log& log, SegmentReader& reader, const Segment& segment) {
  FARSHORE_TRY_ASSIGN(const Bytes head, reader.head());
  if (!head.starts_with(encode_segment_header(segment.header)))
    log.report({segment.path, segment.header.epoch, 0, segment.header.first, segment.header.first,
                "the segment's header changed"});
  return {};
}

// False: the log was trimmed, cut or closed under us, so what looks like damage is none.
bool still_there(Log& log, const SegmentPtr& segment, std::size_t cuts) {
  const os::Lock lock(log.mutex);
  return log.phase == Phase::open && log.cuts.size() == cuts &&
         segment->header.first >= log.first();
}

class ScrubRound {
 public:
  explicit ScrubRound(Log& log) : log_(log), started_(log.world.now()) {
    const os::Lock lock(log_.mutex);
    total_ = std::max<std::uint64_t>(log_.total_bytes, 1);
    log_.scrubbed.reset();
    next_ = log_.first();
  }

  void run() {
    const auto pace = [this](std::uint64_t bytes) { return wait_for_turn(bytes); };
    for (SegmentPtr segment = next_segment(); segment != nullptr; segment = next_segment())
      if (!scrub_segment(log_, segment, pace) && !wait_for_turn(kStepBytes)) return;
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

  bool wait_for_turn(std::uint64_t bytes) {
    read_ += bytes;
    const double share = std::min(1.0, static_cast<double>(read_) / static_cast<double>(total_));
    const auto due = std::chrono::duration_cast<Duration>(log_.options.scrub_interval *
                                                          kShareOfInterval * share);
    return wait_until(started_ + due);
  }

  bool wait_until(MonotonicTime time) {
    os::Lock lock(log_.mutex);
    return !log_.scrub_wakeup.wait(lock, Deadline::at(time),
                                   [&] { return log_.phase != Phase::open; });
  }

  Log& log_;
  const MonotonicTime started_;
  std::uint64_t total_ = 1, read_ = 0;
  Sequence next_;
};

void run_scrub(Log& log) {
  for (;;) {
    {
      const os::Lock lock(log.mutex);
      if (log.phase != Phase::open) return;
    }
    ScrubRound(log).run();
  }
}

}  // namespace

Result<void> scrub_segment(Log& log, const SegmentPtr& segment,
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
  FARSHORE_TRY_ASSIGN(auto reader,
                      SegmentReader::open(log.world.files(), segment->path, segment->header.epoch));
  FARSHORE_TRY(check_header(log, reader, *segment));
  reader.seek(segment->header.bytes(), segment->header.first, segment->header.hash_before);
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
