#include "engine/postgres/pgoutput.h"

#include <gmock/gmock.h>

#include "engine/postgres/recorded_sessions.h"

namespace farshore::postgres {
namespace {

using testing::ElementsAre;

template <class T>
std::vector<T> all_of(const std::vector<std::string>& messages) {
  std::vector<T> out;
  bool in_stream = false;
  for (const std::string& message : messages) {
    auto decoded = decode(message, in_stream);
    EXPECT_TRUE(decoded.ok()) << decoded.error().what;
    if (message[0] == 'S') in_stream = true;
    if (message[0] == 'E') in_stream = false;
    if (auto* found = std::get_if<T>(&*decoded)) out.push_back(*found);
  }
  return out;
}

std::string text_of(const Tuple& tuple) {
  std::string out;
  for (TupleReader reader(tuple); auto value = reader.next();) {
    out += static_cast<char>(value->kind);
    out += std::string(value->bytes.substr(0, 12)) + ";";
  }
  return out;
}

const std::vector<std::string> kPlain = recorded_messages(kPlainSession);
const std::vector<std::string> kStreamed = recorded_messages(kStreamedSession);

TEST(Pgoutput, TransactionsHaveTheirEndsTimesAndIds) {
  const auto begins = all_of<Begin>(kPlain);
  const auto commits = all_of<Commit>(kPlain);
  ASSERT_EQ(begins.size(), 7u);
  ASSERT_EQ(commits.size(), 7u);
  for (std::size_t i = 0; i < begins.size(); ++i) {
    EXPECT_EQ(begins[i].final_lsn, commits[i].commit_lsn);
    EXPECT_EQ(begins[i].commit_time, commits[i].commit_time);
    EXPECT_LT(commits[i].commit_lsn, commits[i].end_lsn);
    EXPECT_GT(format_time(commits[i].commit_time), "2026-01-01");
    EXPECT_LT(format_time(commits[i].commit_time), "2027-12-31");
    EXPECT_TRUE(i == 0 || begins[i].xid > begins[i - 1].xid);
  }
}

TEST(Pgoutput, RelationsNameTheirColumnsAndKeys) {
  const auto relations = all_of<Relation>(kPlain);
  ASSERT_EQ(relations.size(), 6u);
  EXPECT_EQ(relations[0].schema, "public");
  EXPECT_EQ(relations[0].name, "orders");
  EXPECT_EQ(relations[0].replica_identity, 'd');
  ASSERT_EQ(relations[0].columns.size(), 3u);
  EXPECT_EQ(relations[0].columns[0].name, "id");
  EXPECT_EQ(relations[0].columns[0].type_oid, 23u);
  EXPECT_TRUE(relations[0].columns[0].key);
  EXPECT_FALSE(relations[0].columns[1].key);
  EXPECT_EQ(relations[1].replica_identity, 'f');
  EXPECT_TRUE(relations[1].columns[1].key);
  EXPECT_EQ(relations[2].name, "Wide É");
  const auto types = all_of<Type>(kPlain);
  ASSERT_FALSE(types.empty());
  EXPECT_EQ(types[0].name, "mood");
  EXPECT_EQ(types[0].oid, relations[0].columns[2].type_oid);
}

TEST(Pgoutput, RowsHoldTheirValuesAndWhatIdentifiesThem) {
  const auto inserts = all_of<Insert>(kPlain);
  EXPECT_EQ(text_of(inserts[0].row), "t1;ta;tsad;");
  EXPECT_EQ(text_of(inserts[1].row), "t2;n;tglad;");
  const auto updates = all_of<Update>(kPlain);
  ASSERT_EQ(updates.size(), 5u);
  EXPECT_EQ(updates[0].old_kind, OldTuple::none);
  EXPECT_EQ(text_of(updates[0].row), "t1;tb;tsad;");
  EXPECT_EQ(updates[1].old_kind, OldTuple::key);
  EXPECT_EQ(text_of(updates[1].old_row), "t2;n;n;");
  EXPECT_EQ(text_of(updates[1].row), "t3;n;tglad;");
  EXPECT_EQ(updates[2].old_kind, OldTuple::full);
  EXPECT_EQ(text_of(updates[2].old_row), "t1;t1.50;");
  EXPECT_EQ(text_of(updates[2].row), "t1;tNaN;");
  EXPECT_EQ(text_of(updates[4].row), "t2;u;");  // the long text did not change
  const auto deletes = all_of<Delete>(kPlain);
  EXPECT_EQ(deletes[0].old_kind, OldTuple::key);
  EXPECT_EQ(deletes[1].old_kind, OldTuple::full);
}

TEST(Pgoutput, TruncateMessagesAndOrigins) {
  const auto truncates = all_of<Truncate>(kPlain);
  ASSERT_EQ(truncates.size(), 1u);
  EXPECT_TRUE(truncates[0].cascade && truncates[0].restart_identity);
  EXPECT_EQ(truncates[0].relations.size(), 2u);
  const auto messages = all_of<Logical>(kPlain);
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_TRUE(messages[0].transactional);
  EXPECT_EQ(messages[0].prefix, "farshore.heartbeat");
  EXPECT_EQ(messages[0].content, "2026-01-01");
  EXPECT_FALSE(messages[1].transactional);
  const auto origins = all_of<Origin>(kPlain);
  ASSERT_EQ(origins.size(), 1u);
  EXPECT_EQ(origins[0].name, "elsewhere");
}

TEST(Pgoutput, InAStreamEveryMessageNamesItsSubtransaction) {
  const auto starts = all_of<StreamStart>(kStreamed);
  const auto aborts = all_of<StreamAbort>(kStreamed);
  const auto commits = all_of<StreamCommit>(kStreamed);
  ASSERT_EQ(aborts.size(), 2u);
  ASSERT_EQ(commits.size(), 2u);
  EXPECT_TRUE(starts[0].first_segment);
  EXPECT_FALSE(starts[1].first_segment);
  EXPECT_EQ(aborts[0].xid, starts[0].xid);
  EXPECT_NE(aborts[0].sub_xid, aborts[0].xid);
  EXPECT_EQ(aborts[1].sub_xid, aborts[1].xid);
  EXPECT_EQ(commits[0].xid, starts[0].xid);
  const auto inserts = all_of<Insert>(kStreamed);
  EXPECT_EQ(inserts[0].xid, starts[0].xid);
  EXPECT_EQ(inserts[1].xid, aborts[0].sub_xid);
  EXPECT_EQ(text_of(inserts[1].row), "t21;ty;tsad;");
  EXPECT_EQ(all_of<Truncate>(kStreamed)[0].relations.size(), 1u);
}

TEST(Pgoutput, AMessageThatIsCutAnywhereOrTooLongIsRefused) {
  for (const auto& session : {kPlain, kStreamed}) {
    bool in_stream = false;
    for (const std::string& message : session) {
      for (std::size_t size = 0; size < message.size(); ++size) {
        // A copy of exactly this size: reading past it is found by the sanitizer.
        const std::vector<char> part(message.begin(), message.begin() + size);
        auto decoded = decode(ByteView(part.data(), part.size()), in_stream);
        ASSERT_FALSE(decoded.ok()) << message[0] << " of " << message.size() << " cut at " << size;
        EXPECT_EQ(decoded.error().kind, ErrorKind::corrupt);
      }
      EXPECT_FALSE(decode(message + '\0', in_stream).ok());
      if (message[0] == 'S') in_stream = true;
      if (message[0] == 'E') in_stream = false;
    }
  }
  EXPECT_FALSE(decode("Z", false).ok());
}

TEST(Pgoutput, AStreamAbortMayCarryPlaceAndTime) {
  Bytes abort(recorded_messages("410000030a0000030b").front());
  EXPECT_EQ(std::get<StreamAbort>(*decode(abort, false)).sub_xid, 0x30bu);
  abort += Bytes(16, '\1');
  EXPECT_EQ(std::get<StreamAbort>(*decode(abort, false)).sub_xid, 0x30bu);
  abort += '\1';
  EXPECT_FALSE(decode(abort, false).ok());
}

TEST(Pgoutput, ATimeThatNoClockHasIsRefused) {
  Bytes begin = "B" + Bytes(8, '\0') + Bytes(8, '\x7f') + Bytes(4, '\1');
  EXPECT_FALSE(decode(begin, false).ok());
}

}  // namespace
}  // namespace farshore::postgres
