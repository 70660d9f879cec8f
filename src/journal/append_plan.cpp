#include "journal/append_plan.h"

#include <algorithm>

#include "base/checksum.h"
#include "change/record_codec.h"

namespace farshore::journal {
namespace {

constexpr std::uint64_t kSegmentsInLimit = 4;  // retention needs several segments to work with

std::uint64_t segment_limit(const Options& options) {
  return std::min(options.segment_bytes, options.bytes_max / kSegmentsInLimit);
}

}  // namespace

AppendPlan::AppendPlan(Log& log, WallTime now) : log_(log), now_(now) {
  const os::Lock lock(log.mutex);
  durable_ = log.durable.place.sequence;
  end_ = log.written;
  preamble_ = log.preamble;
  first_buffer_ = log.take_buffer();
  if (log.segments.empty()) return;
  segment_ = log.segments.back();
  offset_ = segment_->planned_end;
}

void AppendPlan::open_segment(Epoch epoch) {
  SegmentHeader header;
  header.epoch = epoch;
  header.first = end_.place.sequence.next();
  header.hash_before = end_.hash;
  header.created = now_;
  header.preamble_before = preamble_.first;
  header.follows_preamble = preamble_.running;
  header.tail_before = end_.tail;
  segment_ =
      std::make_shared<Segment>(header, log_.folder + "/" + segment_name(header.first, epoch));
  segment_->indexed = true;
  segment_->newest = now_;
  offset_ = header.bytes();
  bytes_ += offset_;
  opened_.push_back(segment_);
}

Pending& AppendPlan::part_for(std::uint64_t frame_size, Epoch epoch) {
  const bool fits =
      segment_ != nullptr && segment_->header.epoch == epoch &&
      (offset_ == segment_->header.bytes() || offset_ + frame_size <= segment_limit(log_.options));
  if (!fits) open_segment(epoch);
  if (!parts_.empty()) parts_.back().end = end_;
  if (parts_.empty()) {
    parts_.push_back({segment_, offset_, std::move(first_buffer_), {}});
  } else if (parts_.back().segment != segment_ || parts_.back().bytes.size() >= kPartBytes) {
    const os::Lock lock(log_.mutex);
    parts_.push_back({segment_, offset_, log_.take_buffer(), {}});
  }
  return parts_.back();
}

std::uint64_t AppendPlan::add(const Record& record, Epoch epoch) {
  const std::uint64_t encoded_size =
      kEncodedRecordMin + record.position.bytes.size() + record.payload.size();
  const std::uint64_t size = frame_bytes(encoded_size);
  const Sequence sequence = end_.place.sequence.next();
  Bytes& out = part_for(size, epoch).bytes;
  const std::size_t at = begin_frame(out, encoded_size);
  encode_record(record, out);
  const ByteView encoded = ByteView(out).substr(at + kFrameHeaderBytes);
  FARSHORE_CHECK(encoded.size() == encoded_size, "a record of {} bytes took {}", encoded_size,
                 encoded.size());
  end_.place = Place{epoch, sequence};
  end_.hash = chain_hash(end_.hash, encoded);
  note_tail(encoded, end_.tail);
  FrameHeader header;
  header.sequence = sequence;
  header.hash = end_.hash;
  header.appended = now_;
  header.unsynced =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(sequence - durable_, UINT32_MAX));
  finish_frame(header, out, at);
  spots_.push_back({segment_, sequence, offset_, preamble_.note(record.kind, sequence)});
  if (const auto note = Unended::note_of(record, sequence)) unended_.push_back(*note);
  offset_ += size;
  bytes_ += size;
  return end_.hash;
}

void AppendPlan::commit() {
  for (const SegmentPtr& segment : opened_) log_.segments.push_back(segment);
  for (const Spot& spot : spots_) {
    spot.segment->index.add(spot.sequence, spot.offset);
    if (spot.begins_preamble) spot.segment->index.add_preamble(spot.sequence);
  }
  for (const Unended::Note& note : unended_) log_.unended.take(note);
  parts_.back().end = end_;
  if (log_.pending.empty()) log_.pending_since = log_.world.now();
  for (Pending& part : parts_) {
    Segment& segment = *part.segment;
    segment.planned_end = part.offset + part.bytes.size();
    segment.last = part.end.place.sequence;
    segment.newest = now_;
    log_.pending_bytes += part.bytes.size();
    Pending* back = log_.pending.empty() ? nullptr : &log_.pending.back();
    if (back != nullptr && back->segment == part.segment &&
        back->bytes.size() + part.bytes.size() <= kPartBytes) {
      back->bytes += part.bytes;
      back->end = part.end;
      log_.give_back(std::move(part.bytes));
    } else {
      log_.pending.push_back(std::move(part));
    }
  }
  log_.total_bytes += bytes_;
  log_.appended_bytes += bytes_;
  log_.written = end_;
  log_.preamble = preamble_;
  log_.wanted_bytes = 0;
}

}  // namespace farshore::journal
