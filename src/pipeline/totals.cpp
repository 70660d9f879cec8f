#include "pipeline/totals.h"

#include <algorithm>

#include "pipeline/keepalive_list.h"

namespace farshore::pipeline {
namespace {

constexpr KeepaliveList kTotalsList{.version = 1, .name = "totals"};

}  // namespace

Bytes encode_totals(const std::vector<StreamTotals>& totals) {
  return encode_list(kTotalsList, totals, [](ByteWriter& out, const StreamTotals& t) {
    out.raw({reinterpret_cast<const char*>(t.stream.bytes.data()), 16})
        .string16(t.name)
        .number(t.captured.epoch.value())
        .number(t.captured.sequence.value())
        .string16(t.source_position)
        .number(static_cast<std::int64_t>(t.commit_time.time_since_epoch().count()))
        .number(t.transactions)
        .number(t.changes)
        .number(t.bytes)
        .number(t.open_transactions);
  });
}

Result<std::vector<StreamTotals>> decode_totals(ByteView bytes) {
  return decode_list<StreamTotals>(kTotalsList, bytes, [](ByteReader& in, StreamTotals& t) {
    const ByteView uuid = in.raw(16);
    std::copy(uuid.begin(), uuid.end(), reinterpret_cast<char*>(t.stream.bytes.data()));
    t.name = in.string16();
    t.captured.epoch = Epoch(in.number<std::uint64_t>());
    t.captured.sequence = Sequence(in.number<std::uint64_t>());
    t.source_position = in.string16();
    t.commit_time = WallTime(Duration(in.number<std::int64_t>()));
    t.transactions = in.number<std::uint64_t>();
    t.changes = in.number<std::uint64_t>();
    t.bytes = in.number<std::uint64_t>();
    t.open_transactions = in.number<std::uint64_t>();
    return true;
  });
}

TotalsKeeper::TotalsKeeper(os::World& world, std::string path, EventSink events)
    : world_(world), path_(std::move(path)), events_(std::move(events)), stopper_(world) {
  if (auto kept = read_file(world_.files(), path_); kept.ok()) {
    received(*kept);
    written_ = newest_;
  }
}

// A peer that has just been started does not name all of its streams yet: what it said of the
// others stays.
void TotalsKeeper::received(ByteView payload) {
  auto totals = decode_totals(payload);
  if (!totals.ok()) return;  // an older or newer peer: nothing is better than something wrong
  os::Lock lock(mutex_);
  for (StreamTotals& t : *totals) by_name_[t.name] = std::move(t);
  std::vector<StreamTotals> all;
  all.reserve(by_name_.size());
  for (const auto& [name, t] : by_name_) all.push_back(t);
  newest_ = encode_totals(all);
}

void TotalsKeeper::run(std::stop_token stop) {
  bool failing = false;
  while (stopper_.wait(stop, 1s)) {
    Bytes newest;
    {
      os::Lock lock(mutex_);
      if (newest_ == written_) continue;
      newest = newest_;
    }
    auto replaced = replace_file(world_.files(), path_, newest);
    if (!replaced.ok() && !failing && events_)
      events_({.severity = Severity::warning,
               .name = "totals.unwritten",
               .message = replaced.error().what});
    failing = !replaced.ok();
    os::Lock lock(mutex_);
    if (!failing) written_ = std::move(newest);
  }
}

std::optional<StreamTotals> TotalsKeeper::of(const std::string& stream) const {
  os::Lock lock(mutex_);
  const auto found = by_name_.find(stream);
  return found == by_name_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace farshore::pipeline
