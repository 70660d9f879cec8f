// The PostgreSQL source: pgoutput through a slot and a publication of the stream's own. Values go
// into records as the server wrote them, in text form (docs/adr/0004-pgoutput-as-is.md).
//
// A source owns one thread beside its capture loop's: it answers the server while the capture loop
// is held up, asks for progress, and keeps the publication's list of tables current. Events:
// those of publication.h, source.slot_created, source.slot_dropped, source.released_early,
// source.released_in_time, source.log_pinned, source.upkeep_failed.
#pragma once

#include <memory>

#include "engine/postgres/source_options.h"
#include "os/world.h"
#include "source/source.h"

namespace farshore::postgres {

// A stream that is nil is not known yet (the near disk was lost): only bound_log may be called, for
// the stream that bears the name of the options.
std::unique_ptr<Source> make_source(os::World& world, SourceOptions options);

// `source.wal_max` was reached, or the stream is to be copied anew: the server keeps nothing more
// for us. The next start then makes a new slot only when it is given no position.
Result<void> drop_slot(os::World& world, const SourceOptions& options);

// `stream remove`: slot and publication. Safe to call again.
Result<void> remove_source(os::World& world, const SourceOptions& options);

}  // namespace farshore::postgres
