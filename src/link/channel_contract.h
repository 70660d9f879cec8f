// What every Channel must do: run in link_test.cpp against a session's and against the one in
// memory (paired_channel.h).
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "link/link.h"
#include "os/mutex.h"
#include "os/real/real_world.h"
#include "os/thread.h"

namespace farshore::link {

// Both ends of one channel, and what must live as long.
struct ChannelUnderTest {
  std::shared_ptr<void> owner;
  std::unique_ptr<Channel> here, there;
};

struct ChannelSetup {
  std::string name;
  std::function<ChannelUnderTest()> make;
};

class ChannelContract : public testing::TestWithParam<ChannelSetup> {
 protected:
  static Deadline soon(Duration d = 20s) { return Deadline::after(os::real_monotonic_now(), d); }

  ChannelUnderTest ends_ = GetParam().make();
  Channel &here_ = *ends_.here, &there_ = *ends_.there;
};

TEST_P(ChannelContract, MessagesTravelBothWaysWholeAndInOrderWhateverTheirClass) {
  const Bytes large(kMessageMax, 'x');
  ASSERT_TRUE(here_.send("one", soon()).ok());
  here_.set_class(Class::waiting);
  ASSERT_TRUE(here_.send("", soon()).ok());
  ASSERT_TRUE(there_.send(large, soon()).ok());
  EXPECT_EQ(*there_.receive(soon()), "one");
  EXPECT_EQ(*there_.receive(soon()), "");
  EXPECT_EQ(*here_.receive(soon()), large);
}

TEST_P(ChannelContract, AMessageOverTheLimitIsRefusedAtOnce) {
  const auto sent = here_.send(Bytes(kMessageMax + 1, 'x'), soon());
  ASSERT_FALSE(sent.ok());
  EXPECT_EQ(sent.error().kind, ErrorKind::invalid);
  EXPECT_EQ(sent.error().retry, Retry::no);
  ASSERT_TRUE(here_.send("a shorter one", soon()).ok());
  EXPECT_EQ(*there_.receive(soon()), "a shorter one");
}

TEST_P(ChannelContract, WithNothingToTakeItReturnsAtTheDeadline) {
  const MonotonicTime began = os::real_monotonic_now();
  const auto nothing = here_.receive(soon(30ms));
  EXPECT_EQ(nothing.error().kind, ErrorKind::timeout);
  EXPECT_EQ(nothing.error().retry, Retry::yes);
  EXPECT_GE(os::real_monotonic_now() - began, 30ms);
  EXPECT_EQ(here_.receive(Deadline::passed()).error().kind, ErrorKind::timeout);
}

TEST_P(ChannelContract, WhatWasSentBeforeACloseIsStillReceived) {
  ASSERT_TRUE(here_.send("last words", soon()).ok());
  here_.close();
  here_.close();
  EXPECT_EQ(here_.send("more", soon()).error().kind, ErrorKind::closed);
  EXPECT_EQ(here_.receive(soon()).error().kind, ErrorKind::closed);
  EXPECT_EQ(*there_.receive(soon()), "last words");
  const auto ended = there_.receive(soon());
  EXPECT_EQ(ended.error().kind, ErrorKind::unavailable);
  EXPECT_EQ(ended.error().retry, Retry::yes);
  EXPECT_EQ(there_.send("too late", soon()).error().kind, ErrorKind::unavailable);
}

TEST_P(ChannelContract, AnEndThatIsGoneWasClosed) {
  ASSERT_TRUE(here_.send("last words", soon()).ok());
  ends_.here.reset();
  EXPECT_EQ(*there_.receive(soon()), "last words");
  EXPECT_EQ(there_.receive(soon()).error().kind, ErrorKind::unavailable);
}

TEST_P(ChannelContract, CloseWakesWhoeverWaitsAtEitherEnd) {
  ErrorKind woken_here{}, woken_there{};
  os::Thread at_here("here",
                     [&](std::stop_token) { woken_here = here_.receive(soon()).error().kind; });
  os::Thread at_there("there",
                      [&](std::stop_token) { woken_there = there_.receive(soon()).error().kind; });
  os::Mutex mutex;
  os::CondVar never;
  {
    os::Lock lock(mutex);
    never.wait(lock, soon(20ms));  // both wait by now
  }
  here_.close();
  at_here.join();
  at_there.join();
  EXPECT_EQ(woken_here, ErrorKind::closed);
  EXPECT_EQ(woken_there, ErrorKind::unavailable);
}

TEST_P(ChannelContract, WhatThePeerHasTakenIsNotQueued) {
  ASSERT_TRUE(here_.send("message", soon()).ok());
  ASSERT_TRUE(there_.receive(soon()).ok());
  for (const Deadline end = soon(); here_.queued_bytes() > 0;)
    ASSERT_FALSE(end.reached(os::real_monotonic_now()));
}

}  // namespace farshore::link
