#include "journal/journal_fixture.h"

namespace farshore::journal {
namespace {

class JournalCursor : public JournalFixture {
 protected:
  void SetUp() override { open(); }

  std::unique_ptr<TransactionCursor> cursor(std::uint64_t from = 0, std::uint64_t skip_through = 0,
                                            std::uint64_t whole_after = 0) {
    auto cursor = journal->cursor(Sequence(from), Sequence(skip_through), Sequence(whole_after));
    EXPECT_TRUE(cursor.ok()) << (cursor.ok() ? "" : cursor.error().what);
    return cursor.ok() ? *std::move(cursor) : nullptr;
  }
  // "data 7@3" for each item until nothing more comes.
  std::vector<std::string> items(TransactionCursor& cursor) {
    std::vector<std::string> all;
    for (;;) {
      const auto item = cursor.next(now());
      EXPECT_TRUE(item.ok()) << (item.ok() ? "" : item.error().what);
      if (!item || !*item) return all;
      const char* kinds[] = {"",          "data",       "abort", "session", "preamble",
                             "heartbeat", "definition", "table", "schema"};
      all.push_back(fmt::format("{} {}@{}", kinds[static_cast<int>((*item)->kind)], (*item)->xid,
                                (*item)->place.sequence));
    }
  }
  std::vector<std::string> payloads(TransactionCursor& cursor) {
    std::vector<std::string> all;
    for (;;) {
      const auto record = cursor.next_record();
      EXPECT_TRUE(record.ok()) << (record.ok() ? "" : record.error().what);
      if (!record || !*record) return all;
      all.push_back((*record)->record.payload);
    }
  }
  Record part(std::uint64_t of, const std::string& payload, bool first, bool last,
              std::uint32_t session = 1) {
    Record record = data_record(of, payload, first, last, session);
    record.flags.streamed = true;
    return record;
  }
  Record abort_of(std::uint64_t of, std::uint64_t sub = 0) {
    Record record = record_of(RecordKind::abort);
    record.xid = of;
    record.sub_xid = sub;
    return record;
  }
};

TEST_F(JournalCursor, GivesInterleavedTransactionsWholeAndInCommitOrder) {
  commit(part(1, "1a", true, false));
  commit(part(2, "2a", true, false));
  commit(part(1, "1b", false, false));
  commit(data_record(3, "3"));
  commit(part(2, "2b", false, true));
  commit(part(1, "1c", false, true));
  auto c = cursor();
  auto item = **c->next(soon());
  EXPECT_EQ(item.xid, 3U);
  EXPECT_EQ(payloads(*c), (std::vector<std::string>{"3"}));
  item = **c->next(soon());
  EXPECT_EQ(item.xid, 2U);
  EXPECT_EQ(item.first, Sequence(2));
  EXPECT_EQ(item.place, (Place{Epoch(1), Sequence(5)}));
  EXPECT_EQ(item.records, 2U);
  EXPECT_EQ(item.bytes, 4U);
  EXPECT_EQ(item.changes, 2U);
  EXPECT_TRUE(item.streamed);
  EXPECT_EQ(item.position.bytes, "00000002");
  EXPECT_EQ(item.commit_time, WallTime(2s));
  EXPECT_EQ(payloads(*c), (std::vector<std::string>{"2a", "2b"}));
  ASSERT_TRUE(c->rewind_item().ok());
  EXPECT_EQ(payloads(*c), (std::vector<std::string>{"2a", "2b"}));
  EXPECT_EQ((**c->next(soon())).xid, 1U);
  EXPECT_EQ(payloads(*c), (std::vector<std::string>{"1a", "1b", "1c"}));
  EXPECT_FALSE(c->next(now())->has_value());
  EXPECT_TRUE(payloads(*c).empty());
}

TEST_F(JournalCursor, PassesOverWhatWasNotReadOfAnItem) {
  commit(part(1, "1a", true, false));
  commit(part(1, "1b", false, true));
  commit(data_record(2, "2"));
  auto c = cursor();
  ASSERT_TRUE(c->next(soon())->has_value());
  EXPECT_EQ((*c->next_record())->record.payload, "1a");
  EXPECT_EQ((**c->next(soon())).xid, 2U);
  EXPECT_EQ(payloads(*c), (std::vector<std::string>{"2"}));
}

TEST_F(JournalCursor, NeverGivesAnAbortedTransactionAndNamesAbortedSubtransactions) {
  commit(part(1, "1a", true, false));
  commit(part(2, "2a", true, false));
  commit(abort_of(1, 12));
  commit(abort_of(2));
  commit(abort_of(1, 11));
  commit(abort_of(1, 12));
  commit(part(1, "1b", false, true));
  auto c = cursor();
  const auto item = **c->next(soon());
  EXPECT_EQ(item.xid, 1U);
  EXPECT_EQ(item.aborted_sub_xids, (std::vector<std::uint64_t>{11, 12}));
  EXPECT_FALSE(c->next(now())->has_value());
}

TEST_F(JournalCursor, ANewSessionAbandonsWhatTheOneBeforeLeftOpen) {
  commit(part(1, "old 1", true, false));
  commit(record_of(RecordKind::session, "identity", 2));
  commit(part(1, "new 1a", true, false, 2));
  commit(part(1, "new 1b", false, true, 2));
  auto c = cursor();
  EXPECT_EQ((**c->next(soon())).kind, RecordKind::session);
  EXPECT_EQ(payloads(*c), (std::vector<std::string>{"identity"}));
  EXPECT_EQ((**c->next(soon())).xid, 1U);
  EXPECT_EQ(payloads(*c), (std::vector<std::string>{"new 1a", "new 1b"}));
}

TEST_F(JournalCursor, GivesTheRecordsBetweenTransactionsInTheirPlace) {
  for (const RecordKind kind : {RecordKind::session, RecordKind::preamble, RecordKind::heartbeat,
                                RecordKind::definition, RecordKind::table})
    commit(record_of(kind, "payload"));
  auto c = cursor();
  EXPECT_EQ(items(*c), (std::vector<std::string>{"session 0@1", "preamble 0@2", "heartbeat 0@3",
                                                 "definition 0@4", "table 0@5"}));
}

TEST_F(JournalCursor, RestartIsThePreambleBeforeTheOldestOpenTransaction) {
  commit(record_of(RecordKind::session));   // 1
  commit(record_of(RecordKind::preamble));  // 2
  commit(record_of(RecordKind::preamble));  // 3: the same preamble goes on
  commit(part(1, "1a", true, false));       // 4
  commit(record_of(RecordKind::preamble));  // 5
  commit(part(2, "2a", true, false));       // 6
  commit(data_record(3, "3"));              // 7
  commit(part(1, "1b", false, true));       // 8
  commit(part(2, "2b", false, true));       // 9
  commit(data_record(4, "4"));              // 10
  auto c = cursor();
  EXPECT_EQ((**c->next(soon())).kind, RecordKind::session);
  EXPECT_EQ(c->restart(), Sequence(2));
  std::map<std::uint64_t, Sequence> restarts;
  for (auto item = c->next(now()); item.ok() && *item; item = c->next(now()))
    restarts[(*item)->xid] = c->restart();
  EXPECT_EQ(restarts[3], Sequence(2));
  EXPECT_EQ(restarts[1], Sequence(5));
  EXPECT_EQ(restarts[2], Sequence(5));
  EXPECT_EQ(restarts[4], Sequence(5));
}

TEST_F(JournalCursor, StartedAtARestartPlaceGivesExactlyWhatFollowsAfterPreambles) {
  commit(record_of(RecordKind::preamble, "types"));  // 1
  commit(part(1, "1a", true, false));                // 2
  commit(data_record(2, "2"));                       // 3
  commit(record_of(RecordKind::heartbeat));          // 4
  commit(data_record(3, "3"));                       // 5
  commit(part(1, "1b", false, true));                // 6
  commit(data_record(4, "4"));                       // 7
  auto first = cursor();
  CursorItem item;
  while (item.xid != 2) item = **first->next(soon());
  auto second = cursor(first->restart().value(), item.place.sequence.value());
  EXPECT_EQ(items(*second), (std::vector<std::string>{"preamble 0@1", "heartbeat 0@4", "data 3@5",
                                                      "data 1@6", "data 4@7"}));
  auto third = cursor(1, 6);
  EXPECT_EQ(items(*third), (std::vector<std::string>{"preamble 0@1", "data 4@7"}));
}

// Written while a transaction was open: who has applied that one may begin there, and learns from
// the schema behind its end what it would have learned from it.
TEST_F(JournalCursor, APreambleAmongOpenTransactionsIsAPlaceForWhoHasAppliedThem) {
  const auto among_open = [] {
    Record record = record_of(RecordKind::preamble);
    record.flags.streamed = true;
    return record;
  };
  commit(record_of(RecordKind::preamble));  // 1
  commit(part(1, "1a", true, false));       // 2
  commit(among_open());                     // 3
  commit(part(2, "2a", true, false));       // 4
  commit(part(1, "1b", false, true));       // 5
  commit(record_of(RecordKind::schema));    // 6
  commit(among_open());                     // 7
  commit(part(2, "2b", false, true));       // 8
  auto first = cursor();
  std::map<std::uint64_t, Sequence> restarts;
  for (auto item = first->next(now()); item.ok() && *item; item = first->next(now()))
    if ((*item)->kind == RecordKind::data) restarts[(*item)->xid] = first->restart();
  EXPECT_EQ(restarts[1], Sequence(3));
  EXPECT_EQ(restarts[2], Sequence(7));
  auto after_one = cursor(3, 0, 5);
  EXPECT_EQ(items(*after_one),
            (std::vector<std::string>{"preamble 0@3", "schema 0@6", "preamble 0@7", "data 2@8"}));
  auto after_two = cursor(3, 8);
  EXPECT_EQ(items(*after_two),
            (std::vector<std::string>{"preamble 0@3", "schema 0@6", "preamble 0@7"}));
  auto lacks_one = cursor(3, 0, 4);
  (void)lacks_one->next(soon());
  EXPECT_EQ(lacks_one->next(soon()).error().kind, ErrorKind::overtaken);
}

TEST_F(JournalCursor, EveryRestartPlaceLeadsToTheSameRest) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    MemoryWorld own;
    auto log = *Journal::open(own, kFolder, options, {});
    std::mt19937_64 random(seed);
    std::map<std::uint64_t, int> open_ones;
    std::uint64_t next_xid = 1;
    std::vector<Record> records{record_of(RecordKind::session), record_of(RecordKind::preamble)};
    for (int i = 0; i < 300; ++i) {
      if (random() % 20 == 0) records.push_back(record_of(RecordKind::preamble));
      if (open_ones.size() < 5 && random() % 3 == 0) {
        records.push_back(part(next_xid, "begin", true, false));
        open_ones[next_xid++] = 0;
      } else if (!open_ones.empty()) {
        const auto chosen =
            std::next(open_ones.begin(), static_cast<long>(random() % open_ones.size()));
        const auto what = random() % 5;
        if (what == 0)
          records.push_back(abort_of(chosen->first));
        else
          records.push_back(part(chosen->first, Bytes(random() % 2000, 'x'), false, what == 1));
        if (what < 2) open_ones.erase(chosen);
      }
    }
    ASSERT_TRUE(
        log->wait_durable(log->append(records, own.after(5s))->sequence, own.after(5s)).ok());
    auto c = *log->cursor(Sequence(0), Sequence(0));
    std::vector<std::pair<CursorItem, Sequence>> all;
    for (auto item = c->next(own.after(1ms)); *item; item = c->next(own.after(1ms)))
      all.emplace_back(**item, c->restart());
    ASSERT_GT(all.size(), 20U);
    for (std::size_t i = 0; i < all.size(); i += 7) {
      auto again = *log->cursor(all[i].second, all[i].first.place.sequence);
      std::size_t k = i + 1;
      for (auto item = again->next(own.after(1ms)); *item; item = again->next(own.after(1ms))) {
        if ((*item)->place.sequence <= all[i].first.place.sequence) {
          EXPECT_EQ((*item)->kind, RecordKind::preamble);
          continue;
        }
        ASSERT_LT(k, all.size());
        EXPECT_EQ((*item)->place, all[k].first.place);
        EXPECT_EQ((*item)->records, all[k].first.records);
        ++k;
      }
      EXPECT_EQ(k, all.size());
    }
  }
}

TEST_F(JournalCursor, RefusesToStartInsideATransactionThatItWouldHaveToGive) {
  commit(data_record(9, "9"));
  commit(part(1, "1a", true, false));
  commit(part(1, "1b", false, false));
  commit(part(1, "1c", false, true));
  commit(data_record(2, "2"));
  auto inside = cursor(3, 1);
  EXPECT_EQ(inside->next(soon()).error().kind, ErrorKind::overtaken);
  EXPECT_EQ(inside->next(soon()).error().kind, ErrorKind::overtaken);
  auto already_applied = cursor(3, 4);
  EXPECT_EQ(items(*already_applied), (std::vector<std::string>{"data 2@5"}));
  auto unknown = cursor(3);
  EXPECT_EQ(items(*unknown), (std::vector<std::string>{"data 2@5"}));
}

TEST_F(JournalCursor, ReadsATransactionLargerThanItsMemoryAgainFromTheLog) {
  options.keep = 24h;  // no consumer keeps what is read
  reopen();
  constexpr int kParts = 40;
  for (int i = 0; i < kParts; ++i) {
    append(part(1, Bytes(200'000, static_cast<char>('a' + i % 26)), i == 0, i == kParts - 1));
    append(data_record(100 + i, "between"));
  }
  ASSERT_TRUE(journal->wait_durable(journal->status().written.sequence, soon()).ok());
  auto c = cursor();
  CursorItem item;
  while (item.xid != 1) item = **c->next(soon());
  for (int round = 0; round < 2; ++round) {
    int i = 0;
    for (const std::string& payload : payloads(*c)) {
      ASSERT_EQ(payload.size(), 200'000U);
      EXPECT_EQ(payload[0], 'a' + i % 26);
      EXPECT_EQ(payload[199'999], 'a' + i++ % 26);
    }
    EXPECT_EQ(i, kParts);
    ASSERT_TRUE(c->rewind_item().ok());
  }
  EXPECT_EQ((**c->next(soon())).xid, 139U);
}

TEST_F(JournalCursor, FollowsTheTail) {
  auto c = cursor();
  EXPECT_FALSE(c->next(now())->has_value());
  os::Thread appender("appender", [&](std::stop_token) {
    for (std::uint64_t i = 1; i <= 50; ++i) append(data_record(i, "x"));
  });
  for (std::uint64_t i = 1; i <= 50; ++i) EXPECT_EQ((**c->next(soon())).xid, i);
}

TEST_F(JournalCursor, InATrimmedLogTheBeginningIsTheFirstPreamble) {
  // As after a trim, or in a region that joined: a log that begins in the middle.
  MemoryWorld joined;
  auto late = *Journal::open(joined, kFolder, options, {});
  ASSERT_TRUE(late->start_at({Epoch(1), Sequence(2)}, 7, {{Epoch(1), Sequence(1), "db"}}, {}).ok());
  EXPECT_FALSE(late->first_preamble()->has_value());
  std::vector<Record> records{part(1, "1b", false, true),  // 2: of a transaction that began before
                              part(5, "5a", true, false),  // 3
                              data_record(2, "2"),         // 4
                              record_of(RecordKind::heartbeat),  // 5
                              record_of(RecordKind::preamble),
                              data_record(3, "3"),  // 6, 7
                              part(5, "5b", false, true),
                              record_of(RecordKind::preamble),
                              data_record(4, "4")};
  ASSERT_TRUE(late->wait_durable(late->append(records, soon())->sequence, soon()).ok());
  EXPECT_EQ(*late->first_preamble(), Sequence(6));
  auto c = *late->cursor(Sequence(0), Sequence(0));
  EXPECT_EQ(items(*c), (std::vector<std::string>{"heartbeat 0@5", "preamble 0@6", "data 3@7",
                                                 "preamble 0@9", "data 4@10"}));
  EXPECT_EQ(late->cursor(Sequence(1), Sequence(0)).error().kind, ErrorKind::overtaken);
  // Who lacks transaction 5, which ends at 8, must not pass it over.
  auto holds_five = *late->cursor(Sequence(0), Sequence(0), Sequence(8));
  EXPECT_EQ(items(*holds_five),
            (std::vector<std::string>{"heartbeat 0@5", "preamble 0@6", "data 3@7", "preamble 0@9",
                                      "data 4@10"}));
  auto lacks_five = *late->cursor(Sequence(0), Sequence(0), Sequence(7));
  Result<std::optional<CursorItem>> item = lacks_five->next(soon());
  while (item.ok() && *item) item = lacks_five->next(now());
  EXPECT_EQ(item.error().kind, ErrorKind::overtaken);
}

TEST_F(JournalCursor, WhoHasNothingBeginsWhereNothingIsOpen) {
  Record among_open = record_of(RecordKind::preamble);
  among_open.flags.streamed = true;
  commit(part(1, "1a", true, false));
  commit(among_open);  // 2
  EXPECT_EQ(*journal->first_preamble(), std::nullopt);
  commit(part(1, "1b", false, true));
  commit(record_of(RecordKind::preamble));  // 4
  EXPECT_EQ(*journal->first_preamble(), Sequence(4));
  reopen();
  EXPECT_EQ(*journal->first_preamble(), Sequence(4));
}

TEST_F(JournalCursor, TheReaderFollowsTheTailWithoutReadingTheDiskWhileNothingComes) {
  commit_many(10);
  auto reader = *journal->reader(Sequence(1));
  EXPECT_EQ(reader->next(1_MiB, soon())->size(), 10U);
  (void)eventually([] { return false; }, 10);  // the scrub's first look is over
  const auto read = world.disk.counts().bytes_read;
  EXPECT_TRUE(reader->next(1_MiB, now())->empty());
  EXPECT_EQ(world.disk.counts().bytes_read, read);
  os::Thread appender("appender", [&](std::stop_token) { append(data_record(99, "news")); });
  EXPECT_EQ(reader->next(1_MiB, soon())->at(0).record.payload, "news");
}

TEST_F(JournalCursor, TheReaderKeepsToItsBytesButGivesAtLeastOneRecord) {
  commit_many(10, 1000);
  auto reader = *journal->reader(Sequence(1));
  EXPECT_EQ(reader->next(1, soon())->size(), 1U);
  EXPECT_EQ(reader->position(), Sequence(2));
  EXPECT_EQ(reader->next(3500, soon())->size(), 3U);
  EXPECT_EQ(reader->position(), Sequence(5));
  ASSERT_TRUE(reader->seek(Sequence(9)).ok());
  EXPECT_EQ(reader->next(1_MiB, soon())->size(), 2U);
}

}  // namespace
}  // namespace farshore::journal
