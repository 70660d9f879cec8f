// The heartbeat writer of one source database: commits a logical message of its own, which comes
// back through every stream of that database as a `heartbeat` record. It connects at the first beat
// and again after an error.
#pragma once

#include <memory>

#include "engine/postgres/connection.h"
#include "os/world.h"
#include "source/source.h"

namespace farshore::postgres {

// One thread. `options.application_name` is set here.
std::unique_ptr<HeartbeatWriter> make_heartbeat_writer(os::World& world, ConnectOptions options);

}  // namespace farshore::postgres
