#include "api/routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/agent_contract.h"
#include "api/fake_agent.h"
#include "api/options.h"
#include "os/real/real_world.h"

namespace farshore::api {
namespace {

using testing::HasSubstr;
using testing::Not;

class FakeAgentUnderTest final : public AgentUnderTest {
 public:
  FakeAgentUnderTest() {
    agent_.set_view(sample_view());
    agent_.set_findings(
        {{.code = "wal_level", .object = "site orders-us", .message = "wal_level is replica"}});
  }
  Agent& agent() override { return agent_; }
  Deadline soon(Duration d) override { return world_->after(d); }

 private:
  std::unique_ptr<os::World> world_ = os::make_real_world(std::nullopt);
  FakeAgent agent_{*world_};
};

INSTANTIATE_TEST_SUITE_P(Fake, AgentContract,
                         testing::Values(AgentSetup{
                             "fake", [] { return std::make_unique<FakeAgentUnderTest>(); }}),
                         agent_setup_name);

class RoutesTest : public testing::Test {
 protected:
  RoutesTest() { agent_.set_view(sample_view()); }

  Answer get(const std::string& path, std::map<std::string, std::string> query = {}) {
    return answer(agent_, {.method = "GET", .path = path, .query = std::move(query)});
  }
  Answer post(const std::string& path, const std::string& body) {
    return answer(agent_, {.method = "POST",
                           .path = path,
                           .body = body,
                           .content_type = "application/json",
                           .by = "alice@desk from 127.0.0.1"});
  }

  std::unique_ptr<os::World> world_ = os::make_real_world(std::nullopt);
  FakeAgent agent_{*world_};
};

TEST_F(RoutesTest, StatusAndOneStream) {
  EXPECT_THAT(get("/v1/status").body, HasSubstr(R"("cluster":"shop")"));
  EXPECT_THAT(get("/v1/streams/orders").body, HasSubstr(R"("name":"orders")"));
  const Answer missing = get("/v1/streams/nosuch");
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(missing.body,
            "{\"error\":{\"kind\":\"not-found\",\"what\":\"no stream 'nosuch' here: there is "
            "orders, audit\"}}\n");
}

TEST_F(RoutesTest, AVerbReachesTheAgentWithItsArguments) {
  const Answer done = post("/v1/streams/orders/pause",
                           R"({"to":"orders-eu","at":"2026-11-24T16:00:00Z","table":null})");
  EXPECT_EQ(done.status, 200) << done.body;
  ASSERT_EQ(agent_.actions().size(), 1U);
  const StreamAction action = agent_.actions().front();
  EXPECT_EQ(action.verb, Verb::pause);
  EXPECT_EQ(action.stream, "orders");
  EXPECT_EQ(action.to, "orders-eu");
  EXPECT_EQ(action.at, *parse_time("2026-11-24T16:00:00Z"));
  EXPECT_EQ(action.by, "alice@desk from 127.0.0.1");
}

TEST_F(RoutesTest, WrongRequestsDoNotReachTheAgent) {
  EXPECT_THAT(post("/v1/streams/orders/puase", "{}").body, HasSubstr("did you mean 'pause'?"));
  EXPECT_EQ(post("/v1/streams/orders", "{}").status, 400);
  EXPECT_THAT(post("/v1/streams/orders/resume", R"({"tp":"x"})").body,
              HasSubstr("did you mean 'to'?"));
  EXPECT_THAT(post("/v1/streams/orders/resume", R"({"table":"x"})").body,
              HasSubstr("'table' is not known"));
  EXPECT_THAT(post("/v1/streams/orders/pause", R"({"at":"soon"})").body,
              HasSubstr("'soon' is not a time"));
  EXPECT_EQ(post("/v1/streams/orders/pause", "[]").status, 400);
  EXPECT_EQ(post("/v1/streams/orders/pause", "{").status, 400);
  EXPECT_EQ(post("/v1/streams/orders/pause", R"({"to":7})").status, 400);
  EXPECT_THAT(post("/v1/streams/orders/remove", R"({"to":""})").body,
              HasSubstr("field 'to' is empty: give a value, or leave it out"));
  EXPECT_EQ(post("/v1/streams/orders/resnapshot", R"({"table":""})").status, 400);
  for (const char* place : {"", "1", "1:", ":5", "a:b"})
    EXPECT_EQ(post("/v1/streams/orders/skip", fmt::format(R"({{"place":"{}"}})", place)).status,
              400)
        << place;
  EXPECT_TRUE(agent_.actions().empty());
}

TEST_F(RoutesTest, AFormOfAWebPageIsRefused) {
  const Answer refused = answer(agent_, {.method = "POST",
                                         .path = "/v1/streams/orders/remove",
                                         .body = "{}",
                                         .content_type = "text/plain"});
  EXPECT_EQ(refused.status, 400);
  EXPECT_TRUE(agent_.actions().empty());
}

TEST_F(RoutesTest, TheAgentsRefusalKeepsItsKind) {
  agent_.set_act_answer(permanent(ErrorKind::conflict, "stream orders is not paused"));
  const Answer refused = post("/v1/streams/orders/resume", "{}");
  EXPECT_EQ(refused.status, 409);
  EXPECT_THAT(refused.body, HasSubstr(R"("kind":"conflict")"));
}

TEST_F(RoutesTest, CheckAndGrants) {
  agent_.set_findings(
      {{.code = "wal_level", .object = "site orders-us", .message = "wal_level is replica"}});
  EXPECT_THAT(get("/v1/check").body, HasSubstr(R"("errors":1)"));
  EXPECT_EQ(get("/v1/check", {{"stream", "nosuch"}}).status, 404);
  EXPECT_THAT(get("/v1/check", {{"straem", "x"}}).body, HasSubstr("did you mean 'stream'?"));
  EXPECT_THAT(get("/v1/grants/orders-us", {{"role", "source"}}).body, HasSubstr("GRANT CONNECT"));
  EXPECT_EQ(get("/v1/grants/orders-us").status, 400);
  EXPECT_EQ(get("/v1/grants/nosuch", {{"role", "target"}}).status, 404);
}

TEST_F(RoutesTest, EventsByIdTimeAndSeverity) {
  agent_.add_event({.name = "one", .message = "first", .at = *parse_time("2026-11-24T16:00:00Z")});
  agent_.add_event(
      {.severity = Severity::error, .name = "two", .at = *parse_time("2026-11-24T17:00:00Z")});
  EXPECT_THAT(get("/v1/events").body, HasSubstr("first"));
  EXPECT_THAT(get("/v1/events", {{"since", "1"}}).body, Not(HasSubstr("first")));
  EXPECT_THAT(get("/v1/events", {{"since", "2026-11-24T16:30:00Z"}}).body, Not(HasSubstr("first")));
  EXPECT_THAT(get("/v1/events", {{"severity", "error"}}).body, Not(HasSubstr("first")));
  EXPECT_EQ(get("/v1/events", {{"since", "yesterday"}}).status, 400);
  EXPECT_EQ(get("/v1/events", {{"severity", "loud"}}).status, 400);
  EXPECT_EQ(get("/v1/events", {{"limit", "0"}}).status, 400);
  EXPECT_EQ(get("/v1/events", {{"limit", "100000"}}).status, 400);
}

TEST_F(RoutesTest, ReadyFollowsTheAgent) {
  EXPECT_EQ(get("/healthz").status, 200);
  EXPECT_EQ(get("/readyz").status, 200);
  AgentView view = sample_view();
  view.ready = false;
  view.not_ready_why = "stream orders is starting";
  agent_.set_view(view);
  EXPECT_EQ(get("/readyz").status, 503);
  EXPECT_THAT(get("/readyz").body, HasSubstr("stream orders is starting"));
  EXPECT_EQ(get("/healthz").status, 200);
}

TEST_F(RoutesTest, UnknownPathsAndMethods) {
  EXPECT_EQ(get("/").status, 404);
  EXPECT_EQ(get("/v1/streams/").status, 404);
  EXPECT_EQ(get("/v1/statuses").status, 404);
  EXPECT_EQ(answer(agent_, {.method = "DELETE", .path = "/v1/status"}).status, 405);
  EXPECT_EQ(answer(agent_, {.method = "HEAD", .path = "/v1/status"}).status, 200);
}

TEST(ApiOptions, LoopbackIsOpenAndAnythingElseNeedsTlsAndToken) {
  EXPECT_TRUE(check({.address = "127.0.0.1:7433"}).ok());
  EXPECT_TRUE(check({.address = "127.8.8.8:7433"}).ok());
  EXPECT_TRUE(check({.address = "[::1]:7433"}).ok());
  EXPECT_TRUE(check({.address = "localhost:7433"}).ok());
  for (const char* address :
       {"0.0.0.0:7433", "[::]:7433", "10.0.0.1:7433", "127.example.com:7433", "db:7433"}) {
    EXPECT_THAT(check({.address = address}).error().what, HasSubstr("needs TLS")) << address;
    EXPECT_THAT(check({.address = address, .certificate = "c", .key = "k"}).error().what,
                HasSubstr("needs a token"));
    EXPECT_TRUE(
        check({.address = address, .certificate = "c", .key = "k", .token_file = "t"}).ok());
  }
  EXPECT_FALSE(check({.certificate = "c"}).ok());
  for (const char* address :
       {"", "7433", ":7433", "::1:7433", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000"})
    EXPECT_FALSE(check({.address = address}).ok()) << address;
}

}  // namespace
}  // namespace farshore::api
