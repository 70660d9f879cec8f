// Totals: what the near side of each stream has captured, carried by the link's
// keepalives and kept durable at the far side, so that after the loss of a region somebody can say
// what was lost. Format: docs/formats/totals.md.
#pragma once

#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/uuid.h"
#include "change/event.h"
#include "change/place.h"
#include "os/mutex.h"
#include "os/world.h"
#include "pipeline/stopper.h"

namespace farshore::pipeline {

struct StreamTotals {
  Uuid stream;
  std::string name;
  Place captured;                                          // newest record of the near journal
  std::string source_position;                             // the engine's text form
  WallTime commit_time{};                                  // newest captured commit
  std::uint64_t transactions = 0, changes = 0, bytes = 0;  // as the near journal's counts say
  std::uint64_t open_transactions = 0;
};

Bytes encode_totals(const std::vector<StreamTotals>& totals);
Result<std::vector<StreamTotals>> decode_totals(ByteView bytes);

// Keeps the newest totals of one peer region: in memory at once, on disk once a second when they
// changed.
class TotalsKeeper {
 public:
  TotalsKeeper(os::World& world, std::string path, EventSink events);

  void run(std::stop_token stop);
  void received(ByteView payload);  // any thread; never blocks on the disk
  // Of the stream, as last heard: also from before a restart.
  std::optional<StreamTotals> of(const std::string& stream) const;

 private:
  os::World& world_;
  const std::string path_;
  const EventSink events_;
  Stopper stopper_;
  mutable os::Mutex mutex_;
  Bytes newest_, written_;
  std::map<std::string, StreamTotals> by_name_;
};

}  // namespace farshore::pipeline
