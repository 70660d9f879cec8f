#include "pipeline/heartbeat_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "journal/fake_disk.h"

namespace farshore::pipeline {
namespace {

// Fails as it is told, one heartbeat after the other; empty: it does not. Then it asks to stop.
class TiredWriter final : public HeartbeatWriter {
 public:
  TiredWriter(std::deque<std::string> errors, std::stop_source& stop)
      : errors_(std::move(errors)), stop_(stop) {}

  Result<void> beat(Deadline) override {
    const std::string what = errors_.front();
    errors_.pop_front();
    if (errors_.empty()) stop_.request_stop();
    if (what.empty()) return {};
    return transient(ErrorKind::unavailable, "{}", what);
  }
  void interrupt() override {}

 private:
  std::deque<std::string> errors_;
  std::stop_source& stop_;
};

TEST(HeartbeatLoop, EachNewReasonForAFailureIsSaidOnce) {
  journal::MemoryWorld world;
  std::stop_source stop;
  std::vector<std::string> said;
  TiredWriter writer({"cut", "denied", "denied", "", "denied", ""}, stop);
  HeartbeatLoop loop(
      world, writer, 1ms, [&](const Event& event) { said.push_back(event.message); }, "orders-us");
  loop.run(stop.get_token());
  EXPECT_THAT(said,
              ::testing::ElementsAre("orders-us: cut", "orders-us: denied", "orders-us: denied"));
}

}  // namespace
}  // namespace farshore::pipeline
