// What a SnapshotSource and a CopySink of one engine must do together: run against those in memory
// (tests/fakes) and against servers (copy_contract_pgtest.cpp of an engine).
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sink/copy_sink.h"

namespace farshore {

// A source and a target whose tables hold numbers.
struct CopyUnderTest : Port {
  virtual Deadline soon(Duration d) = 0;
  virtual Uuid stream() = 0;
  virtual SnapshotSource& snapshots() = 0;
  virtual CopySink& copies() = 0;
  virtual std::string full_name(const std::string& table) = 0;  // as SourceTable has it
  virtual void make(const std::string& table) = 0;  // at the source; it is in the stream
  virtual void insert(const std::string& table, const std::vector<int>& numbers) = 0;
  virtual void make_at_target(const std::string& table, const std::vector<int>& numbers) = 0;
  virtual std::vector<int> at_target(const std::string& table) = 0;  // sorted
  virtual Sequence held() = 0;  // by the stream's sink, opened in epoch 1 and closed again
};

struct CopySetup {
  std::string name;
  std::function<std::unique_ptr<CopyUnderTest>()> make;
};

inline std::string copy_setup_name(const testing::TestParamInfo<CopySetup>& info) {
  return info.param.name;
}

class CopyContract : public testing::TestWithParam<CopySetup> {
 protected:
  Result<std::vector<TargetTable>> prepare(ExistingRows existing = ExistingRows::refuse) {
    auto found = pair_->snapshots().tables();
    EXPECT_TRUE(found.ok()) << (found.ok() ? "" : found.error().what);
    tables_ = *std::move(found);
    FARSHORE_TRY_ASSIGN(const Bytes shared, pair_->snapshots().shared_definitions());
    return pair_->copies().prepare(pair_->stream(), aside_, shared, tables_, existing);
  }
  void prepare_must_work(ExistingRows existing = ExistingRows::refuse) {
    auto prepared = prepare(existing);
    ASSERT_TRUE(prepared.ok()) << prepared.error().what;
  }
  TableState state_of(const std::string& table) {
    auto prepared = prepare();
    EXPECT_TRUE(prepared.ok()) << (prepared.ok() ? "" : prepared.error().what);
    if (!prepared.ok()) return TableState::missing;
    for (const TargetTable& one : *prepared)
      if (one.name == pair_->full_name(table)) return one.state;
    return TableState::missing;
  }
  const SourceTable& listed(const std::string& table) {
    for (const SourceTable& one : tables_)
      if (one.name == pair_->full_name(table)) return one;
    ADD_FAILURE() << table << " is not listed";
    return tables_.front();
  }
  std::unique_ptr<TableRows> open(const std::string& table) {
    auto rows = pair_->snapshots().open(listed(table), pair_->soon(20s));
    EXPECT_TRUE(rows.ok()) << (rows.ok() ? "" : rows.error().what);
    return rows.ok() ? *std::move(rows) : nullptr;
  }
  Result<void> write(const std::string& table, TableRows& rows) {
    FARSHORE_TRY_ASSIGN(auto writer, pair_->copies().begin(pair_->stream(), listed(table)));
    for (;;) {
      FARSHORE_TRY_ASSIGN(const Bytes chunk, rows.next(pair_->soon(20s)));
      if (chunk.empty()) return writer->finish(rows.mark());
      for (std::size_t at = 0; at < chunk.size(); at += 7)  // in any pieces
        FARSHORE_TRY(writer->write(ByteView(chunk).substr(at, 7)));
    }
  }
  void copy(const std::string& table) {
    auto rows = open(table);
    ASSERT_NE(rows, nullptr);
    auto written = write(table, *rows);
    ASSERT_TRUE(written.ok()) << written.error().what;
  }

  void copied_and_completed(const std::vector<std::string>& tables) {
    for (const std::string& table : tables) {
      pair_->make(table);
      pair_->insert(table, {1});
    }
    prepare_must_work();
    for (const std::string& table : tables) copy(table);
    ASSERT_TRUE(pair_->copies().complete(pair_->stream()).ok());
  }
  // At what the stream's sink holds, as once the first copy is complete.
  void set_aside(const std::string& table) {
    ASSERT_EQ(pair_->held(), Sequence(0));
    aside_ = Epoch(1);
    const auto reset = pair_->copies().reset(pair_->stream(), aside_, pair_->full_name(table));
    ASSERT_TRUE(reset.ok()) << reset.error().what;
    prepare_must_work();
  }
  std::vector<std::string> missing() {
    auto names = pair_->copies().missing(pair_->stream(), tables_);
    EXPECT_TRUE(names.ok()) << (names.ok() ? "" : names.error().what);
    return names.ok() ? *std::move(names) : std::vector<std::string>();
  }
  Result<void> join(Sequence through) {
    return pair_->copies().join(pair_->stream(), Epoch(1), through);
  }

  std::unique_ptr<CopyUnderTest> pair_ = GetParam().make();
  std::optional<Epoch> aside_;  // of prepare
  std::vector<SourceTable> tables_;
};

TEST_P(CopyContract, MissingTablesAreMadeAndAllTheirRowsCopiedOnce) {
  pair_->make("a");
  pair_->make("b");
  pair_->insert("a", {1, 2, 3});
  prepare_must_work();
  EXPECT_EQ(state_of("a"), TableState::pending);
  copy("a");
  copy("b");
  for (const char* table : {"a", "b"}) EXPECT_EQ(state_of(table), TableState::copied);
  for (int i = 0; i < 2; ++i)  // safe to call again
    ASSERT_TRUE(pair_->copies().complete(pair_->stream()).ok());
  EXPECT_EQ(pair_->at_target("a"), (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(pair_->at_target("b"), (std::vector<int>{}));
}

TEST_P(CopyContract, ASnapshotIsOfTheMomentInWhichItWasOpened) {
  pair_->make("a");
  pair_->insert("a", {1, 2, 3});
  prepare_must_work();
  auto rows = open("a");
  ASSERT_NE(rows, nullptr);
  EXPECT_FALSE(rows->mark().empty());
  pair_->insert("a", {4});
  ASSERT_TRUE(write("a", *rows).ok());
  EXPECT_EQ(rows->rows_read(), 3U);
  EXPECT_EQ(pair_->at_target("a"), (std::vector<int>{1, 2, 3}));
}

TEST_P(CopyContract, OfAWriterThatEndsEarlyNothingStays) {
  pair_->make("a");
  pair_->insert("a", {1, 2, 3});
  prepare_must_work();
  {
    auto rows = open("a");
    auto writer = pair_->copies().begin(pair_->stream(), listed("a"));
    ASSERT_TRUE(writer.ok()) << writer.error().what;
    ASSERT_TRUE((*writer)->write(*rows->next(pair_->soon(20s))).ok());
  }
  EXPECT_EQ(pair_->at_target("a"), (std::vector<int>{}));
  const TableState state = state_of("a");
  EXPECT_TRUE(state == TableState::pending || state == TableState::copying);
  copy("a");
  EXPECT_EQ(pair_->at_target("a"), (std::vector<int>{1, 2, 3}));
}

TEST_P(CopyContract, RowsThatAreThereAreRefusedKeptOrReplaced) {
  pair_->make("a");
  pair_->insert("a", {1});
  pair_->make_at_target("a", {9});
  const auto refused = prepare(ExistingRows::refuse);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::rejected);
  EXPECT_NE(refused.error().what.find(pair_->full_name("a")), std::string::npos);
  EXPECT_EQ(pair_->at_target("a"), (std::vector<int>{9}));
  prepare_must_work(ExistingRows::replace);
  copy("a");
  EXPECT_EQ(pair_->at_target("a"), (std::vector<int>{1}));
}

TEST_P(CopyContract, RowsThatAreKeptAreTakenForTheCopy) {
  pair_->make("a");
  pair_->make_at_target("a", {9});
  auto kept = prepare(ExistingRows::keep);
  ASSERT_TRUE(kept.ok()) << kept.error().what;
  EXPECT_EQ(kept->front().state, TableState::streaming);
  EXPECT_EQ(pair_->at_target("a"), (std::vector<int>{9}));
}

TEST_P(CopyContract, WhatIsNotCopiedIsMissing) {
  pair_->make("a");
  pair_->make("b");
  prepare_must_work();
  copy("a");
  auto missing = pair_->copies().missing(pair_->stream(), tables_);
  ASSERT_TRUE(missing.ok()) << missing.error().what;
  EXPECT_EQ(*missing, (std::vector<std::string>{pair_->full_name("b")}));
  pair_->make("c");  // it has joined
  tables_ = *pair_->snapshots().tables();
  EXPECT_EQ(pair_->copies().missing(pair_->stream(), tables_)->size(), 2U);
  EXPECT_EQ(state_of("a"), TableState::copied);
  copy("c");
  EXPECT_EQ(pair_->copies().missing(pair_->stream(), tables_)->size(), 1U);
}

TEST_P(CopyContract, ATableThatIsResetIsCopiedAgainAndItsRowsAreReplaced) {
  copied_and_completed({"a", "b"});
  pair_->insert("a", {2});
  CopySink& copies = pair_->copies();
  EXPECT_EQ(copies.reset(pair_->stream(), std::nullopt, pair_->full_name("none")).error().kind,
            ErrorKind::not_found);
  ASSERT_TRUE(copies.reset(pair_->stream(), std::nullopt, pair_->full_name("a")).ok());
  EXPECT_EQ(missing(), std::vector<std::string>{pair_->full_name("a")});
  EXPECT_EQ(state_of("a"), TableState::pending);
  EXPECT_EQ(pair_->at_target("a"), std::vector<int>{1});
  copy("a");
  EXPECT_EQ(pair_->at_target("a"), (std::vector<int>{1, 2}));
  EXPECT_EQ(missing(), std::vector<std::string>());
}

TEST_P(CopyContract, ATableThatIsSetAsideIsMissingUntilItIsJoined) {
  copied_and_completed({"a", "b"});
  set_aside("a");
  ASSERT_TRUE(join(Sequence(4)).ok());  // it is not copied
  EXPECT_EQ(missing(), std::vector<std::string>{pair_->full_name("a")});
  copy("a");
  EXPECT_EQ(missing(), std::vector<std::string>{pair_->full_name("a")});
  const auto behind = join(Sequence(3));
  ASSERT_FALSE(behind.ok());
  EXPECT_EQ(behind.error().kind, ErrorKind::conflict);
  EXPECT_EQ(behind.error().retry, Retry::yes);
  ASSERT_TRUE(join(Sequence(5)).ok());
  EXPECT_EQ(missing(), std::vector<std::string>());
  EXPECT_EQ(pair_->held(), Sequence(5));
}

TEST_P(CopyContract, WhatIsCopiedButNotJoinedIsCopiedAgainWhereTheJournalLostIt) {
  copied_and_completed({"a", "b"});
  set_aside("a");
  copy("a");
  ASSERT_TRUE(pair_->copies().lose_aside(pair_->stream()).ok());
  EXPECT_EQ(state_of("a"), TableState::pending);
  EXPECT_EQ(state_of("b"), TableState::copied);
  copy("a");
  EXPECT_EQ(pair_->at_target("a"), std::vector<int>{1});
}

TEST_P(CopyContract, BegunAnewAllIsToBeCopiedAndNothingCountsAsApplied) {
  copied_and_completed({"a", "b"});
  set_aside("a");
  copy("a");
  ASSERT_TRUE(join(Sequence(5)).ok());
  pair_->insert("b", {2});
  ASSERT_TRUE(pair_->copies().begin_anew(pair_->stream()).ok());
  EXPECT_EQ(pair_->held(), Sequence(0));
  EXPECT_EQ(missing().size(), 2U);
  aside_.reset();
  prepare_must_work();
  copy("a");
  copy("b");
  EXPECT_EQ(pair_->at_target("b"), (std::vector<int>{1, 2}));
  EXPECT_EQ(missing(), std::vector<std::string>());  // none is aside any more
}

TEST_P(CopyContract, OnceInterruptedEverythingEndsClosed) {
  pair_->make("a");
  pair_->insert("a", {1});
  prepare_must_work();
  auto rows = open("a");
  auto writer = pair_->copies().begin(pair_->stream(), listed("a"));
  ASSERT_TRUE(writer.ok()) << writer.error().what;
  ASSERT_TRUE((*writer)->write(*rows->next(pair_->soon(20s))).ok());
  CopySink& copies = pair_->copies();
  copies.interrupt();
  EXPECT_EQ((*writer)->finish(rows->mark()).error().kind, ErrorKind::closed);
  EXPECT_EQ(prepare().error().kind, ErrorKind::closed);
  EXPECT_EQ(copies.missing(pair_->stream(), tables_).error().kind, ErrorKind::closed);
  EXPECT_EQ(copies.begin(pair_->stream(), listed("a")).error().kind, ErrorKind::closed);
  EXPECT_EQ(copies.complete(pair_->stream()).error().kind, ErrorKind::closed);
  writer->reset();
  EXPECT_EQ(pair_->at_target("a"), std::vector<int>());
}

}  // namespace farshore
