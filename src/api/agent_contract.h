// What every Agent must do: run against the fake (fake_agent.h) in routes_test.cpp and against the
// daemon's in daemon/agent_test.cpp. Both have a stream 'orders' whose target 'orders-eu' ends
// here, and nothing that is named 'nosuch'.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/agent.h"

namespace farshore::api {

struct AgentUnderTest : Port {
  virtual Agent& agent() = 0;
  virtual Deadline soon(Duration d) = 0;
};

struct AgentSetup {
  std::string name;
  std::function<std::unique_ptr<AgentUnderTest>()> make;
};

inline std::string agent_setup_name(const testing::TestParamInfo<AgentSetup>& info) {
  return info.param.name;
}

class AgentContract : public testing::TestWithParam<AgentSetup> {
 protected:
  Agent& agent() { return holder_->agent(); }
  Result<Outcome> act(Verb verb, const std::string& stream, const std::string& to = "") {
    return agent().act({.verb = verb, .stream = stream, .to = to, .by = "alice@desk"});
  }
  // The id of the first event of that name after `after`; 0: none came.
  std::uint64_t event_after(std::uint64_t after, const std::string& name) {
    const Deadline deadline = holder_->soon(20s);
    while (true) {
      const auto found = agent().events({.after = after, .stream = "orders"}, deadline);
      if (!found.ok() || found->empty()) return 0;
      for (const events::StoredEvent& stored : *found) {
        EXPECT_GT(stored.id, after);
        after = stored.id;
        if (stored.event.name != name) continue;
        EXPECT_THAT(stored.event.message, testing::HasSubstr("by alice@desk"));
        return stored.id;
      }
    }
  }

  std::unique_ptr<AgentUnderTest> holder_ = GetParam().make();
};

TEST_P(AgentContract, ItsStreamsAreInTheView) {
  const AgentView view = agent().view();
  EXPECT_FALSE(view.region.empty());
  EXPECT_EQ(view.incarnation, agent().view().incarnation);
  std::vector<std::string> targets;
  for (const StreamView& stream : view.streams)
    for (const LegView& leg : stream.targets)
      if (stream.name == "orders") targets.push_back(leg.site);
  EXPECT_THAT(targets, testing::Contains("orders-eu"));
}

TEST_P(AgentContract, WhatIsNotThereIsNotFoundAndNamed) {
  const auto expect_missing = [](const auto& answer) {
    ASSERT_FALSE(answer.ok());
    EXPECT_EQ(answer.error().kind, ErrorKind::not_found);
    EXPECT_THAT(answer.error().what, testing::HasSubstr("'nosuch'"));
  };
  for (const Verb verb : {Verb::pause, Verb::resume, Verb::resnapshot, Verb::skip, Verb::remove}) {
    expect_missing(act(verb, "nosuch"));
    expect_missing(act(verb, "orders", "nosuch"));
  }
  expect_missing(agent().check("nosuch"));
  expect_missing(agent().grants("nosuch", GrantRole::target));
}

TEST_P(AgentContract, AVerbIsDoneAndAnEventSaysWhoAsked) {
  ASSERT_EQ(act(Verb::resume, "orders", "orders-eu").value(), Outcome::done);
  EXPECT_NE(event_after(0, "stream.resume"), 0U);
}

TEST_P(AgentContract, WhatWasRemovedIsGoneAlreadyAndTakesNoVerb) {
  ASSERT_EQ(act(Verb::remove, "orders").value(), Outcome::done);
  const std::uint64_t removed = event_after(0, "stream.removed");
  EXPECT_NE(removed, 0U);
  EXPECT_EQ(act(Verb::remove, "orders").value(), Outcome::already);
  EXPECT_EQ(act(Verb::resume, "orders").error().kind, ErrorKind::conflict);
}

TEST_P(AgentContract, EventsComeInTheirOrderAndWithoutAStartTheNewest) {
  std::uint64_t last = 0;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(act(Verb::resume, "orders").ok());
    const std::uint64_t id = event_after(last, "stream.resume");
    ASSERT_GT(id, last);
    last = id;
  }
  const auto newest = agent().events({.stream = "orders", .limit = 1}, holder_->soon(20s));
  ASSERT_EQ(newest.value().size(), 1U);
  EXPECT_GE(newest->front().id, last);
  const auto none = agent().events({.after = last + 1'000'000}, holder_->soon(20ms));
  EXPECT_THAT(none.value(), testing::IsEmpty());
}

TEST_P(AgentContract, AFindingHasACodeAnObjectAndAMessage) {
  for (const char* stream : {"", "orders"}) {
    const auto findings = agent().check(stream);
    ASSERT_TRUE(findings.ok()) << findings.error().what;
    for (const FindingView& finding : *findings) {
      EXPECT_FALSE(finding.code.empty());
      EXPECT_FALSE(finding.object.empty());
      EXPECT_FALSE(finding.message.empty());
    }
  }
}

}  // namespace farshore::api
