#include "daemon/readiness.h"

#include <gtest/gtest.h>

namespace farshore::daemon {
namespace {

api::StreamView stream(const std::string& name, api::State capture, api::State target) {
  return {.name = name,
          .capture = api::CaptureView{.leg = {.state = capture}},
          .targets = {{.site = name + "-eu", .leg = {.state = target}}}};
}

TEST(Readiness, IsThatOfAnAgentWhoseLegsWorkOrRestByAnOperatorsWord) {
  using enum api::State;
  EXPECT_EQ(not_ready_why({}), "");
  for (const api::State state : {streaming, copying, paused, config_differs, draining, stopped})
    EXPECT_EQ(not_ready_why({stream("app", streaming, state)}), "") << name_of(state);
}

TEST(Readiness, EndsWithALegThatDoesNotWorkAndNamesIt) {
  using enum api::State;
  EXPECT_EQ(not_ready_why({stream("app", degraded, streaming)}), "stream app: capture is degraded");
  EXPECT_EQ(not_ready_why({stream("app", starting, starting), stream("pay", streaming, failed)}),
            "stream app: capture is starting, target app-eu is starting; "
            "stream pay: target pay-eu has failed");
}

TEST(Readiness, DoesNotDependOnACaptureThatWasNotHeard) {
  EXPECT_EQ(not_ready_why({{.name = "app", .state = api::State::stopped}}), "");
}

}  // namespace
}  // namespace farshore::daemon
