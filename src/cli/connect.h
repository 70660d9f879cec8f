// From a command line to the agent that it means.
#pragma once

#include <memory>

#include "cli/api_client.h"
#include "cli/invocation.h"

namespace farshore::cli {

// Which agent a command asks, as far as the command itself says it.
struct MeantAgent {
  std::string site;    // the agent of its region, unless --region says another
  std::string region;  // this one, whatever --region says
};

// --api, FARSHORE_API, the configuration, http://127.0.0.1:7433: the first that is given. invalid:
// configuration, or the agent that answers there is that of another region than the one meant.
Result<std::unique_ptr<ApiClient>> connect(const Invocation& call, const MeantAgent& meant = {});
// Whether --api or FARSHORE_API says where the agent is.
bool api_is_given(const Invocation& call);
// The options of this call that say which agent is meant, for a command that a text names.
std::string same_agent(const Invocation& call);

// Says on stderr why a question was not answered; answers the exit code.
int refuse(const Invocation& call, const Reply& reply);

void print_json(const Invocation& call, const Json& json);  // indented

}  // namespace farshore::cli
