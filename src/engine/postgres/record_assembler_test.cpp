#include "engine/postgres/record_assembler.h"

#include <gmock/gmock.h>

#include <span>

#include "engine/postgres/recorded_sessions.h"

namespace farshore::postgres {
namespace {

using testing::ElementsAre;
using namespace std::string_literals;

std::vector<Record> records_of(RecordAssembler& assembler,
                               const std::vector<std::string>& messages) {
  for (const std::string& message : messages) {
    auto taken = assembler.take(message);
    EXPECT_TRUE(taken.ok()) << taken.error().what;
  }
  return assembler.take_ready(100_MiB);
}

std::string letters(const Record& record) {
  std::string out;
  PayloadReader reader;
  EXPECT_TRUE(reader.feed(record.payload, record.flags.continued).ok());
  for (auto message = reader.next(); *message; message = reader.next()) out += (*message)->front();
  return out;
}

// kind, flags, changes, messages: "data first last 4 BYRC"
std::string line(const Record& record) {
  std::string out;
  switch (record.kind) {
    case RecordKind::data:
      out = "data";
      break;
    case RecordKind::abort:
      out = record.sub_xid == 0 ? "abort" : "abort-sub";
      break;
    case RecordKind::heartbeat:
      out = "heartbeat";
      break;
    case RecordKind::preamble:
      out = "preamble";
      break;
    case RecordKind::schema:
      out = "schema";
      break;
    default:
      out = "?";
  }
  if (record.flags.first) out += " first";
  if (record.flags.last) out += " last";
  if (record.flags.streamed) out += " streamed";
  if (record.changes > 0) out += " " + std::to_string(record.changes);
  const std::string messages = letters(record);
  return messages.empty() ? out : out + " " + messages;
}

std::vector<std::string> lines(const std::vector<Record>& records) {
  std::vector<std::string> out;
  out.reserve(records.size());
  for (const Record& record : records) out.push_back(line(record));
  return out;
}

const std::vector<std::string> kPlain = recorded_messages(kPlainSession);
const std::vector<std::string> kStreamed = recorded_messages(kStreamedSession);

TEST(RecordAssembler, PlainTransactionsAreOneRecordEach) {
  RecordAssembler assembler("farshore_");
  const auto records = records_of(assembler, kPlain);
  EXPECT_THAT(lines(records),
              ElementsAre("data first last 5 BYRIIUUDC", "data first last 6 BRIIUUDDC",
                          "data first last 1 BRIC", "data first last 1 BUC",
                          "data first last 1 BYRRTC", "heartbeat", "data first last 1 BOYRIC"));
  EXPECT_EQ(assembler.emitted(), *Lsn::from(records.back().position));
  for (const Record& record : records) EXPECT_NE(record.commit_time, WallTime{});
}

TEST(RecordAssembler, StreamedTransactionsComeInPartsWithTheirAborts) {
  RecordAssembler assembler("farshore_");
  const auto records = records_of(assembler, kStreamed);
  const auto text = lines(records);
  EXPECT_EQ(text[0], "data first streamed 1 SYRIE");
  EXPECT_EQ(text[1], "data streamed 1 SIE");
  EXPECT_EQ(text[2], "abort-sub");
  EXPECT_EQ(text[3], "data streamed 1 SRIE");  // empty blocks leave nothing
  EXPECT_EQ(text[4], "data streamed 1 SRTE");
  EXPECT_EQ(text[5], "data last streamed c");
  EXPECT_EQ(text[6], "schema YRRR");  // for who begins behind its beginning
  EXPECT_EQ(text[7], "data first streamed 1 SYRDE");
  EXPECT_EQ(text[8], "abort");
  EXPECT_EQ(text[9], "data first streamed 1 SYRIE");
  EXPECT_EQ(text[10], "data last streamed c");
  EXPECT_EQ(text[11], "schema YR");
  EXPECT_EQ(text.size(), 12u);
  EXPECT_EQ(records[2].xid, records[0].xid);
  EXPECT_NE(records[5].position, Position{});
}

TEST(RecordAssembler, ThePreambleHoldsWhatCommittedTransactionsDefined) {
  RecordAssembler assembler("farshore_");
  (void)records_of(assembler, kStreamed);
  const auto preamble = assembler.preamble();
  ASSERT_EQ(preamble.size(), 1u);
  PayloadReader reader;
  ASSERT_TRUE(reader.feed(preamble[0], false).ok());
  std::string out;
  for (auto message = reader.next(); *message; message = reader.next()) {
    EXPECT_TRUE(decode(**message, false).ok());  // as outside of a stream
    out += (*message)->front();
  }
  EXPECT_EQ(out, "YRR");
}

TEST(RecordAssembler, ARelationOfAStreamThatIsRolledBackDefinesNothing) {
  RecordAssembler assembler("farshore_");
  std::vector<std::string> rolled_back;
  for (std::size_t i = 0; i < kStreamed.size(); ++i)
    if (kStreamed[i][0] == 'c') {
      rolled_back.assign(kStreamed.begin() + static_cast<std::ptrdiff_t>(i) + 1, kStreamed.end());
      break;
    }
  while (rolled_back.back()[0] != 'A') rolled_back.pop_back();
  EXPECT_THAT(lines(records_of(assembler, rolled_back)),
              ElementsAre("data first streamed 1 SYRDE", "abort"));
  EXPECT_TRUE(assembler.preamble().empty());
}

TEST(RecordAssembler, ARelationOfAnAbortedSubtransactionDefinesNothing) {
  // S, R of subtransaction 2, E, its abort, S, E, c; with no row change in it.
  auto number = [](std::uint32_t value) { return Bytes(3, '\0') + static_cast<char>(value); };
  Bytes relation =
      "R" + number(2) + number(9) + "public\0t\0d\0\1"s + "\1id\0\0\0\0\27\377\377\377\377"s;
  RecordAssembler assembler("farshore_");
  const auto records =
      records_of(assembler, {"S" + number(1) + "\1", relation, "E", "A" + number(1) + number(2),
                             "c" + number(1) + Bytes(1 + 8 + 8 + 8, '\0')});
  EXPECT_THAT(lines(records),
              ElementsAre("data first streamed SRE", "abort-sub", "data last streamed c"));
  EXPECT_TRUE(assembler.preamble().empty());
}

TEST(RecordAssembler, OwnOriginsLeaveOnlyTheirDefinitions) {
  RecordAssembler assembler("else");
  const auto records = records_of(assembler, kPlain);
  EXPECT_EQ(line(records.back()), "schema YR");
  EXPECT_GT(assembler.passed(), assembler.emitted());
}

TEST(RecordAssembler, AStreamedTransactionOfOurOriginLeavesOnlyItsDefinitions) {
  // The recorded session with an origin message after each first block's start.
  std::vector<std::string> messages;
  for (const std::string& message : kStreamed) {
    messages.push_back(message);
    if (message[0] == 'S' && message.back() == '\1')
      messages.push_back("O" + std::string(8, '\0') + "farshore_x" + std::string(1, '\0'));
  }
  RecordAssembler assembler("farshore_");
  const auto text = lines(records_of(assembler, messages));
  EXPECT_THAT(text, ElementsAre("schema YRRR", "schema YR"));
  EXPECT_EQ(assembler.preamble().size(), 1u);
}

TEST(RecordAssembler, RecordsAreCutAtTheirLimit) {
  RecordAssembler assembler("farshore_", 100);
  const auto records = records_of(assembler, kPlain);
  bool first = true;
  std::uint32_t changes = 0;
  PayloadReader reader;
  std::string all;
  for (const Record& record : records) {
    EXPECT_LE(record.payload.size(), 100u);
    if (record.kind != RecordKind::data) continue;
    EXPECT_EQ(record.flags.first, first);
    first = record.flags.last;
    changes += record.changes;
    EXPECT_EQ(record.position.empty(), !record.flags.last);
    ASSERT_TRUE(reader.feed(record.payload, record.flags.continued).ok());
    for (auto message = reader.next(); *message; message = reader.next())
      all += (*message)->front();
  }
  EXPECT_EQ(changes, 15u);
  EXPECT_EQ(all, "BYRIIUUDCBRIIUUDDCBRICBUCBYRRTCBOYRIC");
}

TEST(RecordAssembler, EverythingTakesAtMostWhatIsAskedFor) {
  RecordAssembler assembler("farshore_");
  for (const std::string& message : kPlain) ASSERT_TRUE(assembler.take(message).ok());
  const std::uint64_t all = assembler.ready_bytes();
  std::uint64_t taken = 0;
  for (;;) {
    const auto records = assembler.take_ready(300);
    if (records.empty()) break;
    std::uint64_t bytes = 0;
    for (const Record& record : records) bytes += record.payload.size();
    EXPECT_TRUE(bytes <= 300 || records.size() == 1);
    taken += bytes;
  }
  EXPECT_EQ(taken, all);
  EXPECT_EQ(assembler.ready_bytes(), 0u);
}

// Preambles stand only there, and of a busy source there is always more that has begun.
TEST(RecordAssembler, WhatIsTakenEndsBetweenTwoWholeTransactionsWhereOneEnds) {
  RecordAssembler assembler("farshore_", 60);
  int begun = 0;
  for (const std::string& message : kPlain) {
    ASSERT_TRUE(assembler.take(message).ok());
    begun += static_cast<int>(message.front() == 'B');
    if (begun == 2 && !assembler.ready().back().flags.last) break;
  }
  EXPECT_TRUE(assembler.take_ready(100_MiB).back().flags.last);
  EXPECT_TRUE(assembler.take_ready(100_MiB).front().flags.first);
  EXPECT_TRUE(assembler.take_ready(100_MiB).empty());
}

Result<void> take_all(RecordAssembler& assembler, std::span<const std::string> messages) {
  for (const std::string& message : messages) FARSHORE_TRY(assembler.take(message));
  return {};
}

// From each commit on: it is known again, is not given again, and all after it is.
TEST(RecordAssembler, ASessionThatBeginsAtItsLastCommitGivesWhatComesAfterIt) {
  RecordAssembler before("farshore_");
  const auto records = records_of(before, kPlain);
  std::size_t from = 0;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const ResumePlace place = *ResumePlace::from(records[i].position);
    ASSERT_TRUE(place.commit);
    EXPECT_LT(place.commit->record, place.after);
    RecordAssembler after("farshore_");
    after.resume(place, place.commit->record);
    EXPECT_FALSE(after.log_is_known());
    EXPECT_TRUE(after.sent_through(place.commit->record).ok());
    EXPECT_FALSE(after.sent_through(place.after).ok());
    EXPECT_TRUE(take_all(after, std::span(kPlain).subspan(from)).ok());
    EXPECT_TRUE(after.log_is_known());
    std::vector<Record> rest = after.take_ready(100_MiB);
    std::erase_if(rest, [](const Record& r) { return r.kind == RecordKind::schema; });
    ASSERT_EQ(rest.size(), records.size() - i - 1);
    for (std::size_t k = 0; k < rest.size(); ++k) EXPECT_EQ(rest[k], records[i + 1 + k]);
    if (i == 0) {
      EXPECT_EQ(after.preamble(), before.preamble());
    }
    while (kPlain[from][0] != 'C') ++from;
    ++from;
    if (i == 3) break;  // what follows has messages between the transactions
  }
}

TEST(RecordAssembler, AnotherCommitInThePlaceOfTheExpectedOneIsRefused) {
  RecordAssembler before("farshore_");
  const auto records = records_of(before, kPlain);
  const ResumePlace place = *ResumePlace::from(records[0].position);
  const auto refused = [](const ResumePlace& expected) {
    RecordAssembler after("farshore_");
    after.resume(expected, expected.commit->record);
    const auto taken = take_all(after, kPlain);
    return taken.ok() ? Error{} : taken.error();
  };
  ResumePlace other_time = place, other_place = place;
  ++other_time.commit->time;
  other_place.commit->record = Lsn(place.commit->record.value() - 8);
  for (const ResumePlace& other : {other_time, other_place}) {
    EXPECT_EQ(refused(other).kind, ErrorKind::overtaken);
    EXPECT_THAT(refused(other).what, testing::HasSubstr(kSetBack));
  }
  EXPECT_THAT(refused(other_place).what, testing::HasSubstr(other_place.commit->record.text()));
}

// Where a record that carries a place alone is the last: no commit says what lay before it.
TEST(RecordAssembler, ACommitBeforeThePlaceThatWasNotCapturedIsRefused) {
  RecordAssembler before("farshore_");
  const auto records = records_of(before, kPlain);
  const ResumePlace first = *ResumePlace::from(records[0].position);
  const ResumePlace place{*Lsn::from(records[1].position), first.commit};
  const auto second = std::ranges::find(kPlain.begin() + 1, kPlain.end(), 'B',
                                        [](const std::string& message) { return message[0]; });
  const auto refused = [&](Lsn begin, std::span<const std::string> messages) {
    RecordAssembler after("farshore_");
    after.resume(place, begin);
    const auto taken = take_all(after, messages);
    EXPECT_FALSE(after.log_is_known());
    return taken.ok() ? Error{} : taken.error();
  };
  for (const Error& error : {refused(first.after, {second, kPlain.end()}),
                             refused(first.commit->record, std::span(kPlain))}) {
    EXPECT_EQ(error.kind, ErrorKind::overtaken);
    EXPECT_THAT(error.what, testing::HasSubstr(kSetBack));
    EXPECT_THAT(error.what, testing::HasSubstr(place.after.text()));
  }
}

TEST(RecordAssembler, ATransactionOfOurOriginMayComeAgainBeforeThePlace) {
  RecordAssembler before("else");
  const auto records = records_of(before, kPlain);
  ResumePlace place = *ResumePlace::from(records[5].position);
  const Lsn begin = place.after;
  place.after = before.passed();
  std::size_t last = kPlain.size() - 1;
  while (kPlain[last][0] != 'B') --last;
  const std::span<const std::string> messages = std::span(kPlain).subspan(last);
  RecordAssembler again("else");
  again.resume(place, begin);
  EXPECT_TRUE(take_all(again, messages).ok());
  EXPECT_FALSE(again.log_is_known());
  EXPECT_TRUE(again.sent_through(place.after).ok());
  EXPECT_TRUE(again.log_is_known());
  RecordAssembler other("farshore_");
  other.resume(place, begin);
  EXPECT_FALSE(take_all(other, messages).ok());
}

TEST(RecordAssembler, AStreamedTransactionThatIsSentAgainIsAborted) {
  RecordAssembler before("farshore_");
  const auto records = records_of(before, kStreamed);
  RecordAssembler after("farshore_");
  const ResumePlace place = *ResumePlace::from(records[5].position);
  after.resume(place, place.commit->record);
  const auto text = lines(records_of(after, kStreamed));
  EXPECT_THAT(text, testing::Contains("abort"));
  EXPECT_EQ(std::ranges::count(text, "data last streamed c"), 1);
  EXPECT_EQ(after.preamble(), before.preamble());
}

// Its only change was in a part that was aborted: sent anew it holds nothing.
TEST(RecordAssembler, OnlyACommitThatWouldComeAgainIsExpectedLater) {
  const auto number = [](char value) { return Bytes(3, '\0') + value; };
  const auto named = [&](const Bytes& other) {
    RecordAssembler assembler("farshore_");
    const auto records = records_of(
        assembler, {"S" + number(1) + "\1", "I" + number(2) + "N", other, "E",
                    "A" + number(1) + number(2), "c" + number(1) + Bytes(1 + 8 + 8 + 8, '\0')});
    return ResumePlace::from(records.at(2).position)->commit.has_value();
  };
  EXPECT_FALSE(named("I" + number(2) + "N"));
  EXPECT_TRUE(named("I" + number(3) + "N"));
  EXPECT_TRUE(named("I" + number(1) + "N"));
}

TEST(RecordAssembler, APlaceNamesTheLastCommit) {
  RecordAssembler assembler("farshore_");
  const auto records = records_of(assembler, kStreamed);
  const auto last = ResumePlace::from(records[10].position);
  EXPECT_TRUE(last->commit);
  const Lsn later(last->after.value() + 1000);
  assembler.add_place(later);
  EXPECT_EQ(ResumePlace::from(assembler.ready().back().position)->commit, last->commit);
  EXPECT_EQ(*Lsn::from(assembler.ready().back().position), later);
}

TEST(RecordAssembler, MessagesWhereTheyCannotStandAreRefused) {
  const std::string& begin = kPlain[0];
  const std::string& insert = kPlain[3];
  const std::string& commit = kPlain[8];
  auto refused = [](std::vector<std::string> messages) {
    RecordAssembler assembler("farshore_");
    for (std::size_t i = 0; i + 1 < messages.size(); ++i)
      EXPECT_TRUE(assembler.take(messages[i]).ok());
    return !assembler.take(messages.back()).ok();
  };
  EXPECT_TRUE(refused({insert}));
  EXPECT_TRUE(refused({commit}));
  EXPECT_TRUE(refused({begin, begin}));
  EXPECT_TRUE(refused({"E"}));
  EXPECT_TRUE(refused({kStreamed[0], commit}));
  EXPECT_TRUE(refused({kStreamed[0], kStreamed[0]}));
  EXPECT_TRUE(refused({kStreamed[0], "E", kStreamed[0]}));  // begins twice
  EXPECT_TRUE(refused({kStreamed[5]}));                     // goes on, never began
  EXPECT_TRUE(refused({""}));
  EXPECT_TRUE(refused({"Z"}));
}

}  // namespace
}  // namespace farshore::postgres
