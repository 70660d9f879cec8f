// What every Source must do, whatever database is behind it: run against the one in memory
// (tests/fakes) and against servers (source_contract_pgtest.cpp of an engine).
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "source/source.h"

namespace farshore {

enum class LargeEnd : std::uint8_t { commit, abort, commit_without_a_part };

// A database and one stream of it.
struct SourceUnderTest : Port {
  virtual Source& source() = 0;
  virtual Deadline soon(Duration d) = 0;
  virtual void commit(int changes) = 0;
  virtual void large(LargeEnd end) = 0;  // a transaction that is sent while it runs
  virtual HeartbeatWriter& heartbeat() = 0;
  // Until the server itself has heard that it may forget all up to there.
  virtual void wait_released(const Position& position) = 0;
};

struct SourceSetup {
  std::string name;
  std::function<std::unique_ptr<SourceUnderTest>()> make;
};

inline std::string source_setup_name(const testing::TestParamInfo<SourceSetup>& info) {
  return info.param.name;
}

class SourceContract : public testing::TestWithParam<SourceSetup> {
 protected:
  void start(const Position& after = {}) {
    source().stop();
    auto started = source().start(after, accept_any);
    ASSERT_TRUE(started.ok()) << started.error().what;
    identity_ = started->text;
    open_.clear();
  }
  // All records until `count` of the kind have come, each at its right place among the others.
  std::vector<Record> read(std::size_t count, bool (*counts)(const Record&)) {
    std::vector<Record> all;
    std::size_t found = 0;
    for (int tries = 0; found < count && tries < 200; ++tries) {
      auto records = source().next(database_->soon(100ms));
      EXPECT_TRUE(records.ok()) << (records.ok() ? "" : records.error().what);
      if (!records.ok()) break;
      for (Record& record : *records) {
        expect_well_formed(record);
        found += counts(record) ? 1 : 0;
        all.push_back(std::move(record));
      }
    }
    EXPECT_EQ(found, count);
    return all;
  }
  static bool commits(const Record& record) {
    return record.kind == RecordKind::data && record.flags.last;
  }
  std::vector<Record> ends(std::size_t count) {
    std::vector<Record> all = read(count, &commits);
    std::erase_if(all, [](const Record& record) { return !commits(record); });
    return all;
  }
  Source& source() { return database_->source(); }
  static Result<void> accept_any(const SourceIdentity&) { return {}; }
  void beat() {
    const auto beaten = database_->heartbeat().beat(database_->soon(20s));
    ASSERT_TRUE(beaten.ok()) << beaten.error().what;
  }

  std::unique_ptr<SourceUnderTest> database_ = GetParam().make();
  std::string identity_;

 private:
  void expect_well_formed(const Record& record) {
    EXPECT_LE(record.payload.size(), kRecordPayloadMax);
    if (record.kind == RecordKind::heartbeat) {
      EXPECT_FALSE(record.position.empty());
      EXPECT_NE(record.commit_time, WallTime{});
    }
    if (record.kind == RecordKind::abort) {
      EXPECT_TRUE(open_.contains(record.xid));
      if (record.sub_xid == 0) open_.erase(record.xid);
    }
    if (record.kind != RecordKind::data) return;
    EXPECT_NE(record.xid, 0U);
    EXPECT_EQ(record.flags.first, !open_.contains(record.xid));
    open_.insert(record.xid);
    if (!record.flags.last) return;
    EXPECT_FALSE(record.position.empty());
    EXPECT_NE(record.commit_time, WallTime{});
    open_.erase(record.xid);
  }

  std::set<std::uint64_t> open_;  // transactions of this session that have not ended
};

TEST_P(SourceContract, EachTransactionIsGivenOnceInTheOrderOfItsCommit) {
  start();
  for (int i = 1; i <= 5; ++i) database_->commit(i);
  std::vector<std::uint64_t> changes;
  std::set<std::uint64_t> xids;
  std::uint64_t sum = 0;
  for (const Record& record : read(5, &commits)) {
    if (record.kind != RecordKind::data) continue;
    xids.insert(record.xid);
    sum += record.changes;
    if (!record.flags.last) continue;
    changes.push_back(sum);
    sum = 0;
  }
  EXPECT_EQ(changes, (std::vector<std::uint64_t>{1, 2, 3, 4, 5}));
  EXPECT_EQ(xids.size(), 5U);
}

TEST_P(SourceContract, ASourceThatIsNotAcceptedIsNotStarted) {
  std::string asked;
  const auto refused = source().start({}, [&](const SourceIdentity& identity) -> Result<void> {
    asked = identity.text;
    return permanent(ErrorKind::conflict, "another one");
  });
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().what, "another one");
  start();
  EXPECT_EQ(asked, identity_);
}

TEST_P(SourceContract, ASessionGivesAllAfterThePositionAndNothingBefore) {
  start();
  for (int i = 0; i < 6; ++i) database_->commit(1);
  const std::vector<Record> before = ends(6);
  ASSERT_EQ(before.size(), 6U);
  const std::string identity = identity_;
  start(before[2].position);
  EXPECT_EQ(identity_, identity);
  const std::vector<Record> again = ends(3);
  ASSERT_EQ(again.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(again[i].xid, before[i + 3].xid);
    EXPECT_EQ(again[i].position, before[i + 3].position);
    EXPECT_EQ(again[i].commit_time, before[i + 3].commit_time);
  }
}

TEST_P(SourceContract, WhatWasReleasedIsGoneAndAnAcknowledgementNeverGoesBack) {
  start();
  for (int i = 0; i < 5; ++i) database_->commit(1);
  const std::vector<Record> all = ends(5);
  ASSERT_EQ(all.size(), 5U);
  for (const std::size_t i : {2, 0})
    source().acknowledge({all[i].position, all[i].position, all[i].position});
  database_->wait_released(all[2].position);
  source().stop();
  const auto refused = source().start(all[0].position, accept_any);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::overtaken) << refused.error().what;
  EXPECT_EQ(refused.error().retry, Retry::no);
  start();  // from where it is held
  const std::vector<Record> rest = ends(2);
  ASSERT_EQ(rest.size(), 2U);
  EXPECT_EQ(rest[0].xid, all[3].xid);
}

TEST_P(SourceContract, AHeartbeatComesAmongTheTransactionsWhereItWasCommitted) {
  start();
  database_->commit(1);
  beat();
  database_->commit(1);
  std::string order;
  for (const Record& record : read(2, &commits)) {
    if (commits(record)) order += 'c';
    if (record.kind == RecordKind::heartbeat) order += 'h';
  }
  EXPECT_EQ(order, "chc");
}

TEST_P(SourceContract, EachBeatIsOneHeartbeatThatHoldsNothingElse) {
  start();
  for (int i = 0; i < 3; ++i) beat();
  std::vector<Record> all =
      read(3, [](const Record& record) { return record.kind == RecordKind::heartbeat; });
  std::erase_if(all, [](const Record& record) { return record.kind == RecordKind::session; });
  ASSERT_EQ(all.size(), 3U);
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].changes, 0U);
    if (i > 0) {
      EXPECT_NE(all[i].position, all[i - 1].position);
      EXPECT_GE(all[i].commit_time, all[i - 1].commit_time);
    }
  }
}

TEST_P(SourceContract, ALargeTransactionComesInPartsAndItsAbortedPartIsNamed) {
  start();
  database_->large(LargeEnd::commit);
  database_->large(LargeEnd::commit_without_a_part);
  std::size_t parts = 0, aborted = 0;
  for (const Record& record : read(2, &commits)) {
    parts += record.kind == RecordKind::data && record.flags.streamed ? 1 : 0;
    if (record.kind != RecordKind::abort) continue;
    ++aborted;
    EXPECT_NE(record.sub_xid, 0U);
  }
  EXPECT_GT(parts, 2U);
  EXPECT_EQ(aborted, 1U);
}

TEST_P(SourceContract, ALargeTransactionThatRollsBackNeverCommits) {
  start();
  database_->large(LargeEnd::abort);
  database_->commit(1);
  for (const Record& record : read(1, &commits))
    EXPECT_FALSE(commits(record) && record.flags.streamed);
}

TEST_P(SourceContract, WithNothingToGiveItReturnsAtTheDeadline) {
  start();
  auto records = source().next(Deadline::passed());
  for (int tries = 0; tries < 50 && records.ok() && !records->empty(); ++tries)
    records = source().next(database_->soon(10ms));
  ASSERT_TRUE(records.ok()) << records.error().what;
  EXPECT_TRUE(records->empty());
}

TEST_P(SourceContract, AnInterruptEndsTheWaitUntilItIsStopped) {
  start();
  source().interrupt();
  const Deadline late = database_->soon(60s);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(source().next(late).ok());
  EXPECT_GT(late.left(database_->soon(0s).time()), 30s);
  start();
  database_->commit(1);
  EXPECT_EQ(ends(1).size(), 1U);
}

TEST_P(SourceContract, AnInterruptBeforeTheStartEndsIt) {
  source().interrupt();
  auto started = source().start({}, accept_any);
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().kind, ErrorKind::unavailable) << started.error().what;
  start();
}

}  // namespace farshore
