#include "daemon/readiness.h"

#include <fmt/ranges.h>

namespace farshore::daemon {
namespace {

bool works(api::State state) {
  return state != api::State::starting && state != api::State::degraded &&
         state != api::State::failed;
}

std::vector<std::string> idle_legs(const api::StreamView& stream) {
  std::vector<std::string> legs;
  const auto look = [&](const std::string& leg, api::State state) {
    if (works(state)) return;
    const char* verb = state == api::State::failed ? "has" : "is";
    legs.push_back(fmt::format("{} {} {}", leg, verb, api::name_of(state)));
  };
  if (stream.capture) look("capture", stream.capture->leg.state);
  for (const api::LegView& target : stream.targets) look("target " + target.site, target.leg.state);
  return legs;
}

}  // namespace

std::string not_ready_why(const std::vector<api::StreamView>& streams) {
  std::vector<std::string> whys;
  for (const api::StreamView& stream : streams)
    if (const auto legs = idle_legs(stream); !legs.empty())
      whys.push_back(fmt::format("stream {}: {}", stream.name, fmt::join(legs, ", ")));
  return fmt::format("{}", fmt::join(whys, "; "));
}

}  // namespace farshore::daemon
