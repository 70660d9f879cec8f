// The secrets that the file only points to. Never part of a Config, never in a message.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/config.h"

namespace farshore::config {

// What an agent of this region would fail on: a password or the API's token that is missing or
// empty, or lies in a file that others can reach. One finding each, at its place in the file; never
// the secret. Other regions' secrets are not looked at: they are not here.
std::vector<Finding> check_secrets(const Config& config, std::string_view region);

}  // namespace farshore::config
