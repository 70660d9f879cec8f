// Readiness: what /readyz answers. An agent is ready when every leg of its streams, as far as it
// knows them, does its work, or stands still because an operator said so. Pure.
#pragma once

#include <string>
#include <vector>

#include "api/views.h"

namespace farshore::daemon {

// Names the legs that have failed, are degraded or still start; empty: ready.
std::string not_ready_why(const std::vector<api::StreamView>& streams);

}  // namespace farshore::daemon
