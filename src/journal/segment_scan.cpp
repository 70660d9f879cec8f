#include "journal/segment_scan.h"

#include <deque>

namespace farshore::journal {
namespace {

class Scanner {
 public:
  Scanner(SegmentReader& reader, const SegmentHeader& header, const ScanBounds& bounds,
          const EachFrame& each)
      : reader_(reader), bounds_(bounds), each_(each) {
    scan_.end = header.bytes();
    scan_.last = header.first.previous();
    scan_.hash = header.hash_before;
    scan_.newest = header.created;
    scan_.preamble = {header.preamble_before, header.follows_preamble};
    scan_.tail = header.tail_before;
    scan_.index.add(header.first, header.bytes());  // also when that frame is damaged
    reader_.seek(header.bytes(), header.first, header.hash_before);
  }

  Result<SegmentScan> run() {
    bool more = true;
    while (more && !complete()) {
      const auto frame = reader_.next(bounds_.limit);
      if (frame && !*frame) break;
      if (frame) {
        FARSHORE_TRY(take(**frame));
      } else if (frame.error().kind == ErrorKind::corrupt) {
        FARSHORE_TRY_ASSIGN(more, pass_bad_bytes());
      } else {
        return frame.error();
      }
    }
    if (bounds_.last && !complete())
      scan_.damages.push_back({reader_.path(), reader_.epoch(), reader_.offset(),
                               reader_.expected(), *bounds_.last,
                               "the file ends before its last record"});
    scan_.unproven_from = unproven_.empty() ? scan_.end : unproven_.front().offset;
    return std::move(scan_);
  }

 private:
  bool complete() const { return bounds_.last && reader_.expected() > *bounds_.last; }

  Result<void> take(const Frame& frame) {
    const Sequence sequence = frame.header.sequence;
    scan_.index.add(sequence, frame.offset);
    if (scan_.preamble.note(frame.kind(), sequence)) scan_.index.add_preamble(sequence);
    scan_.end = frame.offset + frame.size;
    scan_.last = sequence;
    scan_.hash = frame.header.hash;
    scan_.newest = frame.header.appended;
    note_tail(frame.encoded, scan_.tail);
    unproven_.push_back({sequence, frame.offset});
    prove(frame.header.durable_before());
    return each_ ? each_(frame) : Result<void>();
  }

  void prove(Sequence durable) {
    while (!unproven_.empty() && unproven_.front().sequence <= durable) unproven_.pop_front();
  }

  // True: damage, and good frames follow. False: this is where the segment ends.
  Result<bool> pass_bad_bytes() {
    const std::uint64_t offset = reader_.offset();
    FARSHORE_TRY_ASSIGN(const bool durable, was_durable());
    if (!durable && reader_.unreadable())  // nobody knows what it holds: nothing is cut for it
      return permanent(ErrorKind::io, "{}", reader_.why());
    if (!durable) {
      scan_.torn_bytes = bounds_.limit - offset;
      scan_.torn_why = reader_.why();
      return false;
    }
    FARSHORE_TRY_ASSIGN(Damage damage, pass_damage(reader_, bounds_.limit,
                                                   bounds_.last.value_or(reader_.expected())));
    scan_.damages.push_back(std::move(damage));
    return reader_.offset() < bounds_.limit;
  }

  // Unsynced writes reach the disk in any order, so whole frames behind a bad one prove nothing by
  // themselves; a frame that was made when the bad one was already synced does.
  Result<bool> was_durable() {
    scan_.frames_follow = false;
    if (bounds_.last) return true;
    const Sequence bad = reader_.expected();
    const bool known = bad <= bounds_.durable;
    std::uint64_t from = reader_.offset() + 8;
    for (Sequence least = bad;;) {
      FARSHORE_TRY_ASSIGN(const auto frame, reader_.find_valid(from, bounds_.limit, least));
      if (!frame) return false;
      scan_.frames_follow = true;
      if (known || frame->header.durable_before() >= bad) return true;
      from = frame->offset + frame->size;
      least = frame->header.sequence.next();
    }
  }

  SegmentReader& reader_;
  const ScanBounds& bounds_;
  const EachFrame& each_;
  SegmentScan scan_;
  std::deque<IndexEntry> unproven_;  // at most what one journal buffers
};

}  // namespace

std::string text_of(const Damage& damage) {
  const std::string upto = damage.last > damage.first
                               ? fmt::format(" to {}", Place{damage.epoch, damage.last})
                               : std::string();
  return fmt::format("journal file {} is damaged at offset {} (place {}{}): {}", damage.path,
                     damage.offset, Place{damage.epoch, damage.first}, upto, damage.why);
}

Result<SegmentScan> scan_segment(SegmentReader& reader, const SegmentHeader& header,
                                 const ScanBounds& bounds, const EachFrame& each) {
  return Scanner(reader, header, bounds, each).run();
}

Result<Damage> pass_damage(SegmentReader& reader, std::uint64_t limit, Sequence last) {
  Damage damage{reader.path(), reader.epoch(), reader.offset(),    reader.expected(),
                last,          reader.why(),   reader.unreadable()};
  FARSHORE_TRY_ASSIGN(const auto frame,
                      reader.find_valid(reader.offset() + 8, limit, reader.expected()));
  if (!frame) {
    reader.seek(limit, last.next(), std::nullopt);
    return damage;
  }
  // A good frame that bears the damaged frame's own sequence: bytes were inserted, nothing is
  // missing.
  damage.last = std::max(damage.first, frame->header.sequence.previous());
  reader.seek(frame->offset, frame->header.sequence, std::nullopt);
  return damage;
}

}  // namespace farshore::journal
