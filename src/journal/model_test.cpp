// A journal against a naive model: random appends, reads, consumers, trims, epochs and reopenings
// from a seed.
#include "journal/journal_fixture.h"

namespace farshore::journal {
namespace {

struct Model {
  std::map<std::uint64_t, Record> records;  // all that were ever appended and not set aside
  std::map<std::uint64_t, std::uint64_t> epoch_of, hash_of;
  std::uint64_t end = 0, epoch = 1;
  std::map<std::string, ConsumerPlaces> consumers;
};

class JournalModel : public JournalFixture {
 protected:
  void run(std::uint64_t seed, int steps) {
    random.seed(seed);
    options.segment_bytes = 2_KiB + random() % 30'000;
    options.keep = random() % 2 == 0 ? 0s : 24h;
    open();
    ASSERT_TRUE(journal->begin_epoch({Epoch(1), Sequence(1), "db"}).ok());
    for (int i = 0; i < steps && !HasFailure(); ++i) step();
    check_all();
  }

  void step() {
    switch (random() % 12) {
      case 0:
      case 1:
      case 2:
      case 3:
        return append_some();
      case 4:
      case 5:
        return check_range();
      case 6:
        return set_consumer();
      case 7:
        EXPECT_TRUE(journal->trim().ok());
        return;
      case 8:
        if (random() % 3 == 0) reopen();
        return check_ends();
      case 9:
        return check_hash();
      case 10:
        if (random() % 4 == 0) begin_epoch();
        return;
      default:
        world.wall_offset += 1h;
    }
  }

  void append_some() {
    std::vector<Record> records;
    for (auto count = random() % 30; count > 0; --count) {
      const std::size_t size = random() % 20 == 0 ? random() % 9000 : random() % 300;
      Record record =
          data_record(random() % 1000, Bytes(size, static_cast<char>('a' + random() % 26)),
                      random() % 2, random() % 2);
      if (random() % 10 == 0) record.kind = RecordKind::preamble;
      records.push_back(record);
    }
    const auto place = journal->append(records, soon());
    ASSERT_TRUE(place.ok()) << place.error().what;
    for (const Record& record : records) {
      model.records[++model.end] = record;
      model.epoch_of[model.end] = model.epoch;
    }
    EXPECT_EQ(place->sequence, Sequence(model.end));
    EXPECT_GE(journal->wait_durable(Sequence(model.end), soon())->sequence, Sequence(model.end));
  }

  std::uint64_t first() { return journal->status().first.sequence.value(); }

  void check_range() {
    if (model.end < first()) return;
    const std::uint64_t from = first() + random() % (model.end - first() + 1);
    auto reader = *journal->reader(Sequence(from));
    std::uint64_t expected = from;
    for (auto left = random() % 200 + 1; left > 0 && expected <= model.end;) {
      const auto records = reader->next(random() % 20'000, soon());
      ASSERT_TRUE(records.ok()) << records.error().what;
      ASSERT_FALSE(records->empty());
      for (const PlacedRecord& placed : *records) {
        ASSERT_EQ(placed.place, (Place{Epoch(model.epoch_of[expected]), Sequence(expected)}));
        ASSERT_TRUE(placed.record == model.records[expected]);
        ASSERT_EQ(model.hash_of.try_emplace(expected, placed.hash).first->second, placed.hash);
        ++expected;
      }
      left -= std::min<std::uint64_t>(left, records->size());
    }
  }

  void check_all() {
    auto reader = *journal->reader(Sequence(first()));
    std::uint64_t expected = first();
    while (expected <= model.end && !HasFailure()) {
      const auto records = reader->next(1_MiB, soon());
      ASSERT_TRUE(records.ok()) << records.error().what;
      for (const PlacedRecord& placed : *records)
        EXPECT_TRUE(placed.record == model.records[expected++]);
    }
    EXPECT_EQ(expected, model.end + 1);
    EXPECT_EQ(journal->status().health, Health::good);
  }

  void check_ends() {
    EXPECT_EQ(journal->status().durable.sequence, Sequence(model.end));
    for (const auto& [name, places] : model.consumers) {
      const auto kept = journal->consumer(name);
      ASSERT_TRUE(kept);
      EXPECT_EQ(kept->applied, places.applied) << name;
      EXPECT_GE(kept->restart, places.restart) << name;
    }
  }

  void check_hash() {
    if (model.end < first()) return;
    const std::uint64_t at = first() + random() % (model.end - first() + 1);
    const auto hash = journal->hash_at(Sequence(at));
    ASSERT_TRUE(hash.ok()) << hash.error().what;
    EXPECT_EQ(model.hash_of.try_emplace(at, *hash).first->second, *hash) << at;
    EXPECT_TRUE(journal->hash_at(Sequence(first() - 1)).ok());
  }

  void set_consumer() {
    const std::string name = fmt::format("c{}", random() % 3);
    const std::uint64_t low = std::max(
        first(), model.consumers.contains(name) ? model.consumers[name].restart.value() : 0);
    if (model.end < low) return;
    const std::uint64_t applied = low + random() % (model.end - low + 1);
    ConsumerPlaces places{Sequence(applied), Sequence(low + random() % (applied - low + 2)), false};
    if (places.restart > places.applied.next()) places.restart = places.applied.next();
    const auto set = journal->set_consumer(name, places);
    ASSERT_TRUE(set.ok()) << set.error().what;
    model.consumers[name] = places;
  }

  void begin_epoch() {
    const std::uint64_t back = std::min<std::uint64_t>(model.end, random() % 60);
    const std::uint64_t begin = std::min(model.end + 1, std::max(first(), model.end + 1 - back));
    ++model.epoch;
    const auto begun = journal->begin_epoch({Epoch(model.epoch), Sequence(begin), "db"});
    ASSERT_TRUE(begun.ok()) << begun.error().what;
    for (; model.end >= begin; --model.end) {
      model.records.erase(model.end);
      model.hash_of.erase(model.end);
    }
    for (auto& [name, places] : model.consumers) {
      places.applied = std::min(places.applied, Sequence(model.end));
      places.restart = std::min(places.restart, Sequence(begin));
    }
  }

  std::mt19937_64 random;
  Model model;
};

class JournalModelSeeds : public JournalModel,
                          public ::testing::WithParamInterface<std::uint64_t> {};

TEST_P(JournalModelSeeds, IsTheSameAsTheModel) {
  run(GetParam(), 400);
}

INSTANTIATE_TEST_SUITE_P(Seeds, JournalModelSeeds, ::testing::Range<std::uint64_t>(1, 41));

}  // namespace
}  // namespace farshore::journal
