// What the *_pgtest programs of this folder share: one server for each binary folder and program, a
// fresh database for each test, and a source that is read to its end.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/postgres/connection.h"
#include "engine/postgres/payload.h"
#include "engine/postgres/pgoutput.h"
#include "engine/postgres/source.h"
#include "engine/postgres/test_server.h"
#include "os/mutex.h"
#include "os/real/real_world.h"

namespace farshore::postgres {

inline os::World& test_world() {
  static std::unique_ptr<os::World> world = os::make_real_world(std::nullopt);
  return *world;
}

inline Deadline soon(Duration d = 20s) {
  return test_world().after(d);
}

// Where this half of the tests looks for ports; its other half runs at the same time.
inline int port_offset() {
  const char* shard = std::getenv("GTEST_SHARD_INDEX");
  return shard == nullptr ? 0 : 20 * std::atoi(shard);
}

// Started at its first use, stopped at the program's end.
inline TestServer& shared_server(const std::string& bin, int first_port) {
  static std::map<std::string, std::unique_ptr<TestServer>> servers;
  auto& server = servers[bin];
  if (!server)
    server = std::make_unique<TestServer>(TestServer::Options{
        .bin = bin,
        .port = first_port + port_offset() + static_cast<int>(servers.size()) - 1,
        .settings = {"logical_decoding_work_mem = 64kB", "autovacuum = off",
                     "max_prepared_transactions = 5", "track_commit_timestamp = on"}});
  return *server;
}

class TestSession {
 public:
  explicit TestSession(const std::string& conninfo, const std::string& name = "test") {
    auto opened =
        Connection::open(test_world(), {.conninfo = conninfo, .application_name = name}, soon());
    FARSHORE_CHECK(opened.ok(), "{}", opened.error().what);
    connection_ = *std::move(opened);
  }
  Rows run(const std::string& sql) {
    auto rows = connection_->query(sql, soon(60s));
    FARSHORE_CHECK(rows.ok(), "{}: {}", sql, rows.error().what);
    return *std::move(rows);
  }
  std::string value(const std::string& sql) {
    Rows rows = run(sql);
    return rows.count() == 0 ? "" : std::string(rows.text(0, 0));
  }
  Connection& connection() { return *connection_; }

 private:
  std::unique_ptr<Connection> connection_;
};

class TestDatabase {
 public:
  explicit TestDatabase(TestServer& server) : server_(server) {
    static int counter = 0;
    name_ = "t" + std::to_string(++counter);
    TestSession(server.conninfo()).run("CREATE DATABASE " + name_ + " TEMPLATE template0");
    session_ = std::make_unique<TestSession>(conninfo());
  }
  std::string conninfo() const { return server_.conninfo(name_); }
  const std::string& name() const { return name_; }
  Rows run(const std::string& sql) { return session_->run(sql); }
  std::string value(const std::string& sql) { return session_->value(sql); }

 private:
  TestServer& server_;
  std::string name_;
  std::unique_ptr<TestSession> session_;
};

// A stream of its own in a database; events are kept.
class TestStream {
 public:
  explicit TestStream(TestDatabase& database, std::vector<TableRule> rules = {{.match = "*"}}) {
    options.name = "orders";
    options.stream = Uuid::from_random(test_world().random().next(), test_world().random().next());
    options.conninfo = database.conninfo();
    options.tables = std::move(rules);
    options.refresh_every = 500ms;
    options.progress_every = 200ms;
    options.events = [this](Event event) {
      os::Lock lock(mutex_);
      events_.push_back(std::move(event));
    };
  }
  // Slots and publications stay behind otherwise, and slots are few.
  ~TestStream() {
    source.reset();
    (void)remove_source(test_world(), options);
  }

  static Result<void> accept_any(const SourceIdentity&) { return {}; }
  Source& start(const Position& after = {}) {
    if (!source) source = make_source(test_world(), options);
    auto started = source->start(after, accept_any);
    FARSHORE_CHECK(started.ok(), "{}", started.error().what);
    identity = *std::move(started);
    return *source;
  }
  bool told(const std::string& name, const std::string& about = "") {
    os::Lock lock(mutex_);
    for (const Event& event : events_)
      if (event.name == name && event.message.find(about) != std::string::npos) return true;
    return false;
  }
  int count(const std::string& name) {
    os::Lock lock(mutex_);
    return static_cast<int>(std::ranges::count(events_, name, &Event::name));
  }
  // Reads until `done(records)` or the time is over.
  template <class Done>
  std::vector<Record> read(Done done, Duration limit = 20s) {
    std::vector<Record> all;
    for (const Deadline end = soon(limit); !done(all) && !end.reached(test_world().now());) {
      auto records = source->next(soon(100ms));
      FARSHORE_CHECK(records.ok(), "{}", records.error().what);
      for (Record& record : *records) all.push_back(std::move(record));
    }
    return all;
  }
  std::vector<Record> read_transactions(std::size_t count, Duration limit = 20s) {
    return read(
        [count](const std::vector<Record>& all) {
          std::size_t ended = 0;
          for (const Record& record : all) ended += ends_transaction(record) ? 1 : 0;
          return ended >= count;
        },
        limit);
  }
  std::vector<Record> read_for(Duration time) {
    return read([](const auto&) { return false; }, time);
  }
  void acknowledge_all(const std::vector<Record>& records) {
    for (const Record& record : records)
      if (!record.position.empty())
        source->acknowledge({record.position, record.position, record.position});
  }

  SourceOptions options;
  std::unique_ptr<Source> source;
  SourceIdentity identity;

 private:
  os::Mutex mutex_;
  std::vector<Event> events_;
};

// All messages of the records' payloads, by their first letters, in order: "BRIC".
inline std::string letters_of(const std::vector<Record>& records) {
  std::string letters;
  std::map<std::uint64_t, PayloadReader> readers;
  for (const Record& record : records) {
    PayloadReader& reader = readers[record.xid];
    auto fed = reader.feed(record.payload, record.flags.continued);
    FARSHORE_CHECK(fed.ok(), "{}", fed.error().what);
    for (;;) {
      auto message = reader.next();
      FARSHORE_CHECK(message.ok(), "{}", message.error().what);
      if (!*message) break;
      letters += (*message)->front();
    }
  }
  return letters;
}

// The same without Relation and Type messages, which come again whenever the server has forgotten
// what it knew of a table.
inline std::string changes_of(const std::vector<Record>& records) {
  std::string letters = letters_of(records);
  std::erase_if(letters, [](char letter) { return letter == 'R' || letter == 'Y'; });
  return letters;
}

inline bool eventually(const std::function<bool()>& condition, Duration limit = 15s) {
  for (const Deadline end = soon(limit); !end.reached(test_world().now());) {
    if (condition()) return true;
    os::poll_fd(-1, false, false, soon(20ms));
  }
  return condition();
}

}  // namespace farshore::postgres
