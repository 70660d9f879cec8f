// What `farshore status` shows: the agent, its links, a row for each stream and target, and below
// each row what is wrong with it and what to do.
#pragma once

#include <string>

#include "cli/api_client.h"
#include "cli/terminal.h"

namespace farshore::cli {

std::string status_text(const Json& status, const Terminal& terminal, bool wide);
// All that is known of one stream: `stream` as GET /v1/streams/{name} answers it.
std::string stream_text(const Json& stream, const Terminal& terminal);

}  // namespace farshore::cli
