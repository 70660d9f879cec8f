// Options of the PostgreSQL sink and copy sink. Limits are bounds of memory and of how much a
// rollback may undo.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/units.h"
#include "change/stream_command.h"

namespace farshore::postgres {

struct SinkOptions {
  LegName leg{.stream = "STREAM", .target = {}, .region = {}};  // as commands in messages name it
  // Which tables: those that stream, or those that are set aside (sink/copy_sink.h).
  bool aside = false;
  // A table that no copy has made known waits for its copy. False: it has always been streaming.
  bool unknown_waits = false;
  // Where the row is saved that the target refuses; empty: nowhere.
  std::string rejected_folder;
  // Several source transactions become one target transaction while the cursor has them ready.
  std::uint64_t group_transactions_max = 4096;
  std::uint64_t group_changes_max = 10'000;
  std::uint64_t group_bytes_max =
      4_MiB;  // a larger transaction is a group of its own and is never held whole
  Duration group_time_max = 200ms;
  // Set-based writes: rows of one table and one kind that become one statement.
  bool set_based = true;
  std::uint64_t batch_rows_max = 500;
  std::uint64_t batch_bytes_max = 1_MiB;
  std::uint64_t copy_rows_min = 500;  // an INSERT run of at least so many rows goes on as COPY
  // Bytes sent to the server whose results were not read yet: libpq moves what it could not send on
  // each try.
  std::uint64_t in_flight_max = 1_MiB;
  std::size_t statements_max = 512;  // prepared statements kept per session
  Duration durable_every = 1s;       // how often the server is asked what survives its crash
  Duration holder_wait =
      30s;  // how long another holder of the progress may be an old backend that still ends
  Duration connect_wait = 15s;
  Duration control_wait = 60s;  // statements of our own: catalog reads, marks
};

}  // namespace farshore::postgres
