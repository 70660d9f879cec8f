// Epochs: what changes a journal's history or where it begins: begin_epoch, promise, start_at,
// clear. Each takes Log::appending and Log::admin (promise: one after the other) and waits until
// nothing is pending.
#pragma once

#include "journal/log.h"

namespace farshore::journal {

Result<void> begin_epoch(Log& log, const EpochEntry& entry);
Result<void> promise(Log& log, Epoch epoch);
Result<void> start_at(Log& log, Place next, std::uint64_t hash_before,
                      const std::vector<EpochEntry>& entries, const Tail& tail_before);

// Caller holds Log::appending: an append before any begin_epoch starts epoch 1.
Result<void> begin_first_epoch(Log& log);

Result<void> clear(Log& log);

}  // namespace farshore::journal
