#include "daemon/remote_site.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/postgres/test_silent_server.h"
#include "fakes/memory_site.h"
#include "link/paired_channel.h"
#include "os/real/real_world.h"

namespace farshore::daemon {
namespace {

using testing::HasSubstr;

// A site with one table of one column.
struct OneTable {
  explicit OneTable(const std::string& column) {
    site.name = "orders-us";
    site.tables["t"] = {column};
  }
  fakes::MemorySite site;
};

TEST(RemoteSite, AQuestionIsReadAsItWasWritten) {
  for (const char* description : {"", "tables \"x\"\n"}) {
    const auto question = question_from_json(to_json(SiteQuestion{.description = description}));
    ASSERT_TRUE(question.ok()) << question.error().what;
    EXPECT_EQ(question->description, description);
  }
}

TEST(RemoteSite, AnAnswerIsReadAsItWasWritten) {
  const SiteAnswer answer{.description = "d",
                          .findings = {{.level = FindingLevel::warning,
                                        .code = "no_key",
                                        .object = "table t",
                                        .message = "has none",
                                        .remedy = "ALTER TABLE t"},
                                       {.level = FindingLevel::note, .code = "x"},
                                       {.level = FindingLevel::error, .code = "y"}}};
  const auto read = answer_from_json(to_json(Result<SiteAnswer>(answer)));
  ASSERT_TRUE(read.ok()) << read.error().what;
  EXPECT_EQ(read->description, "d");
  ASSERT_EQ(read->findings.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(read->findings[i].level, answer.findings[i].level);
    EXPECT_EQ(read->findings[i].code, answer.findings[i].code);
    EXPECT_EQ(read->findings[i].remedy, answer.findings[i].remedy);
  }
  const auto error = answer_from_json(
      to_json(Result<SiteAnswer>(permanent(ErrorKind::denied, "no password for orders-us"))));
  EXPECT_EQ(error.error().kind, ErrorKind::unavailable);
  EXPECT_EQ(error.error().what, "no password for orders-us");
}

TEST(RemoteSite, WhatIsNeitherQuestionNorAnswerIsRefused) {
  for (const char* text : {"", "[]", "{", R"({"version": 2, "ask": "describe", "findings": []})",
                           R"({"ask": "describe"})", R"({"version": 1})",
                           R"({"version": 1, "ask": "compare", "findings": {}})",
                           R"({"version": 1, "ask": 7, "findings": 7})"}) {
    EXPECT_FALSE(question_from_json(text).ok()) << text;
    EXPECT_FALSE(answer_from_json(text).ok()) << text;
  }
}

TEST(RemoteSite, ASiteSaysItsTablesAndHowAnotherOnesDiffer) {
  OneTable source("id"), target("other");
  const auto described = answer_to(source.site, {});
  ASSERT_TRUE(described.ok());
  const auto compared = answer_to(target.site, {.description = described->description});
  ASSERT_TRUE(compared.ok());
  ASSERT_EQ(compared->findings.size(), 1U);
  EXPECT_EQ(compared->findings[0].code, "column_missing");
  source.site.reachable = false;
  EXPECT_EQ(answer_to(source.site, {}).error().kind, ErrorKind::unavailable);
}

class AskSite : public testing::Test {
 protected:
  Deadline soon(Duration d = 20s) { return world_->after(d); }
  // Asks, while `answer` plays the other region.
  template <class Answer>
  Result<SiteAnswer> ask(Answer answer) {
    auto [ours, theirs] = link::PairedChannel::make();
    os::Thread other("other region", [&, &channel = *theirs](std::stop_token) {
      auto question = channel.receive(soon());
      if (question.ok()) answer(channel, *question);
      channel.close();
    });
    return ask_site(
        [&, &ours = ours](const std::string& name,
                          link::Class) -> Result<std::unique_ptr<link::Channel>> {
          name_ = name;
          return std::move(ours);
        },
        "orders", "orders-us", {}, soon());
  }

  std::unique_ptr<os::World> world_ = os::make_real_world(std::nullopt);
  std::string name_;
};

TEST_F(AskSite, GetsTheAnswerOverAChannelOfItsOwn) {
  const auto answer = ask([&](link::Channel& channel, const Bytes& question) {
    EXPECT_TRUE(question_from_json(question).ok());
    OneTable source("id");
    (void)channel.send(to_json(answer_to(source.site, {})), soon());
  });
  ASSERT_TRUE(answer.ok()) << answer.error().what;
  EXPECT_EQ(name_, "check/orders/orders-us");
  EXPECT_THAT(answer->description, HasSubstr("t id"));
}

TEST_F(AskSite, AnAgentThatKnowsNoSuchQuestionIsUnavailable) {
  const auto answer = ask([](link::Channel&, const Bytes&) {});
  EXPECT_EQ(answer.error().kind, ErrorKind::unavailable);
}

// One site, whose server is not there.
class SiteAnswersTest : public testing::Test {
 protected:
  SiteAnswersTest() {
    config_.regions.push_back({.name = "us", .data = "/not/there"});
    config_.sites.push_back({.name = "orders-us", .region = "us", .engine = "postgres"});
    config_.sites.back().dsn = "host=127.0.0.1 port=1 dbname=x user=x";
    config_.streams.push_back({.name = "orders", .from = "orders-us"});
    answers_ = std::make_unique<SiteAnswers>(*world_, config_);
  }
  std::unique_ptr<link::Channel> open() {
    auto [ours, theirs] = link::PairedChannel::make();
    answers_->answer(config_.streams[0], "orders-us", std::move(theirs));
    return std::move(ours);
  }
  Result<SiteAnswer> ask(const Bytes& question) {
    auto channel = open();
    FARSHORE_TRY(channel->send(question, world_->after(20s)));
    FARSHORE_TRY_ASSIGN(const Bytes answer, channel->receive(world_->after(20s)));
    return answer_from_json(answer);
  }

  std::unique_ptr<os::World> world_ = os::make_real_world(std::nullopt);
  config::Config config_;
  std::unique_ptr<SiteAnswers> answers_;
};

TEST_F(SiteAnswersTest, WhatTheSiteCannotSayIsTheAnswer) {
  EXPECT_THAT(ask(to_json(SiteQuestion{})).error().what, HasSubstr("Connection refused"));
  EXPECT_THAT(ask("{}").error().what, HasSubstr("not a question"));
}

TEST_F(SiteAnswersTest, QuestionsBeyondTheLimitAreClosedUnanswered) {
  std::vector<std::unique_ptr<link::Channel>> waiting;
  waiting.reserve(SiteAnswers::kAtOnce);
  for (std::size_t i = 0; i < SiteAnswers::kAtOnce; ++i) waiting.push_back(open());
  const auto refused = open()->receive(world_->after(20s));
  EXPECT_EQ(refused.error().kind, ErrorKind::unavailable);
  waiting.clear();  // asked nothing, and closed
  Result<SiteAnswer> answer = ask(to_json(SiteQuestion{}));
  for (const Deadline end = world_->after(20s);
       answer.error().what.find("refused") == std::string::npos && !end.reached(world_->now());)
    answer = ask(to_json(SiteQuestion{}));
  EXPECT_THAT(answer.error().what, HasSubstr("Connection refused"));
}

TEST_F(SiteAnswersTest, CloseEndsTheQuestionsThatWait) {
  auto waiting = open();
  answers_->close();
  EXPECT_EQ(waiting->receive(world_->after(20s)).error().kind, ErrorKind::unavailable);
  EXPECT_EQ(open()->receive(world_->after(20s)).error().kind, ErrorKind::unavailable);
}

TEST_F(SiteAnswersTest, CloseDoesNotWaitForADatabaseThatDoesNotAnswer) {
  const postgres::SilentServer silent;
  config_.sites[0].dsn = silent.conninfo();
  auto asking = open();
  ASSERT_TRUE(asking->send(to_json(SiteQuestion{}), world_->after(20s)).ok());
  EXPECT_EQ(asking->receive(world_->after(200ms)).error().kind, ErrorKind::timeout);
  const MonotonicTime began = world_->now();
  answers_->close();
  EXPECT_LT(world_->now() - began, 5s);
}

}  // namespace
}  // namespace farshore::daemon
