// The text of /metrics. Names and labels are stable: docs/operating/metrics.md lists them. A lag
// that is not known is NaN, so that its series stays; any other unknown value is absent. Nothing
// unknown is 0.
#pragma once

#include <string>

#include "api/views.h"

namespace farshore::api {

constexpr const char* kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

std::string metrics_of(const AgentView& agent);

}  // namespace farshore::api
