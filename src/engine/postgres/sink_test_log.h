// For *_pgtest programs: what pgoutput really sent, put into records as the source does.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <utility>
#include <vector>

#include "change/test_log.h"
#include "engine/postgres/payload.h"
#include "engine/postgres/pgoutput.h"

namespace farshore::postgres {

// Puts pgoutput's messages into records as the source does.
class TestRecorder {
 public:
  TestRecorder(TestLog& log, std::uint64_t payload_max) : log_(log), payload_max_(payload_max) {}

  void message(ByteView bytes) {
    auto decoded = decode(bytes, in_stream_);
    ASSERT_TRUE(decoded.ok()) << decoded.error().what;
    if (const auto* begin = std::get_if<Begin>(&*decoded))
      current_ = begin->xid, open_.try_emplace(current_, payload_max_);
    if (const auto* start = std::get_if<StreamStart>(&*decoded)) {
      in_stream_ = true;
      current_ = start->xid;
      open_.try_emplace(current_, payload_max_).first->second.streamed = true;
    }
    if (const auto* abort = std::get_if<StreamAbort>(&*decoded)) {
      const bool whole = abort->sub_xid == abort->xid;
      log_.add(
          {.kind = RecordKind::abort, .xid = abort->xid, .sub_xid = whole ? 0 : abort->sub_xid});
      if (whole) open_.erase(abort->xid);
      return;
    }
    if (const auto* commit = std::get_if<StreamCommit>(&*decoded)) current_ = commit->xid;
    Open& open = open_.at(current_);
    const bool row = std::holds_alternative<Insert>(*decoded) ||
                     std::holds_alternative<Update>(*decoded) ||
                     std::holds_alternative<Delete>(*decoded);
    open.writer.add(bytes, row ? 1 : 0, [&](Bytes payload, std::uint32_t changes, bool continued) {
      emit(open, std::move(payload), changes, {.continued = continued}, {}, {});
    });
    if (std::holds_alternative<StreamStop>(*decoded)) {
      in_stream_ = false;
      emit(open, open.writer.take_payload(), open.writer.take_changes(), {}, {}, {});
    }
    if (const auto* commit = std::get_if<Commit>(&*decoded))
      finish(open, commit->end_lsn, commit->commit_time);
    if (const auto* commit = std::get_if<StreamCommit>(&*decoded))
      finish(open, commit->end_lsn, commit->commit_time);
  }

 private:
  struct Open {
    explicit Open(std::uint64_t payload_max) : writer(payload_max) {}
    PayloadWriter writer;
    bool streamed = false;
    bool began = false;
  };

  void emit(Open& open, Bytes payload, std::uint32_t changes, RecordFlags flags, Lsn position,
            WallTime time) {
    flags.first = !std::exchange(open.began, true);
    flags.streamed = open.streamed;
    log_.add({.kind = RecordKind::data,
              .flags = flags,
              .xid = current_,
              .changes = changes,
              .commit_time = time,
              .position = flags.last ? position.position() : Position{},
              .payload = std::move(payload)});
  }
  void finish(Open& open, Lsn position, WallTime time) {
    emit(open, open.writer.take_payload(), open.writer.take_changes(), {.last = true}, position,
         time);
    open_.erase(current_);
  }

  TestLog& log_;
  const std::uint64_t payload_max_;
  std::map<std::uint64_t, Open> open_;
  std::uint64_t current_ = 0;
  bool in_stream_ = false;
};

}  // namespace farshore::postgres
