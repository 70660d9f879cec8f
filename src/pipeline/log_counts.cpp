#include "pipeline/log_counts.h"

#include <algorithm>
#include <functional>
#include <map>

#include "base/checksum.h"

namespace farshore::pipeline {
namespace {

constexpr ByteView kCountsMagic = "FSCOUNTS";
constexpr std::uint16_t kCountsVersion = 2;
constexpr std::uint64_t kReadBytes = 1_MiB;
constexpr std::uint64_t kReadMax = 2_GiB;  // a start waits for no more
constexpr Duration kReadWait = 10s;

Place read_place(ByteReader& in) {
  const Epoch epoch(in.number<std::uint64_t>());
  return {epoch, Sequence(in.number<std::uint64_t>())};
}

// Version 1 said only whether all was counted since the stream's first record.
bool read_from_v1(ByteReader& in, KeptCounts& counts) {
  counts.from = {Epoch(1), Sequence(1)};
  return in.number<std::uint8_t>() != 0;
}

// From `first` on, nothing yet.
KeptCounts begun_at(Place first) {
  return {.from = first, .through = {first.epoch, first.sequence.previous()}, .amount = {}};
}

using Count = std::function<void(const Record&, Amount&)>;

// The changes of a transaction count where it ends, as a sink counts them.
class Ended {
 public:
  void operator()(const Record& record, Amount& to) {
    const std::pair key{record.session, record.xid};
    if (record.kind == RecordKind::data) open_[key] += record.changes;
    if (!ends_transaction(record)) return;
    const auto found = open_.find(key);
    if (record.kind == RecordKind::data) {
      ++to.transactions;
      to.changes += found->second;
    }
    if (found != open_.end()) open_.erase(found);
  }

 private:
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::uint64_t> open_;  // by session and xid
};

// Records after `after` up to `through`; none: not all of them are there.
std::optional<Amount> read(os::World& world, journal::Journal& journal, Sequence after,
                           Sequence through, const Count& count) {
  Amount amount;
  if (after >= through) return amount;
  auto reader = journal.reader(after.next());
  std::uint64_t bytes = 0;
  while (reader.ok() && (*reader)->position() <= through && bytes < kReadMax) {
    const auto records = (*reader)->next(kReadBytes, world.after(kReadWait));
    if (!records.ok() || records->empty()) break;
    for (const PlacedRecord& placed : *records) {
      if (placed.place.sequence > through) break;
      count(placed.record, amount);
      bytes += placed.record.payload.size();
    }
  }
  if (!reader.ok() || (*reader)->position() <= through) return std::nullopt;
  return amount;
}

Amount sum(const Amount& a, const Amount& b) {
  return {a.transactions + b.transactions, a.changes + b.changes, a.bytes + b.bytes};
}

// Adds what the journal holds after counts.through, up to and with `through`. Waits for the disk.
void count_on(os::World& world, journal::Journal& journal, Place through, const Count& count,
              KeptCounts& counts) {
  const Place first = journal.status().first;
  const bool hole = first.sequence > counts.through.sequence.next();
  if (hole || counts.from.epoch == Epoch(0)) counts = begun_at(first);
  if (through.sequence <= counts.through.sequence) return;
  if (const auto more = read(world, journal, counts.through.sequence, through.sequence, count)) {
    counts.amount = sum(counts.amount, *more);
    counts.through = through;
  } else {
    counts = begun_at({through.epoch, through.sequence.next()});
  }
}

}  // namespace

void add(const Record& record, Amount& to) {
  to.changes += record.changes;
  to.bytes += record.payload.size();
  if (record.kind == RecordKind::data && record.flags.last) ++to.transactions;
}

Bytes encode_counts(const KeptCounts& counts) {
  Bytes out;
  ByteWriter(out)
      .raw(kCountsMagic)
      .number(kCountsVersion)
      .number(counts.through.epoch.value())
      .number(counts.through.sequence.value())
      .number(counts.amount.transactions)
      .number(counts.amount.changes)
      .number(counts.amount.bytes)
      .number(counts.from.epoch.value())
      .number(counts.from.sequence.value());
  ByteWriter(out).number(crc32c(out));
  return out;
}

Result<KeptCounts> decode_counts(ByteView bytes) {
  const Error bad = permanent(ErrorKind::corrupt, "counts of {} bytes do not parse", bytes.size());
  if (bytes.size() < 4) return bad;
  ByteReader checksum(bytes.substr(bytes.size() - 4));
  bytes.remove_suffix(4);
  if (checksum.number<std::uint32_t>() != crc32c(bytes)) return bad;
  ByteReader in(bytes);
  if (in.raw(kCountsMagic.size()) != kCountsMagic) return bad;
  const auto version = in.number<std::uint16_t>();
  if (version == 0 || version > kCountsVersion) return bad;
  KeptCounts counts;
  counts.through = read_place(in);
  counts.amount.transactions = in.number<std::uint64_t>();
  counts.amount.changes = in.number<std::uint64_t>();
  counts.amount.bytes = in.number<std::uint64_t>();
  if (version > 1)
    counts.from = read_place(in);
  else if (!read_from_v1(in, counts))
    return bad;
  if (!in.finished()) return bad;
  return counts;
}

KeptCounts CountsFile::load() {
  KeptCounts counts;
  if (const auto bytes = os::read_file(world_.files(), path_); bytes.ok())
    if (const auto kept = decode_counts(*bytes); kept.ok()) counts = *kept;
  kept_ = counts.through.sequence;
  return counts;
}

Result<void> CountsFile::keep(const KeptCounts& now, Sequence durable) {
  const bool begun_anew = now.through.sequence < kept_;
  if (!pending_ && (begun_anew || now.through.sequence > kept_)) pending_ = now;
  if (!pending_ || durable < pending_->through.sequence) return {};
  FARSHORE_TRY(os::replace_file(world_.files(), path_, encode_counts(*pending_)));
  kept_ = pending_->through.sequence;
  pending_.reset();
  return {};
}

LogCounts::LogCounts(os::World& world, std::string path, journal::Journal& journal)
    : file_(world, std::move(path)), counted_(file_.load()) {
  const Place durable = journal.status().durable;
  // A journal that was lost with its end will take again what was counted.
  if (counted_.through.sequence > durable.sequence || durable.epoch < counted_.through.epoch)
    counted_ = {};
  count_on(world, journal, durable, add, counted_);
}

KeptCounts LogCounts::plus(Place written, const Amount& since) const {
  return {.from = counted_.from,
          .through = std::max(counted_.through, written),
          .amount = sum(counted_.amount, since)};
}

AppliedCounts::AppliedCounts(os::World& world, std::string path, journal::Journal& journal,
                             Epoch epoch)
    : world_(world),
      journal_(journal),
      epoch_(epoch),
      file_(world, std::move(path)),
      counted_(file_.load()) {}

void AppliedCounts::catch_up(Sequence through) {
  KeptCounts counts = now();
  count_on(world_, journal_, {epoch_, through}, Ended(), counts);
  os::Lock lock(mutex_);
  counted_ = counts;
}

// An apply that failed may have committed some before it failed.
void AppliedCounts::held(Sequence through) {
  position_ = through;
  catch_up(through);
  os::Lock lock(mutex_);
  durable_ = std::max(durable_, through);
}

void AppliedCounts::applied(const Applied& applied) {
  const Sequence before = std::exchange(position_, applied.through);
  const KeptCounts counts = now();
  const bool again = counts.through.sequence > before || counts.from.epoch == Epoch(0);
  if (again) catch_up(applied.through);
  os::Lock lock(mutex_);
  durable_ = applied.durable;
  if (again) return;
  counted_.amount.transactions += applied.transactions;
  counted_.amount.changes += applied.changes;
  counted_.through = {epoch_, applied.through};
}

void AppliedCounts::skipped(Sequence sequence) {
  catch_up(sequence.previous());
  os::Lock lock(mutex_);
  counted_.through = std::max(counted_.through, Place{epoch_, sequence});
}

KeptCounts AppliedCounts::now() const {
  os::Lock lock(mutex_);
  return counted_;
}

Result<void> AppliedCounts::keep() {
  KeptCounts counts;
  Sequence durable;
  {
    os::Lock lock(mutex_);
    counts = counted_;
    durable = durable_;
  }
  return file_.keep(counts, durable);
}

}  // namespace farshore::pipeline
