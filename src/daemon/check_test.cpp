#include "daemon/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace farshore::daemon {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

TEST(Check, KernelBuffersThatHoldARoundTripAreEnoughAndOthersANote) {
  EXPECT_THAT(check_kernel(1us), IsEmpty());
  const auto found = check_kernel(1000s);  // more than any machine has
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].code, "kernel_buffers");
  EXPECT_EQ(found[0].level, api::FindingView::Level::note);
  EXPECT_EQ(found[0].object, "kernel setting net.ipv4.tcp_wmem");
  EXPECT_THAT(found[0].message, HasSubstr("at a round trip of"));
  EXPECT_EQ(found[0].remedy, "sysctl -w net.ipv4.tcp_wmem='4096 131072 250000000000'");
  EXPECT_EQ(found[1].object, "kernel setting net.ipv4.tcp_rmem");
}

}  // namespace
}  // namespace farshore::daemon
