#include "pipeline/log_counts.h"

#include <algorithm>

#include "base/checksum.h"

namespace farshore::pipeline {
namespace {

constexpr ByteView kMagic = "FSCOUNTS";
constexpr std::uint16_t kVersion = 1;
constexpr std::uint64_t kReadBytes = 1_MiB;
constexpr std::uint64_t kReadMax = 2_GiB;  // a start waits for no more
constexpr Duration kReadWait = 10s;

}  // namespace

void add(const Record& record, Amount& to) {
  to.changes += record.changes;
  to.bytes += record.payload.size();
  if (record.kind == RecordKind::data && record.flags.last) ++to.transactions;
}

Bytes encode_counts(const KeptCounts& counts) {
  Bytes out;
  ByteWriter(out)
      .raw(kMagic)
      .number(kVersion)
      .number(counts.through.epoch.value())
      .number(counts.through.sequence.value())
      .number(counts.amount.transactions)
      .number(counts.amount.changes)
      .number(counts.amount.bytes)
      .number(static_cast<std::uint8_t>(counts.whole));
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
  if (in.raw(kMagic.size()) != kMagic || in.number<std::uint16_t>() != kVersion) return bad;
  KeptCounts counts;
  counts.through.epoch = Epoch(in.number<std::uint64_t>());
  counts.through.sequence = Sequence(in.number<std::uint64_t>());
  counts.amount.transactions = in.number<std::uint64_t>();
  counts.amount.changes = in.number<std::uint64_t>();
  counts.amount.bytes = in.number<std::uint64_t>();
  counts.whole = in.number<std::uint8_t>() != 0;
  if (!in.finished()) return bad;
  return counts;
}

LogCounts::LogCounts(os::World& world, std::string path, journal::Journal& journal)
    : world_(world), path_(std::move(path)) {
  const journal::Status status = journal.status();
  if (const auto bytes = os::read_file(world_.files(), path_); bytes.ok())
    if (const auto kept = decode_counts(*bytes); kept.ok()) counted_ = *kept;
  kept_ = counted_.through;
  const Sequence from = std::max(counted_.through.sequence.next(), status.first.sequence);
  // A journal that was lost with its end will take again what was counted.
  if (counted_.through.sequence > status.durable.sequence ||
      from > counted_.through.sequence.next() || status.durable.epoch < counted_.through.epoch)
    counted_.whole = false;
  if (from <= status.durable.sequence) read(journal, from, status.durable.sequence);
  counted_.through = status.durable;
}

void LogCounts::read(journal::Journal& journal, Sequence from, Sequence through) {
  auto reader = journal.reader(from);
  std::uint64_t bytes = 0;
  while (reader.ok() && (*reader)->position() <= through && bytes < kReadMax) {
    const auto records = (*reader)->next(kReadBytes, world_.after(kReadWait));
    if (!records.ok() || records->empty()) break;
    for (const PlacedRecord& placed : *records) {
      if (placed.place.sequence > through) break;
      add(placed.record, counted_.amount);
      bytes += placed.record.payload.size();
    }
  }
  if (!reader.ok() || (*reader)->position() <= through) counted_.whole = false;
}

Amount LogCounts::plus(const Amount& since) const {
  return {counted_.amount.transactions + since.transactions,
          counted_.amount.changes + since.changes, counted_.amount.bytes + since.bytes};
}

Result<void> LogCounts::keep(Place written, const Amount& since, bool gap, Place durable) {
  if (!pending_ && written.sequence > kept_.sequence)
    pending_ = {.through = written, .amount = plus(since), .whole = counted_.whole && !gap};
  if (!pending_ || durable.sequence < pending_->through.sequence) return {};
  FARSHORE_TRY(os::replace_file(world_.files(), path_, encode_counts(*pending_)));
  kept_ = pending_->through;
  pending_.reset();
  return {};
}

}  // namespace farshore::pipeline
