#include "pipeline/capture_loop.h"

#include "journal/journal_fixture.h"

namespace farshore::pipeline {
namespace {

// Never starts. As every source, once interrupted it does nothing more until it is stopped.
class ShutSource final : public Source {
 public:
  explicit ShutSource(ErrorKind kind) : kind_(kind) {}

  Result<SourceIdentity> start(const Position&, const AcceptSource&) override {
    ++starts;
    return Error{kind_, kind_ == ErrorKind::denied ? Retry::no : Retry::yes, "shut"};
  }
  Result<std::vector<Record>> next(Deadline) override { return std::vector<Record>(); }
  std::vector<Bytes> preamble() const override { return {}; }
  void acknowledge(const Acknowledgement&) override {}
  SourceProgress progress() override { return {}; }
  Result<void> bound_log() override {
    if (interrupted_) return transient(ErrorKind::unavailable, "interrupted");
    return {};
  }
  void interrupt() override { interrupted_ = true; }
  void stop() override { interrupted_ = false; }

  std::atomic<int> starts = 0;

 private:
  const ErrorKind kind_;
  std::atomic<bool> interrupted_ = false;
};

class CaptureStopTest : public journal::JournalFixture,
                        public ::testing::WithParamInterface<ErrorKind> {};

// The loop is stopped while it waits: for the next try, or for an operator.
TEST_P(CaptureStopTest, WhatComesAfterItMayStillBoundTheSourcesLog) {
  open();
  ShutSource source(GetParam());
  StateBoard board(sink(), {.stream = "app", .target = "", .region = "us-east-1"});
  CaptureLoop loop(world, source, *journal, board, {}, {});
  os::Thread thread("capture", [&](std::stop_token stop) { loop.run(stop); });
  ASSERT_TRUE(eventually([&] { return source.starts > 0; }, 300));
  ASSERT_TRUE(
      eventually([&] { return board.get().retries + (board.state() == State::failed); }, 300));
  thread.request_stop();
  thread.join();
  const auto bounded = source.bound_log();
  EXPECT_TRUE(bounded.ok()) << bounded.error().what;
}

INSTANTIATE_TEST_SUITE_P(Waiting, CaptureStopTest,
                         ::testing::Values(ErrorKind::unavailable, ErrorKind::denied));

}  // namespace
}  // namespace farshore::pipeline
