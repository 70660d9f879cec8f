// The JSON of /v1. Field names and meanings are stable: fields may be added, never renamed or
// removed (docs/openapi.yaml). Unknown is null. Durations are seconds, times RFC 3339 in UTC, sizes
// bytes.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "api/views.h"
#include "base/result.h"

namespace farshore::api {

nlohmann::ordered_json to_json(const AgentView& agent);  // GET /v1/status
nlohmann::ordered_json to_json(const StreamView& stream);
nlohmann::ordered_json to_json(const std::vector<FindingView>& findings);  // GET /v1/check
nlohmann::ordered_json to_json(const Error& error);  // {"error":{"kind":…,"what":…}}

std::string json_text(
    const nlohmann::ordered_json& json);  // bytes that are not UTF-8 become U+FFFD

}  // namespace farshore::api
