// RecordAssembler: turns one session's pgoutput messages, in the order in which they come, into
// records. Pure; one thread. Row changes are copied once, from the message into the payload, and
// are not looked into, but for the subtransaction of those that are streamed.
//
// Transactions that bear one of our own origins and those that change no row give no record; only
// their end is told (`passed`). Relation and Type messages of such a transaction come as `schema`
// records, since the server sends them once and later changes need them. The same holds for what a
// session gives that begins before its place (`resume`), and after each streamed transaction, whose
// beginning a reader may not have seen.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "change/record.h"
#include "engine/postgres/payload.h"
#include "engine/postgres/pgoutput.h"
#include "engine/postgres/resume_place.h"

namespace farshore::postgres {

constexpr std::string_view kHeartbeatPrefix = "farshore.heartbeat";
// In the text of each error that says so.
constexpr std::string_view kSetBack = "the server was set back";

class RecordAssembler {
 public:
  explicit RecordAssembler(std::string own_origin_prefix,
                           std::uint64_t payload_max = kRecordPayloadMax)
      : own_origin_prefix_(std::move(own_origin_prefix)), writer_(payload_max) {}

  // Before the first message. The messages begin at `begin`, place.begin of the slot; what ended up
  // to place.after is dropped.
  void resume(const ResumePlace& place, Lsn begin);
  // All up to place.after has come again as it was.
  bool log_is_known() const { return !expected_ && reached_ >= after_; }

  // One message. corrupt: it has not its format, or stands where it cannot; overtaken: before
  // place.after another transaction came than the one that was captured there.
  Result<void> take(ByteView message);
  // The server has read its log up to there and sent what it has found. overtaken: without the
  // expected transaction.
  Result<void> sent_through(Lsn end);

  // What is complete, oldest first.
  std::deque<Record>& ready() { return ready_; }
  std::uint64_t ready_bytes() const { return ready_bytes_; }  // payload of it
  // Up to `bytes_max` of payload, at least one record if there is one; where transactions that are
  // written whole end among them, up to the end of the last.
  std::vector<Record> take_ready(std::uint64_t bytes_max);
  // A record that changes nothing and carries a place.
  void add_place(Lsn place);

  // Of the newest record with a position; and of the newest transaction that gave none.
  Lsn emitted() const { return emitted_; }
  Lsn passed() const { return passed_; }
  WallTime commit_time() const { return commit_time_; }  // newest given

  // All Relation and Type messages that are valid after the records given so far, as payloads.
  std::vector<Bytes> preamble() const;

 private:
  // A Relation or Type message, as outside of a stream block, and the (sub)transaction that sent
  // it.
  struct Definition {
    std::uint32_t xid;
    Bytes message;
  };
  // A transaction while its messages come: the one between B and C, or one of those streamed.
  struct Open {
    bool emitted = false;    // a record of it was given
    bool own = false;        // bears one of our origins
    bool again = false;      // ended before the session's place
    bool expected = false;   // is the commit of that place
    bool heartbeat = false;  // holds a heartbeat message
    bool changed = false;    // holds a row change
    // Its (sub)transactions with a row change or heartbeat, without those that were aborted;
    // `more`: there were too many to keep them all.
    std::set<std::uint32_t> held_by;
    bool more = false;
    std::vector<Definition> definitions;

    bool dropped() const { return own || again; }
  };

  Result<void> take_change(ByteView message);
  Result<void> take_definition(ByteView message);
  Result<void> take_origin(ByteView message);
  Result<void> take_logical(ByteView message);
  Result<void> begin(ByteView message);
  Result<void> commit(ByteView message);
  Result<void> stream_start(ByteView message);
  Result<void> stream_stop(ByteView message);
  Result<void> stream_commit(ByteView message);
  Result<void> stream_abort(ByteView message);

  void write(ByteView message, std::uint32_t changes);
  void emit(Bytes payload, std::uint32_t changes, RecordFlags flags);
  void emit_end(Bytes payload, std::uint32_t changes, Lsn end, WallTime time);
  // What the transaction defined, in records of its own.
  void emit_definitions();
  // The end of a transaction without a row change.
  void emit_nothing(Lsn end, WallTime time);
  void push(Record record);
  void remember_definitions();
  // The commit of the open transaction comes, in the order of the log.
  Result<void> expect(const CommitId& commit);
  void hold(std::uint32_t xid);
  // The open transaction ends: it is the last commit, or was, or must not be there.
  Result<void> identify(const CommitId& commit);

  const std::string own_origin_prefix_;
  PayloadWriter writer_;  // of the current transaction or stream block
  std::deque<Record> ready_;
  std::uint64_t ready_bytes_ = 0;
  Lsn after_, emitted_, passed_;
  Lsn reached_;  // all commits before it have come
  std::optional<CommitId> expected_;
  std::optional<CommitId> last_commit_;  // of those that the server would send again
  WallTime commit_time_{};               // newest seen

  bool in_transaction_ = false;  // between B and C, or S and E
  bool in_stream_ = false;
  bool block_is_bare_ = false;  // of the stream block only S was written
  std::uint32_t xid_ = 0;
  Open* open_ = nullptr;  // set while in_transaction_
  Open plain_;
  std::unordered_map<std::uint32_t, Open> streamed_;
  std::map<std::uint32_t, Bytes> types_, relations_;  // by the source's oid
};

}  // namespace farshore::postgres
