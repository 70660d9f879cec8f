#include "pipeline/state.h"

#include <gtest/gtest.h>

#include "change/remedy.h"

namespace farshore::pipeline {
namespace {

class StateBoardTest : public testing::Test {
 protected:
  std::vector<std::string> messages_;
  StateBoard board_{[this](const Event& event) { messages_.push_back(event.message); },
                    {.stream = "app", .target = "app-eu", .region = "eu-west-1"}};
  const std::string resume_ = "`farshore stream resume app --to app-eu --region eu-west-1`";
};

TEST_F(StateBoardTest, AFailureShowsWhyAndWhatToDoApart) {
  board_.fail(permanent(ErrorKind::conflict, "the slot is gone{}", to_do("copy anew")), "another");
  EXPECT_EQ(board_.get().reason, "the slot is gone");
  EXPECT_EQ(board_.get().remedy, "copy anew");
  EXPECT_EQ(messages_.back(), "failed: the slot is gone; copy anew");
}

TEST_F(StateBoardTest, NoFailureIsWithoutARemedy) {
  const Error plain = permanent(ErrorKind::invalid, "no such table");
  board_.fail(plain);
  EXPECT_EQ(board_.get().remedy, "repair the cause, then " + resume_);
  board_.fail(plain, "make the table");
  EXPECT_EQ(board_.get().remedy, "make the table");
  board_.worked();
  board_.set(State::failed, "why");
  EXPECT_EQ(board_.get().remedy, "repair the cause, then " + resume_);
  // Of an older release at the other end.
  board_.hear(State::failed, "no such row; then `farshore stream skip app 1:2`", "");
  EXPECT_EQ(board_.get().remedy, "as the reason says");
}

TEST_F(StateBoardTest, OtherStatesNeedNone) {
  board_.set(State::streaming);
  EXPECT_EQ(board_.get().remedy, "");
  board_.set(State::degraded, "full", "make room");
  EXPECT_EQ(board_.get().remedy, "make room");
}

TEST_F(StateBoardTest, WhileItTriesAgainTheErrorIsItsReasonAndThenItsOwnAgain) {
  board_.set(State::starting, "asks app-eu what it holds", "wait");
  board_.retrying(transient(ErrorKind::denied, "no slot is free{}", to_do("raise it")),
                  MonotonicTime{5s});
  EXPECT_EQ(shown_reason(board_.get()), "no slot is free");
  EXPECT_EQ(shown_remedy(board_.get()), "raise it");
  board_.set(State::starting, "asks app-eu once more");
  EXPECT_EQ(shown_reason(board_.get()), "no slot is free");
  board_.hear(State::copying, "tables are being copied", "");
  EXPECT_EQ(shown_reason(board_.get()), "no slot is free");
  board_.worked();
  EXPECT_EQ(shown_reason(board_.get()), "tables are being copied");
  EXPECT_EQ(shown_remedy(board_.get()), "");
}

TEST_F(StateBoardTest, WhatRestsKeepsItsOwnReason) {
  const Error gone = transient(ErrorKind::unavailable, "no session stands");
  board_.fail(permanent(ErrorKind::rejected, "no column b{}", to_do("ALTER")));
  board_.retrying(gone, MonotonicTime{5s});
  EXPECT_EQ(shown_reason(board_.get()), "no column b");
  EXPECT_EQ(shown_remedy(board_.get()), "ALTER");
  board_.set(State::streaming);
  board_.retrying(gone, MonotonicTime{5s});
  board_.set(State::copying, "changes wait");
  EXPECT_EQ(shown_reason(board_.get()), "changes wait");
  EXPECT_FALSE(board_.get().retry_at);
}

// As an acknowledgement that comes while the failure is being told.
TEST(StateBoardHearTest, AFailureOfThisEndHidesWhatIsHeardFromItsFirstMomentOn) {
  StateBoard* leg = nullptr;
  StateBoard board([&](const Event&) { leg->hear(State::streaming, "", ""); },
                   {.stream = "app", .target = "app-eu", .region = "us-east-1"});
  leg = &board;
  board.fail(permanent(ErrorKind::rejected, "no such table"));
  EXPECT_EQ(board.state(), State::failed);
  EXPECT_TRUE(board.get().failed_here);
  board.worked();
  board.hear(State::streaming, "", "");
  EXPECT_EQ(board.state(), State::streaming);
  EXPECT_FALSE(board.get().failed_here);
}

}  // namespace
}  // namespace farshore::pipeline
