// The secrets that the file only points to. Never part of a Config, never in a message.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/config.h"

namespace farshore::config {

// The first line of password_file, or the variable's value; empty when the site names neither:
// libpq then looks in
// ~/.pgpass and the like. Errors name the file or variable: not_found, denied (its mode or owner),
// invalid (empty).
Result<std::string> password_of(const SiteConfig& site);

// The same for the API's token; empty when the region names no file.
Result<std::string> api_token_of(const RegionConfig& region);

// What of it would fail in this region, one finding each. Other regions' secrets are not looked at:
// they are not here.
std::vector<Finding> check_secrets(const Config& config, std::string_view region);

}  // namespace farshore::config
