// JournalFixture: a journal on a MemoryDisk, its events, and short words for what tests do with it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>

#include "journal/fake_disk.h"
#include "journal/journal.h"
#include "os/thread.h"

namespace farshore::journal {

inline const std::string kFolder = "/journal";

inline Record data_record(std::uint64_t xid, std::string payload, bool first = true,
                          bool last = true, std::uint32_t session = 1) {
  Record record;
  record.flags.first = first;
  record.flags.last = last;
  record.session = session;
  record.xid = xid;
  record.changes = 1;
  if (last) record.commit_time = WallTime(Duration(static_cast<std::int64_t>(xid) * 1'000'000'000));
  if (last) record.position.bytes = fmt::format("{:08}", xid);
  record.payload = std::move(payload);
  return record;
}

inline Record record_of(RecordKind kind, std::string payload = {}, std::uint32_t session = 1) {
  Record record;
  record.kind = kind;
  record.session = session;
  record.payload = std::move(payload);
  return record;
}

class JournalFixture : public ::testing::Test {
 protected:
  JournalFixture() {
    options.segment_bytes = 64_KiB;
    options.free_bytes_min = 0;
    options.keep = 0s;
  }

  void open() {
    auto opened = Journal::open(world, kFolder, options, sink());
    ASSERT_TRUE(opened.ok()) << opened.error().what;
    journal = *std::move(opened);
  }
  void reopen() {
    journal.reset();
    open();
  }
  EventSink sink() {
    return [this](Event event) {
      const os::Lock lock(events_mutex);
      events.push_back(std::move(event));
    };
  }
  Deadline soon() { return world.after(10s); }
  Deadline now() { return world.after(50ms); }

  Place append(const Record& record) {
    const auto place = journal->append(std::span(&record, 1), soon());
    EXPECT_TRUE(place.ok()) << (place.ok() ? "" : place.error().what);
    return place.ok() ? *place : Place{};
  }
  // Appends and waits until it is durable.
  Place commit(const Record& record) {
    const Place place = append(record);
    const auto durable = journal->wait_durable(place.sequence, soon());
    EXPECT_TRUE(durable.ok()) << (durable.ok() ? "" : durable.error().what);
    return place;
  }
  void commit_many(int count, std::size_t bytes = 100) {
    for (int i = 0; i < count; ++i)
      append(data_record(++xid, Bytes(bytes, static_cast<char>('a' + i % 26))));
    ASSERT_TRUE(journal->wait_durable(journal->status().written.sequence, soon()).ok());
  }
  std::vector<PlacedRecord> read_all(std::uint64_t from = 1) {
    std::vector<PlacedRecord> all;
    auto reader = journal->reader(Sequence(from));
    EXPECT_TRUE(reader.ok()) << (reader.ok() ? "" : reader.error().what);
    if (!reader) return all;
    const Sequence end = journal->status().durable.sequence;
    while ((*reader)->position() <= end) {
      auto records = (*reader)->next(1_MiB, soon());
      EXPECT_TRUE(records.ok()) << (records.ok() ? "" : records.error().what);
      if (!records || records->empty()) break;
      for (PlacedRecord& record : *records) all.push_back(std::move(record));
    }
    return all;
  }
  std::vector<std::string> segment_paths() {
    std::vector<std::string> paths;
    for (const std::string& path : world.disk.paths())
      if (path.starts_with(kFolder + "/0") && path.ends_with(".segment")) paths.push_back(path);
    return paths;
  }
  std::size_t count_events(const std::string& name) {
    const os::Lock lock(events_mutex);
    return static_cast<std::size_t>(std::count_if(events.begin(), events.end(),
                                                  [&](const Event& e) { return e.name == name; }));
  }
  std::string event_text(const std::string& name) {
    const os::Lock lock(events_mutex);
    for (const Event& event : events)
      if (event.name == name) return event.message;
    return {};
  }
  bool eventually(const std::function<bool()>& condition, int rounds = 1000) {
    os::Mutex mutex;
    os::CondVar never;
    os::Lock lock(mutex);
    for (int i = 0; i < rounds && !condition(); ++i) never.wait(lock, world.after(10ms));
    return condition();
  }

  MemoryWorld world;
  Options options;
  os::Mutex events_mutex;
  std::vector<Event> events;
  std::unique_ptr<Journal> journal;
  std::uint64_t xid = 0;
};

}  // namespace farshore::journal
