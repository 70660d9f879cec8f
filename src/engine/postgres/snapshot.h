// The initial copy's reader: tables of the stream's publication, each in a snapshot of its own.
// Table definitions are JSON (catalog.h); a mark is JSON {"version", "snapshot",
// "lsn"}: pg_current_snapshot()'s text, and the end of the log after it was taken.
//
// Chunks: the table's first byte is 'b' or 't', then come the bytes of binary or text COPY, in any
// pieces (a link may cut a chunk). Binary only when all columns mean the same on every server
// (ColumnDefinition::binary_copy).
//
// A copy holds a lock that stops ALTER TABLE and TRUNCATE of the application: when a session waits
// for it, the copy gives way within half a second (`conflict`, may be tried again).
#pragma once

#include <memory>

#include "engine/postgres/source_options.h"
#include "os/world.h"
#include "source/snapshot.h"

namespace farshore::postgres {

// tables: not_found (retry) before the source was first started. Any thread.
std::unique_ptr<SnapshotSource> make_snapshot_source(os::World& world, SourceOptions options);

}  // namespace farshore::postgres
