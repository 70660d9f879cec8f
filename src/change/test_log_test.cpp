#include "change/test_log.h"

#include "change/cursor_contract.h"

namespace farshore {
namespace {

class TestLogUnderTest final : public CursorUnderTest {
 public:
  void add(Record record) override { log_.add(std::move(record)); }
  std::unique_ptr<TransactionCursor> cursor(Sequence from) override {
    EXPECT_EQ(from, Sequence(0));
    return std::make_unique<TestCursor>(log_);
  }

 private:
  TestLog log_;
};

INSTANTIATE_TEST_SUITE_P(Test, CursorContract,
                         testing::Values(CursorSetup{
                             "memory", [] { return std::make_unique<TestLogUnderTest>(); }}),
                         cursor_setup_name);

}  // namespace
}  // namespace farshore
