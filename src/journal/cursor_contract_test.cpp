// The contract of a TransactionCursor, over a journal.
#include "change/cursor_contract.h"

#include "journal/fake_disk.h"
#include "journal/journal.h"

namespace farshore::journal {
namespace {

class JournalUnderTest final : public CursorUnderTest {
 public:
  void add(Record record) override {
    const auto place = journal_->append(std::span(&record, 1), soon());
    ASSERT_TRUE(place.ok()) << place.error().what;
    ASSERT_TRUE(journal_->wait_durable(place->sequence, soon()).ok());
  }
  std::unique_ptr<TransactionCursor> cursor(Sequence from) override {
    return *journal_->cursor(from, Sequence(0));
  }

 private:
  Deadline soon() { return world_.after(10s); }

  MemoryWorld world_;
  std::unique_ptr<Journal> journal_ =
      *Journal::open(world_, "/journal", {.segment_bytes = 64_KiB, .free_bytes_min = 0}, {});
};

}  // namespace
}  // namespace farshore::journal

namespace farshore {
INSTANTIATE_TEST_SUITE_P(Journal, CursorContract,
                         testing::Values(CursorSetup{
                             "journal",
                             [] { return std::make_unique<journal::JournalUnderTest>(); }}),
                         cursor_setup_name);
}  // namespace farshore
