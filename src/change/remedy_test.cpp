#include "change/remedy.h"

#include <gtest/gtest.h>

namespace farshore {
namespace {

TEST(Remedy, IsFoundAgainInTheTextThatItEnds) {
  const std::string text = "the slot is gone" + to_do("ALTER TABLE t;  -- then `resume`");
  EXPECT_EQ(text, "the slot is gone; do: ALTER TABLE t;  -- then `resume`");
  EXPECT_EQ(split_remedy(text).why, "the slot is gone");
  EXPECT_EQ(split_remedy(text).remedy, "ALTER TABLE t;  -- then `resume`");
}

TEST(Remedy, OfATextWithoutOneIsEmpty) {
  EXPECT_EQ(split_remedy("no such row; it is gone").why, "no such row; it is gone");
  EXPECT_EQ(split_remedy("no such row; it is gone").remedy, "");
  EXPECT_EQ(to_do(""), "");
}

}  // namespace
}  // namespace farshore
