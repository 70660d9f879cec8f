#include <fmt/format.h>

#include <fstream>

#include "base/checksum.h"
#include "change/record_codec.h"
#include "journal/consumers.h"
#include "journal/epoch_history.h"
#include "journal/inspect.h"
#include "journal/journal_fixture.h"
#include "journal/segment_format.h"
#include "journal/segment_index.h"
#include "os/real/real_world.h"

namespace farshore::journal {
namespace {

SegmentHeader sample_header() {
  return {Epoch(2),
          Sequence(991),
          0x1122334455667788,
          WallTime(1'700'000'000s),
          Sequence(980),
          true,
          {{"\x01\x02\x03"}, WallTime(1'600'000'000s), 7}};
}

TEST(SegmentFormat, ReadsTheHeaderItWritesAndNoOther) {
  const Bytes bytes = encode_segment_header(sample_header());
  EXPECT_EQ(bytes.size() % 8, 0U);
  EXPECT_EQ(bytes.size(), sample_header().bytes());
  const auto read = decode_segment_header(bytes + "frames behind it");
  ASSERT_TRUE(read.ok()) << read.error().what;
  EXPECT_EQ(encode_segment_header(*read), bytes);
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(decode_segment_header(ByteView(bytes).substr(0, size)).ok());
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    Bytes changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_FALSE(decode_segment_header(changed).ok()) << at;
  }
}

TEST(SegmentFormat, NamesSortBySequence) {
  EXPECT_EQ(segment_name(Sequence(991), Epoch(2)), "00000000000000000991-0000000002.segment");
  const auto name = parse_segment_name("00000000000000000991-0000000002.segment");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->first, Sequence(991));
  EXPECT_EQ(name->epoch, Epoch(2));
  for (const char* other :
       {"consumers", "history", "lock", "00000000000000000991-0000000002.index",
        "00000000000000000991-0000000002.segment.new", "x0000000000000000991-0000000002.segment",
        "99999999999999999999-0000000002.segment"})
    EXPECT_FALSE(parse_segment_name(other)) << other;
}

TEST(SegmentFormat, IndexHistoryAndConsumersReadWhatTheyWriteAndNothingElse) {
  SegmentIndex index;
  index.add(Sequence(1), 80);
  index.add(Sequence(2), 100);  // too near
  index.add(Sequence(3), 80 + kIndexIntervalBytes);
  index.add_preamble(Sequence(2));
  EXPECT_EQ(index.entries().size(), 2U);
  EXPECT_EQ(index.find(Sequence(2)).offset, 80U);
  EXPECT_EQ(index.preamble_at_or_before(Sequence(1)), Sequence(0));
  EXPECT_EQ(index.preamble_at_or_before(Sequence(3)), Sequence(2));
  EXPECT_EQ(*decode_segment_index(encode_segment_index(index)), index);

  EpochHistory history;
  history.promised = Epoch(5);
  history.entries = {{Epoch(1), Sequence(1), "system=1"}, {Epoch(4), Sequence(70), "system=2"}};
  history.set_aside = {{Epoch(1), Sequence(70), Sequence(99), Epoch(4)}};
  history.cut = Sequence(70);
  EXPECT_EQ(*decode_history(encode_history(history)), history);

  ConsumerTable table;
  table["eu"] = {{Sequence(10), Sequence(4), true}, false};
  table["ap"] = {{Sequence(3), Sequence(3), false}, true};
  EXPECT_EQ(*decode_consumers(encode_consumers(table)), table);

  for (const Bytes& bytes :
       {encode_segment_index(index), encode_history(history), encode_consumers(table)})
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      Bytes changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ 1);
      for (const ByteView bad : {ByteView(changed), ByteView(bytes).substr(0, at)}) {
        EXPECT_FALSE(decode_segment_index(bad).ok());
        EXPECT_FALSE(decode_history(bad).ok());
        EXPECT_FALSE(decode_consumers(bad).ok());
      }
    }
}

// --- golden files: what version 0.1 wrote must open for ever

Bytes golden(const std::string& name) {
  std::ifstream in(std::string(FARSHORE_GOLDEN) + "/journal/0.1/" + name, std::ios::binary);
  EXPECT_TRUE(in.good()) << name;
  return {std::istreambuf_iterator<char>(in), {}};
}

const std::vector<std::string> kGoldenFiles{"00000000000000000001-0000000001.segment",
                                            "00000000000000000011-0000000002.segment", "consumers",
                                            "history"};

std::vector<Record> golden_records() {
  std::vector<Record> records{record_of(RecordKind::session, "system=7 timeline=1"),
                              record_of(RecordKind::preamble, "relations"),
                              data_record(100, "one")};
  for (int i = 0; i < 3; ++i) {
    Record part = data_record(101, "part " + std::to_string(i), i == 0, i == 2);
    part.flags.streamed = true;
    records.push_back(part);
  }
  Record aborted = record_of(RecordKind::abort);
  aborted.xid = 102;
  aborted.sub_xid = 103;
  records.push_back(aborted);
  Record heartbeat = record_of(RecordKind::heartbeat);
  heartbeat.commit_time = WallTime(1'700'000'000s);
  heartbeat.position.bytes = "00000200";
  records.push_back(heartbeat);
  records.push_back(record_of(RecordKind::definition, "{}"));
  records.push_back(record_of(RecordKind::table, "mark"));
  return records;
}

class JournalGolden : public JournalFixture {};

// FARSHORE_REWRITE_GOLDEN=1 writes them anew: only before a format is released.
TEST_F(JournalGolden, FilesOfEachReleaseOpen) {
  if (std::getenv("FARSHORE_REWRITE_GOLDEN") != nullptr) {
    open();
    ASSERT_TRUE(journal->begin_epoch({Epoch(1), Sequence(1), "system=7"}).ok());
    const auto records = golden_records();
    ASSERT_TRUE(journal->append(records, soon()).ok());
    ASSERT_TRUE(journal->begin_epoch({Epoch(2), Sequence(11), "system=8"}).ok());
    commit(data_record(104, "in epoch two"));
    ASSERT_TRUE(journal->set_consumer("eu", {Sequence(6), Sequence(4), true}).ok());
    journal.reset();
    for (const std::string& name : kGoldenFiles)
      std::ofstream(fmt::format("{}/journal/0.1/{}", FARSHORE_GOLDEN, name), std::ios::binary)
          << world.disk.read(fmt::format("{}/{}", kFolder, name));
  }
  events.clear();
  MemoryWorld old;
  for (const std::string& name : kGoldenFiles) {
    const Bytes bytes = golden(name);
    const std::string path = fmt::format("{}/{}", kFolder, name);
    ASSERT_TRUE(old.disk.open(path, os::OpenMode::create).ok());
    old.disk.change(path, [&](Bytes& content) { content = bytes; });
  }
  auto opened = Journal::open(old, kFolder, options, sink());
  ASSERT_TRUE(opened.ok()) << opened.error().what;
  EXPECT_TRUE(events.empty());
  auto reader = *(*opened)->reader(Sequence(1));
  std::vector<Record> records;
  while (records.size() < 11) {
    const auto next = reader->next(1_MiB, soon());
    ASSERT_TRUE(next.ok() && !next->empty());
    for (const PlacedRecord& placed : *next) records.push_back(placed.record);
  }
  auto expected = golden_records();
  expected.push_back(data_record(104, "in epoch two"));
  EXPECT_EQ(records, expected);
  EXPECT_EQ((*opened)->status().durable, (Place{Epoch(2), Sequence(11)}));
  EXPECT_EQ((*opened)->status().hash, 4308298110006835549ULL);
  EXPECT_EQ(*(*opened)->consumer("eu"), (ConsumerPlaces{Sequence(6), Sequence(4), true}));
  EXPECT_EQ((*opened)->history().back().identity, "system=8");
}

// --- inspect

class JournalInspect : public JournalFixture {};

TEST_F(JournalInspect, ShowsEveryRecordButNoPayload) {
  open();
  commit(record_of(RecordKind::session, "identity"));
  commit(data_record(4711, "SECRET"));
  const std::string path = segment_paths().at(0);
  for (const bool json : {false, true}) {
    const auto shown = inspect_file(world.disk, path, {.records = true, .json = json});
    ASSERT_TRUE(shown.ok());
    EXPECT_NE(shown->text.find("4711"), std::string::npos);
    EXPECT_NE(shown->text.find("first,last"), std::string::npos);
    EXPECT_NE(shown->text.find("session"), std::string::npos);
    EXPECT_EQ(shown->text.find("SECRET"), std::string::npos);
    EXPECT_EQ(shown->text.find("identity"), std::string::npos);
  }
  EXPECT_NE(inspect_file(world.disk, path, {})->text.find("2 records, 1 transaction ends here"),
            std::string::npos);
  EXPECT_NE(
      inspect_file(world.disk, path, {.json = true})->text.find(R"("records":2,"transactions":1)"),
      std::string::npos);
}

TEST_F(JournalInspect, WithoutRecordsItIsASummary) {
  open();
  commit(record_of(RecordKind::session, "identity"));
  commit(record_of(RecordKind::preamble));
  commit(data_record(4711, "x"));
  commit(record_of(RecordKind::preamble));
  const std::string path = segment_paths().at(0);
  const std::string text = inspect_file(world.disk, path, {})->text;
  EXPECT_EQ(text.find("4711"), std::string::npos);
  EXPECT_NE(text.find("first 1:1"), std::string::npos) << text;
  EXPECT_NE(text.find("preambles begin at: 2, 4\nlast 1:4"), std::string::npos) << text;
  EXPECT_NE(text.find("no damage"), std::string::npos);
  const std::string json = inspect_file(world.disk, path, {.json = true})->text;
  EXPECT_EQ(json.find("4711"), std::string::npos);
  EXPECT_NE(json.find(R"("preambles":[2,4])"), std::string::npos) << json;
}

TEST_F(JournalInspect, ShowsATransactionThatWasSkipped) {
  Bytes content;
  for (const Record& record :
       {data_record(4711, "SECRET", true, false), data_record(4711, "more")}) {
    Bytes encoded;
    encode_record(record, encoded);
    ByteWriter(content).string32(encoded);
  }
  const std::string path = "/skipped/1-7.records";
  const auto shown = [&](const Bytes& bytes, InspectOptions how) {
    EXPECT_TRUE(os::replace_file(world.disk, path, bytes).ok());
    return inspect_file(world.disk, path, how)->text;
  };
  EXPECT_EQ(shown(content, {.records = true}),
            fmt::format("skipped transaction /skipped/1-7.records, {} bytes\n"
                        "offset 0: data, flags first, session 1, sub_xid 0, 1 change, 6 bytes of "
                        "payload\n"
                        "offset 52: data, flags first,last, session 1, sub_xid 0, 1 change, 4 "
                        "bytes of payload\n"
                        "xid 4711, committed 1970-01-01T01:18:31.000Z: 2 records, 2 changes, 10 "
                        "bytes of payload; 0 damaged places\n",
                        content.size()));
  EXPECT_NE(shown(content, {.json = true}).find(R"("xid":4711,)"), std::string::npos);
  const std::string cut = shown(content.substr(0, content.size() - 1), {});
  EXPECT_NE(cut.find("DAMAGE: offset 52: "), std::string::npos) << cut;
  EXPECT_NE(cut.find("1 record, 1 change"), std::string::npos) << cut;
  EXPECT_TRUE(inspect_file(world.disk, path, {})->damaged);
}

TEST_F(JournalInspect, OfAFolderItShowsAllFiles) {
  open();
  commit_many(1000, 200);
  const std::size_t segments = segment_paths().size();
  ASSERT_GT(segments, 1U);
  const std::string text = inspect_file(world.disk, kFolder, {})->text;
  EXPECT_NE(text.find("epoch history"), std::string::npos);
  EXPECT_TRUE(text.ends_with(fmt::format("{} segments\n", segments))) << text;
}

TEST_F(JournalInspect, ShowsDamageAndTornTails) {
  open();
  for (std::uint64_t i = 1; i <= 5; ++i) commit(data_record(i, "payload"));
  journal.reset();
  const std::string path = segment_paths().at(0);
  const Bytes whole = world.disk.read(path);
  world.disk.change(path, [](Bytes& bytes) { bytes[200] ^= 1; });
  EXPECT_NE(inspect_file(world.disk, path, {})->text.find("DAMAGE: "), std::string::npos);
  EXPECT_NE(inspect_file(world.disk, path, {.json = true})->text.find(R"({"damage":)"),
            std::string::npos);
  world.disk.change(path, [&](Bytes& bytes) { bytes = whole.substr(0, whole.size() - 3); });
  EXPECT_NE(inspect_file(world.disk, path, {})->text.find("TORN: "), std::string::npos);
  world.disk.change(path, [&](Bytes& bytes) { bytes[9] ^= 1; });
  EXPECT_NE(inspect_file(world.disk, path, {})->text.find("DAMAGE: offset 0"), std::string::npos);
}

TEST_F(JournalInspect, TellsDamageFromATailThatIsTorn) {
  open();
  commit_many(1000, 200);
  const std::vector<Record> together(3, data_record(++xid, Bytes(200, 'x')));
  const auto place = journal->append(together, soon());
  ASSERT_TRUE(journal->wait_durable(place->sequence, soon()).ok());
  journal.reset();
  const std::string closed = segment_paths().front(), newest = segment_paths().back();
  ASSERT_NE(closed, newest);
  const auto damaged = [&](const std::string& path) {
    return inspect_file(world.disk, path, {})->damaged;
  };
  const auto damaged_with = [&](const std::string& path, const std::function<void(Bytes&)>& how) {
    const Bytes whole = world.disk.read(path);
    world.disk.change(path, how);
    EXPECT_EQ(damaged(path), damaged(kFolder)) << path;
    const bool said = damaged(path);
    world.disk.change(path, [&](Bytes& bytes) { bytes = whole; });
    return said;
  };
  EXPECT_FALSE(damaged(kFolder));
  const auto cut = [](Bytes& bytes) { bytes.resize(bytes.size() - 3); };
  EXPECT_FALSE(damaged_with(newest, cut));
  EXPECT_TRUE(damaged_with(closed, cut));
  EXPECT_FALSE(damaged_with(newest, [](Bytes& bytes) { bytes[bytes.size() - 100] ^= 1; }));
  EXPECT_TRUE(damaged_with(closed, [](Bytes& bytes) { bytes[bytes.size() - 100] ^= 1; }));
  // Whole records follow, of the same sync: to open they are torn, too.
  EXPECT_TRUE(damaged_with(newest, [](Bytes& bytes) { bytes[bytes.size() - 600] ^= 1; }));
  EXPECT_TRUE(damaged_with(closed, [](Bytes& bytes) { bytes[9] ^= 1; }));
  EXPECT_TRUE(damaged_with(kFolder + "/history", [](Bytes& bytes) { bytes[20] ^= 1; }));
}

TEST_F(JournalInspect, ADamagedHistoryHidesNothingOfItsFolder) {
  open();
  commit_many(10);
  journal.reset();
  const std::string path = kFolder + "/history";
  world.disk.change(path, [](Bytes& bytes) { bytes[20] ^= 1; });
  const auto text = inspect_file(world.disk, kFolder, {});
  ASSERT_TRUE(text.ok()) << text.error().what;
  EXPECT_NE(text->text.find("DAMAGE: " + path + ": epoch history does not match its checksum"),
            std::string::npos)
      << text->text;
  EXPECT_TRUE(text->text.ends_with("1 segment\n")) << text->text;
}

TEST_F(JournalInspect, KnowsTheOtherFilesAndRefusesForeignOnes) {
  open();
  commit_many(10);
  ASSERT_TRUE(journal->set_consumer("eu", {Sequence(6), Sequence(4), true}).ok());
  journal.reset();
  EXPECT_NE(inspect_file(world.disk, kFolder + "/consumers", {})
                ->text.find("eu: applied 6, restart 4, required"),
            std::string::npos);
  EXPECT_NE(inspect_file(world.disk, kFolder + "/history", {.json = true})
                ->text.find(R"("epoch":1,"first":1)"),
            std::string::npos);
  ASSERT_TRUE(os::replace_file(world.disk, kFolder + "/other", "hello").ok());
  EXPECT_EQ(inspect_file(world.disk, kFolder + "/other", {}).error().kind, ErrorKind::invalid);
  EXPECT_EQ(inspect_file(world.disk, kFolder + "/nothing", {}).error().kind, ErrorKind::not_found);
}

TEST(JournalOnARealDisk, WritesReadsAndReopens) {
  auto world = os::make_real_world(std::nullopt);
  std::string folder = ::testing::TempDir() + "farshore-journal-XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  for (std::uint64_t life = 0; life < 3; ++life) {
    auto journal = *Journal::open(*world, folder, Options{}, {});
    EXPECT_EQ(journal->status().durable.sequence, Sequence(life));
    const Record record = data_record(life, "x");
    const auto place = journal->append(std::span(&record, 1), Deadline::never());
    EXPECT_EQ(journal->wait_durable(place->sequence, Deadline::never())->sequence,
              Sequence(life + 1));
    EXPECT_EQ(Journal::open(*world, folder, Options{}, {}).error().kind, ErrorKind::conflict);
  }
  const auto names = *world->files().list(folder);
  for (const std::string& name : names)
    EXPECT_TRUE(world->files().remove(fmt::format("{}/{}", folder, name)).ok());
  EXPECT_TRUE(world->files().remove(folder).ok());
}

}  // namespace
}  // namespace farshore::journal
