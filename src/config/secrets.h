// The secrets that the file only points to. Never part of a Config, never in a message.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "os/secret_file.h"

namespace farshore::config {

// Why a site's password, or a region's token of the API, is not to be had here: it is missing or
// empty, or lies in a file that others can reach. Nothing where it is read, or the configuration
// names none.
std::optional<os::SecretFault> password_fault(const SiteConfig& site);
std::optional<os::SecretFault> api_token_fault(const RegionConfig& region);
const char* password_key(const SiteConfig& site);  // "password_file", "password_env"

// What an agent of this region would fail on: one finding for each of those, at its place in the
// file. Other regions' secrets are not looked at: they are not here.
std::vector<Finding> check_secrets(const Config& config, std::string_view region);

}  // namespace farshore::config
