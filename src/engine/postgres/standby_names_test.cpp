#include "engine/postgres/standby_names.h"

#include <gmock/gmock.h>

namespace farshore::postgres {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(StandbyNames, AreReadInEveryFormThatAServerTakes) {
  EXPECT_THAT(standby_names("a"), ElementsAre("a"));
  EXPECT_THAT(standby_names(" a , b "), ElementsAre("a", "b"));
  EXPECT_THAT(standby_names("2 (a, b, c)"), ElementsAre("a", "b", "c"));
  EXPECT_THAT(standby_names("FIRST 1 (a,b)"), ElementsAre("a", "b"));
  EXPECT_THAT(standby_names("any 2(a,\tb)"), ElementsAre("a", "b"));
  EXPECT_THAT(standby_names("*"), ElementsAre("*"));
  EXPECT_THAT(standby_names("\"B b\", \"say \"\"x\"\"\", \"(,)\""),
              ElementsAre("B b", "say \"x\"", "(,)"));
  EXPECT_THAT(standby_names("first, any"), ElementsAre("first", "any"));  // names here
  EXPECT_THAT(standby_names("\"any\", 17"), ElementsAre("any", "17"));
}

TEST(StandbyNames, AreNoneInWhatAServerRefuses) {
  for (const char* text : {"", " ", "a b", "ANY 2 a", "ANY 2 (a", "2 (a b)", "\"a", "a;b", "a,,b"})
    EXPECT_THAT(standby_names(text), IsEmpty()) << text;
}

TEST(StandbyNames, AStandbyIsNamedByItsWholeNameInAnyCaseOrByAStar) {
  EXPECT_TRUE(names_standby("FIRST 1 (other, farshore_ab12)", "farshore_ab12"));
  EXPECT_TRUE(names_standby("Farshore_AB12", "farshore_ab12"));
  EXPECT_TRUE(names_standby("ANY 1 (other, *)", "farshore_ab12"));
  EXPECT_TRUE(names_standby("\"*\"", "farshore_ab12"));  // quoted too, as the server has it
  EXPECT_FALSE(names_standby("farshore_ab123, \"star*\"", "farshore_ab12"));
  EXPECT_FALSE(names_standby("", "farshore_ab12"));
}

}  // namespace
}  // namespace farshore::postgres
