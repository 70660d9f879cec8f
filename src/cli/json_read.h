// Reading an agent's answer without trusting it: a field that is missing, null or of another type
// is unknown, and text holds no control characters that a terminal would obey.
#pragma once

#include <optional>
#include <string>

#include "base/units.h"
#include "cli/api_client.h"

namespace farshore::cli {

const Json& at(const Json& json,
               const std::string& path);  // "lag/durability/age_seconds"; null when missing
std::string text_at(const Json& json,
                    const std::string& path);  // empty when unknown; line ends stay
std::optional<double> number_at(const Json& json, const std::string& path);
std::optional<Duration> seconds_at(const Json& json, const std::string& path);
std::optional<WallTime> time_at(const Json& json, const std::string& path);
bool true_at(const Json& json, const std::string& path);

std::string plain(const std::string& text);  // control characters but the line end become '?'

}  // namespace farshore::cli
