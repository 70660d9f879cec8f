// `farshore check`, `grants` and where an agent's API is: answered from the configuration, with or
// without a running agent.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "api/agent.h"
#include "cli/hooks.h"
#include "config/config.h"
#include "daemon/remote_site.h"
#include "link/link.h"
#include "os/world.h"

namespace farshore::daemon {

// Findings of one stream, or of all when empty, at the sites of `region` (all regions when empty).
// Tables are compared with those of sites elsewhere too: through `elsewhere`, else, or when that
// fails, with a connection from here; a note says where neither works. `stop` ends all waits.
Result<std::vector<api::FindingView>> check(os::World& world, const config::Config& config,
                                            const std::string& region, const std::string& stream,
                                            const AskElsewhere& elsewhere = {},
                                            std::stop_token stop = {});
// What the machine of the region's agent should be set to for a link of this round trip, without
// queues; no findings when its kernel's buffers are large enough.
std::vector<api::FindingView> check_kernel(const std::string& region, Duration rtt_min);
// Whether the clocks of two regions' agents, by their link, are more than a second apart.
std::vector<api::FindingView> check_clocks(const std::string& region, const link::PeerFacts& facts,
                                           const std::string& peer);

Result<std::string> grants(os::World& world, const config::Config& config, const std::string& site,
                           api::GrantRole role, std::stop_token stop = {});

Result<std::string> check_text(const cli::CheckArguments& arguments);
Result<std::string> grants_text(const cli::GrantsArguments& arguments);
// The regions whose agents have their data on this machine, of those with the same API address one.
Result<std::vector<std::string>> regions_here(const std::string& config_file);
Result<cli::ApiEndpoint> api_endpoint(const cli::EndpointArguments& arguments);

}  // namespace farshore::daemon
