// From a command line to the agent that it means.
#pragma once

#include <memory>

#include "cli/api_client.h"
#include "cli/invocation.h"

namespace farshore::cli {

// --api, FARSHORE_API, the configuration, http://127.0.0.1:7433: the first that is given. invalid:
// configuration.
Result<std::unique_ptr<ApiClient>> connect(const Invocation& call);

// Says on stderr why a question was not answered; answers the exit code.
int refuse(const Invocation& call, const Reply& reply);

void print_json(const Invocation& call, const Json& json);  // indented

}  // namespace farshore::cli
