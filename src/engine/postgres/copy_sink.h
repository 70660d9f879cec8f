// The receiving side of the initial copy on PostgreSQL. See sink/copy_sink.h for the contract.
//
// Rows and the mark of a table commit together, so a kill leaves a table copied or as it was. What
// exists on the target is compared and never altered: what differs is refused with the lines to
// paste. All that is written bears an origin of the stream, so that a stream in the other direction
// drops it.
#pragma once

#include <memory>

#include "change/event.h"
#include "engine/postgres/connection.h"
#include "engine/postgres/sink_options.h"
#include "os/world.h"
#include "sink/copy_sink.h"

namespace farshore::postgres {

// `world` outlives it. Each verb connects anew; begin() may be called from several threads at once.
std::unique_ptr<CopySink> make_copy_sink(os::World& world, ConnectOptions connect,
                                         SinkOptions options, EventSink events);

// `stream remove`: the stream's progress, table states and skipped transactions are forgotten; its
// tables stay.
Result<void> remove_target(os::World& world, const ConnectOptions& connect, const Uuid& stream);

}  // namespace farshore::postgres
