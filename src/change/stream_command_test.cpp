#include "change/stream_command.h"

#include <gtest/gtest.h>

namespace farshore {
namespace {

TEST(StreamCommand, HasAllThatTheCommandNeeds) {
  const LegName leg{.stream = "app", .target = "app-eu", .region = "eu-west-1"};
  EXPECT_EQ(stream_command(leg, "skip", {"1:245"}),
            "`farshore stream skip app 1:245 --to app-eu --region eu-west-1`");
  EXPECT_EQ(stream_command({.stream = "app", .target = {}, .region = {}}, "resume"),
            "`farshore stream resume app`");
}

TEST(StreamCommand, IsQuotedForAShell) {
  const LegName leg{.stream = "app", .target = {}, .region = {}};
  EXPECT_EQ(stream_command(leg, "resnapshot", {"--table", "public.\"It's\""}),
            "`farshore stream resnapshot app --table 'public.\"It'\\''s\"'`");
}

TEST(StreamCommand, IsFoundInAText) {
  const LegName leg{.stream = "app", .target = {}, .region = {}};
  EXPECT_TRUE(names_stream_command("repair it, then " + stream_command(leg, "resume")));
  EXPECT_FALSE(names_stream_command("see `farshore status app`"));
}

}  // namespace
}  // namespace farshore
