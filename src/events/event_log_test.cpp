#include "events/event_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/test_golden.h"
#include "os/real/real_world.h"
#include "os/real/test_folder.h"
#include "os/thread.h"

namespace farshore::events {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class EventLogTest : public testing::Test {
 protected:
  void open() {
    log_.reset();
    auto opened = EventLog::open(*world_, options_);
    ASSERT_TRUE(opened.ok()) << opened.error().what;
    log_ = *std::move(opened);
  }

  void say(const std::string& message, Severity severity = Severity::info,
           const std::string& stream = "") {
    log_->append({.severity = severity, .name = "test.said", .stream = stream, .message = message});
  }

  std::vector<std::string> messages(const EventQuery& query) {
    auto found = log_->read(query, world_->after(5s));
    EXPECT_TRUE(found.ok());
    std::vector<std::string> texts;
    for (const StoredEvent& stored : *found) texts.push_back(stored.event.message);
    return texts;
  }

  void wait_for_id(std::uint64_t id) { EXPECT_FALSE(messages({.after = id - 1}).empty()); }

  std::vector<std::string> files() {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(options_.folder))
      names.push_back(entry.path());
    std::sort(names.begin(), names.end());
    return names;
  }

  os::TestFolder folder_;
  std::unique_ptr<os::World> world_ = os::make_real_world(std::nullopt);
  Options options_{.folder = folder_.file("events")};
  std::unique_ptr<EventLog> log_;
};

// A new version goes into a folder of its own, and what version 1 wrote is read for ever.
TEST_F(EventLogTest, AFileIsReadAndWrittenAsVersion1Was) {
  const std::vector<StoredEvent> stored{
      {.id = 1, .event = {.name = "agent.started", .at = *parse_time("2026-11-24T16:17:00Z")}},
      {.id = 2,
       .event = {.severity = Severity::warning,
                 .name = "journal.tail_cut",
                 .stream = "orders",
                 .target = "orders-eu",
                 .message = "line one\nline \"two\"",
                 .at = *parse_time("2026-11-24T16:17:12.345Z")}},
      {.id = 3, .event = {.severity = Severity::error, .name = "x"}}};
  Bytes now;
  for (const StoredEvent& one : stored) now += event_line(one) + "\n";
  const std::string name = "events-00000000000000000001.jsonl";
  const Bytes golden = golden_file("events/1/" + name, now);
  EXPECT_EQ(golden, now);
  std::filesystem::create_directories(options_.folder);
  std::ofstream(options_.folder + "/" + name) << golden;
  open();
  say("goes on");
  wait_for_id(4);
  EXPECT_THAT(files(), ElementsAre(HasSubstr(name)));
  const auto read = log_->read({.after = 0}, Deadline::passed());
  ASSERT_EQ(read.value().size(), 4U);
  for (std::size_t i = 0; i < stored.size(); ++i) {
    EXPECT_EQ((*read)[i].id, stored[i].id);
    EXPECT_EQ((*read)[i].event.severity, stored[i].event.severity);
    EXPECT_EQ((*read)[i].event.name, stored[i].event.name);
    EXPECT_EQ((*read)[i].event.stream, stored[i].event.stream);
    EXPECT_EQ((*read)[i].event.target, stored[i].event.target);
    EXPECT_EQ((*read)[i].event.message, stored[i].event.message);
    EXPECT_EQ((*read)[i].event.at, stored[i].event.at);
  }
}

TEST(EventLine, TakesBytesThatAreNoUtf8) {
  EXPECT_THAT(event_line({.id = 1,
                          .event = {.name = "x",
                                    .message = "a\xff"
                                               "b"}}),
              HasSubstr("a\xef\xbf\xbd"
                        "b"));
}

TEST(EventLine, RefusesWhatIsNoEvent) {
  const std::string line = event_line({.id = 1, .event = {.name = "x"}});
  for (std::size_t size = 0; size < line.size(); ++size)
    EXPECT_FALSE(parse_event_line(line.substr(0, size)).ok());
  EXPECT_FALSE(parse_event_line(R"({"id":0,"at":"2026-11-24T16:17:12Z"})").ok());
  EXPECT_FALSE(parse_event_line("[]").ok());
}

TEST_F(EventLogTest, IdsGoOnOverARestart) {
  open();
  say("one");
  say("two");
  wait_for_id(2);
  open();
  say("three");
  wait_for_id(3);
  EXPECT_THAT(messages({.after = 0}), ElementsAre("one", "two", "three"));
  EXPECT_THAT(messages({.after = 2}), ElementsAre("three"));
  EXPECT_THAT(messages({.limit = 2}), ElementsAre("two", "three"));
}

TEST_F(EventLogTest, WhatWasQueuedIsWrittenBeforeItEnds) {
  open();
  for (int i = 0; i < 100; ++i) say("queued");
  open();
  EXPECT_EQ(messages({.after = 0}).size(), 100U);
}

TEST_F(EventLogTest, ATornLastLineIsCutAndSaid) {
  open();
  say("whole");
  wait_for_id(1);
  log_.reset();
  std::ofstream(files().back(), std::ios::app) << R"({"id":2,"at":"2026-11-)";
  open();
  wait_for_id(2);
  EXPECT_THAT(messages({.after = 0}),
              ElementsAre("whole", HasSubstr("was torn (22 bytes) and was cut off")));
  open();
  EXPECT_THAT(messages({.after = 0}).size(), 2U) << "the file is whole again";
}

TEST_F(EventLogTest, ADamagedLineInTheMiddleIsPassedOver) {
  open();
  say("before");
  wait_for_id(1);
  log_.reset();
  std::ofstream(files().back(), std::ios::app) << std::string("\0\0\0 garbage\n", 12);
  open();
  say("after");
  wait_for_id(2);
  EXPECT_THAT(messages({.after = 0}), ElementsAre("before", "after"));
}

TEST_F(EventLogTest, FilesStayBelowTheirBoundAndTheOldestGo) {
  options_.file_bytes_max = 1024;
  options_.files_max = 3;
  options_.recent_max = 4;
  open();
  for (int i = 1; i <= 60; ++i) {
    say(std::to_string(i));
    wait_for_id(static_cast<std::uint64_t>(i));
  }
  EXPECT_EQ(files().size(), 3U);
  for (const std::string& file : files()) EXPECT_LE(std::filesystem::file_size(file), 1024U);
  const auto left = messages({.after = 0, .limit = 1000});
  EXPECT_GT(left.size(), 10U);
  EXPECT_LT(left.size(), 40U);
  EXPECT_EQ(left.back(), "60");
  EXPECT_THAT(messages({.limit = 10}),
              ElementsAre("51", "52", "53", "54", "55", "56", "57", "58", "59", "60"))
      << "older than memory holds: from the files";
  EXPECT_THAT(messages({.after = 50, .limit = 2}), ElementsAre("51", "52"));
  open();
  say("61");
  wait_for_id(61);
  EXPECT_THAT(messages({.after = 59}), ElementsAre("60", "61"));
}

TEST_F(EventLogTest, ChoosesByStreamSeverityAndTime) {
  open();
  say("agent");
  say("a", Severity::warning, "orders");
  say("b", Severity::error, "audit");
  wait_for_id(3);
  EXPECT_THAT(messages({.stream = "orders"}), ElementsAre("a"));
  EXPECT_THAT(messages({.at_least = Severity::warning}), ElementsAre("a", "b"));
  EXPECT_THAT(messages({.since = world_->clock().wall() - 1h}), ElementsAre("agent", "a", "b"));
  const auto none = log_->read({.since = world_->clock().wall() + 1h}, Deadline::passed());
  EXPECT_THAT(*none, IsEmpty());
}

TEST_F(EventLogTest, AReaderWaitsForTheNextOne) {
  open();
  os::Thread later("later", [&](std::stop_token) { say("late"); });
  EXPECT_THAT(messages({.after = 0}), ElementsAre("late"));
  const auto nothing = log_->read({.after = 1}, world_->after(20ms));
  EXPECT_THAT(*nothing, IsEmpty());
}

TEST_F(EventLogTest, EventsBeyondTheQueueAreCountedAndTold) {
  options_.queue_max = 2;
  open();
  for (int i = 0; i < 2000; ++i) say("flood");
  const std::uint64_t lost = log_->health().lost;
  ASSERT_GT(lost, 0U);
  log_.reset();
  open();
  std::uint64_t kept = 0, told = 0;
  for (std::uint64_t after = 0, count = 1; count > 0; after += count) {
    const auto found = log_->read({.after = after, .limit = 1000}, Deadline::passed());
    ASSERT_TRUE(found.ok());
    count = found->size();
    for (const StoredEvent& stored : *found) {
      const bool flood = stored.event.message == "flood";
      kept += flood ? 1 : 0;
      told += flood ? 0 : std::stoull(stored.event.message);
    }
  }
  EXPECT_EQ(kept + lost, 2000U);
  EXPECT_EQ(told, lost);
}

// A disk that refuses, between the log and the real one.
class RefusingFile final : public os::File {
 public:
  RefusingFile(std::unique_ptr<os::File> file, const bool& refuses_sync)
      : file_(std::move(file)), refuses_(refuses_sync) {}
  Result<std::size_t> read_at(std::uint64_t offset, char* into, std::size_t count) override {
    return file_->read_at(offset, into, count);
  }
  Result<void> write_at(std::uint64_t offset, ByteView bytes) override {
    return file_->write_at(offset, bytes);
  }
  Result<void> sync() override {
    if (refuses_) return permanent(ErrorKind::io, "sync failed");
    return file_->sync();
  }
  Result<std::uint64_t> size() override { return file_->size(); }
  Result<void> truncate(std::uint64_t size) override {
    if (refuses_) return permanent(ErrorKind::io, "truncate failed");
    return file_->truncate(size);
  }

 private:
  std::unique_ptr<os::File> file_;
  const bool& refuses_;
};

class RefusingWorld final : public os::World, public os::Files {
 public:
  explicit RefusingWorld(os::World& real) : real_(real) {}
  os::Clock& clock() override { return real_.clock(); }
  os::Random& random() override { return real_.random(); }
  os::Files& files() override { return *this; }
  os::Network& network() override { return real_.network(); }

  Result<std::unique_ptr<os::File>> open(const std::string& path, os::OpenMode mode) override {
    FARSHORE_TRY_ASSIGN(auto file, real_.files().open(path, mode));
    return std::unique_ptr<os::File>(std::make_unique<RefusingFile>(std::move(file), refuses));
  }
  Result<std::vector<std::string>> list(const std::string& folder) override {
    return real_.files().list(folder);
  }
  Result<void> create_folder(const std::string& path) override {
    return real_.files().create_folder(path);
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    return real_.files().rename(from, to);
  }
  Result<void> remove(const std::string& path) override { return real_.files().remove(path); }
  Result<void> sync_folder(const std::string& path) override {
    return real_.files().sync_folder(path);
  }
  Result<std::uint64_t> free_bytes(const std::string& path) override {
    return real_.files().free_bytes(path);
  }
  Result<std::unique_ptr<os::FileLock>> lock(const std::string& path,
                                             const std::string& holder) override {
    return real_.files().lock(path, holder);
  }

  bool refuses = false;

 private:
  os::World& real_;
};

TEST_F(EventLogTest, AFailedSyncIsNotBelievedLater) {
  RefusingWorld disk(*world_);
  auto log = *EventLog::open(disk, options_);
  log->append({.name = "a", .message = "kept"});
  ASSERT_EQ(log->read({.after = 0}, world_->after(5s))->size(), 1U);
  disk.refuses = true;
  log->append({.name = "b", .message = "refused at first"});
  ASSERT_EQ(log->read({.after = 1}, world_->after(5s))->size(), 1U) << "shown all the same";
  EXPECT_EQ(log->health().unwritten, 1U);
  EXPECT_THAT(log->health().error, HasSubstr("sync failed"));
  disk.refuses = false;
  log->append({.name = "c", .message = "after"});
  ASSERT_EQ(log->read({.after = 2}, world_->after(5s))->size(), 1U);
  EXPECT_EQ(log->health().unwritten, 0U);
  log.reset();
  EXPECT_EQ(files().size(), 2U) << "written again into a new file";
  open();
  EXPECT_THAT(messages({.after = 0}), ElementsAre("kept", "refused at first", "after"));
}

}  // namespace
}  // namespace farshore::events
