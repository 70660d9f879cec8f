#include "engine/postgres/record_assembler.h"

#include <algorithm>
#include <utility>

namespace farshore::postgres {
namespace {

// Of one transaction: about 3 MB.
constexpr std::size_t kHeldByMax = 64UL * 1024;

std::uint32_t network_u32(ByteView bytes) {
  std::uint32_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<std::uint8_t>(byte);
  return value;
}

Error misplaced(ByteView message) {
  return permanent(ErrorKind::corrupt, "pgoutput message '{}' stands where it cannot",
                   message.front());
}

// Of a transaction that is written whole, and more of it follows.
bool stands_within(const Record& record) {
  return record.kind == RecordKind::data && !record.flags.streamed && !record.flags.last;
}

template <class T>
Result<T> decoded(ByteView message, bool in_stream) {
  FARSHORE_TRY_ASSIGN(Message out, decode(message, in_stream));
  return std::get<T>(std::move(out));
}

}  // namespace

void RecordAssembler::resume(const ResumePlace& place, Lsn begin) {
  after_ = place.after;
  reached_ = begin;
  last_commit_ = place.commit;
  if (place.commit && begin <= place.commit->record) expected_ = place.commit;
}

Result<void> RecordAssembler::expect(const CommitId& commit) {
  open_->again = commit.record < after_;
  open_->expected = expected_ == commit;
  if (!expected_ || open_->expected) {
    expected_.reset();
    reached_ = std::max(reached_, commit.record);
    return {};
  }
  if (commit.record == expected_->record)
    return permanent(ErrorKind::overtaken,
                     "{}: the commit at {} is of another time than the one that was captured there",
                     kSetBack, commit.record.text());
  return permanent(ErrorKind::overtaken,
                   "{}: the commit that was captured at {} is not there, the next one is at {}",
                   kSetBack, expected_->record.text(), commit.record.text());
}

Result<void> RecordAssembler::sent_through(Lsn end) {
  if (!expected_ || end <= expected_->record) {
    reached_ = std::max(reached_, end);
    return {};
  }
  return permanent(
      ErrorKind::overtaken,
      "{}: the commit that was captured at {} is not there, with the log read up to {}", kSetBack,
      expected_->record.text(), end.text());
}

void RecordAssembler::hold(std::uint32_t xid) {
  if (open_->held_by.size() < kHeldByMax)
    open_->held_by.insert(xid);
  else
    open_->more = true;
}

// Whether it holds anything does not depend on how it is sent, streamed or whole.
Result<void> RecordAssembler::identify(const CommitId& commit) {
  const bool unsure = open_->held_by.empty() && open_->more;
  if (open_->own || (open_->held_by.empty() && !unsure)) return {};
  if (!open_->again) {
    last_commit_ = unsure ? std::nullopt : std::optional(commit);
    return {};
  }
  if (open_->expected || unsure) return {};
  return permanent(ErrorKind::overtaken,
                   "{}: the commit at {} was not there when the log was captured up to {}",
                   kSetBack, commit.record.text(), after_.text());
}

Result<void> RecordAssembler::take(ByteView message) {
  if (message.empty()) return permanent(ErrorKind::corrupt, "an empty pgoutput message");
  switch (static_cast<MessageType>(message.front())) {
    case MessageType::insert:
    case MessageType::update:
    case MessageType::remove:
    case MessageType::truncate:
      return take_change(message);
    case MessageType::begin:
      return begin(message);
    case MessageType::commit:
      return commit(message);
    case MessageType::origin:
      return take_origin(message);
    case MessageType::relation:
    case MessageType::type:
      return take_definition(message);
    case MessageType::logical:
      return take_logical(message);
    case MessageType::stream_start:
      return stream_start(message);
    case MessageType::stream_stop:
      return stream_stop(message);
    case MessageType::stream_commit:
      return stream_commit(message);
    case MessageType::stream_abort:
      return stream_abort(message);
  }
  FARSHORE_TRY(decode(message, in_stream_));  // says what is wrong
  return misplaced(message);
}

Result<void> RecordAssembler::take_change(ByteView message) {
  if (!in_transaction_) return misplaced(message);
  if (open_->own) return {};
  constexpr std::size_t kTypeAndXid = 1 + 4;
  if (in_stream_ && message.size() < kTypeAndXid)
    return permanent(ErrorKind::corrupt, "pgoutput message '{}' of {} bytes", message.front(),
                     message.size());
  hold(in_stream_ ? network_u32(message.substr(1, 4)) : xid_);
  open_->changed = true;
  if (!open_->again) write(message, 1);
  return {};
}

Result<void> RecordAssembler::take_definition(ByteView message) {
  if (!in_transaction_) return misplaced(message);
  FARSHORE_TRY_ASSIGN(const Message decoded, decode(message, in_stream_));
  const auto* relation = std::get_if<Relation>(&decoded);
  constexpr std::size_t kStreamXidBytes = 4;
  Bytes plain(1, message.front());
  plain.append(message.substr(1 + (in_stream_ ? kStreamXidBytes : 0)));
  open_->definitions.push_back(
      {.xid = relation != nullptr ? relation->xid : std::get<Type>(decoded).xid,
       .message = std::move(plain)});
  if (!open_->dropped()) write(message, 0);
  return {};
}

Result<void> RecordAssembler::take_origin(ByteView message) {
  FARSHORE_TRY_ASSIGN(const auto origin, decoded<Origin>(message, in_stream_));
  if (!in_transaction_) return misplaced(message);
  if (open_->own) return {};
  // It follows B or the first S at once, so nothing of the transaction has been given out.
  if (!open_->emitted && origin.name.starts_with(own_origin_prefix_)) {
    open_->own = true;
    writer_.clear();
    return {};
  }
  if (!open_->again) write(message, 0);
  return {};
}

// Messages are not passed on: ours are heartbeats, those of others are not for the target.
Result<void> RecordAssembler::take_logical(ByteView message) {
  FARSHORE_TRY_ASSIGN(const auto logical, decoded<Logical>(message, in_stream_));
  if (!in_transaction_ || !logical.transactional || logical.prefix != kHeartbeatPrefix) return {};
  open_->heartbeat = true;
  hold(in_stream_ ? logical.xid : xid_);
  return {};
}

Result<void> RecordAssembler::begin(ByteView message) {
  FARSHORE_TRY_ASSIGN(const auto begin, decoded<Begin>(message, false));
  if (in_transaction_) return misplaced(message);
  in_transaction_ = true;
  xid_ = begin.xid;
  plain_ = {};
  open_ = &plain_;
  FARSHORE_TRY(expect(CommitId::of(begin.final_lsn, begin.commit_time)));
  if (!open_->again) write(message, 0);
  return {};
}

Result<void> RecordAssembler::commit(ByteView message) {
  FARSHORE_TRY_ASSIGN(const auto commit, decoded<Commit>(message, false));
  if (!in_transaction_ || in_stream_) return misplaced(message);
  FARSHORE_TRY(identify(CommitId::of(commit.commit_lsn, commit.commit_time)));
  if (!open_->dropped() && (open_->changed || open_->emitted)) {
    write(message, 0);
    const std::uint32_t changes = writer_.take_changes();
    emit_end(writer_.take_payload(), changes, commit.end_lsn, commit.commit_time);
  } else {
    writer_.clear();
    emit_nothing(commit.end_lsn, commit.commit_time);
  }
  remember_definitions();
  in_transaction_ = false;
  open_ = nullptr;
  return {};
}

Result<void> RecordAssembler::stream_start(ByteView message) {
  FARSHORE_TRY_ASSIGN(const auto start, decoded<StreamStart>(message, false));
  if (in_transaction_) return misplaced(message);
  const bool known = streamed_.contains(start.xid);
  // A first segment that comes again would double what came before; a later one without a first
  // would lack it.
  if (known == start.first_segment)
    return permanent(ErrorKind::corrupt, "streamed transaction {} {}", start.xid,
                     known ? "begins twice in one session" : "goes on, but never began");
  in_transaction_ = in_stream_ = true;
  xid_ = start.xid;
  open_ = &streamed_[start.xid];
  if (!open_->dropped()) write(message, 0);
  block_is_bare_ = true;
  return {};
}

Result<void> RecordAssembler::stream_stop(ByteView message) {
  if (!in_stream_ || message.size() != 1) return misplaced(message);
  if (block_is_bare_) {
    writer_.clear();
  } else {
    write(message, 0);
    const std::uint32_t changes = writer_.take_changes();
    emit(writer_.take_payload(), changes, {.streamed = true});
  }
  in_transaction_ = in_stream_ = false;
  open_ = nullptr;
  return {};
}

Result<void> RecordAssembler::stream_commit(ByteView message) {
  FARSHORE_TRY_ASSIGN(const auto commit, decoded<StreamCommit>(message, false));
  const auto found = streamed_.find(commit.xid);
  if (in_transaction_ || found == streamed_.end()) return misplaced(message);
  const CommitId id = CommitId::of(commit.commit_lsn, commit.commit_time);
  xid_ = commit.xid;
  open_ = &found->second;
  FARSHORE_TRY(expect(id));
  FARSHORE_TRY(identify(id));
  if (open_->again && open_->emitted) push({.kind = RecordKind::abort, .xid = commit.xid});
  if (open_->emitted && !open_->again) {
    in_stream_ = true;
    write(message, 0);
    emit_end(writer_.take_payload(), 0, commit.end_lsn, commit.commit_time);
    in_stream_ = false;
    emit_definitions();
  } else {
    emit_nothing(commit.end_lsn, commit.commit_time);
  }
  remember_definitions();
  open_ = nullptr;
  streamed_.erase(found);
  return {};
}

Result<void> RecordAssembler::stream_abort(ByteView message) {
  FARSHORE_TRY_ASSIGN(const auto abort, decoded<StreamAbort>(message, false));
  if (in_transaction_) return misplaced(message);
  const auto found = streamed_.find(abort.xid);
  if (found == streamed_.end()) return {};  // ended before it was streamed: nothing was given
  const bool whole = abort.sub_xid == abort.xid;
  if (found->second.emitted)
    push({.kind = RecordKind::abort, .xid = abort.xid, .sub_xid = whole ? 0 : abort.sub_xid});
  found->second.held_by.erase(abort.sub_xid);
  // The server sends again what an aborted part defined, before it is needed.
  std::erase_if(found->second.definitions,
                [&](const Definition& definition) { return definition.xid == abort.sub_xid; });
  if (whole) streamed_.erase(found);
  return {};
}

void RecordAssembler::write(ByteView message, std::uint32_t changes) {
  block_is_bare_ = false;
  writer_.add(message, changes, [this](Bytes payload, std::uint32_t count, bool continued) {
    emit(std::move(payload), count, {.streamed = in_stream_, .continued = continued});
  });
}

void RecordAssembler::emit(Bytes payload, std::uint32_t changes, RecordFlags flags) {
  flags.first = !std::exchange(open_->emitted, true);
  push({.kind = RecordKind::data,
        .flags = flags,
        .xid = xid_,
        .changes = changes,
        .payload = std::move(payload)});
}

void RecordAssembler::emit_end(Bytes payload, std::uint32_t changes, Lsn end, WallTime time) {
  emit(std::move(payload), changes, {.last = true, .streamed = in_stream_});
  commit_time_ = std::max(commit_time_, time);
  ready_.back().commit_time = time;
  ready_.back().position = ResumePlace{end, last_commit_}.position();
  emitted_ = end;
}

void RecordAssembler::emit_definitions() {
  if (open_->definitions.empty()) return;
  PayloadWriter payload;
  auto full = [this](Bytes bytes, std::uint32_t, bool) {
    push({.kind = RecordKind::schema, .payload = std::move(bytes)});
  };
  for (const Definition& definition : open_->definitions) payload.add(definition.message, 0, full);
  push({.kind = RecordKind::schema, .payload = payload.take_payload()});
}

void RecordAssembler::emit_nothing(Lsn end, WallTime time) {
  emit_definitions();
  if (open_->heartbeat && !open_->dropped()) {
    commit_time_ = std::max(commit_time_, time);
    push({.kind = RecordKind::heartbeat,
          .commit_time = time,
          .position = ResumePlace{end, last_commit_}.position()});
    emitted_ = end;
  } else {
    passed_ = end;
  }
}

void RecordAssembler::add_place(Lsn place) {
  push({.kind = RecordKind::heartbeat,
        .commit_time = commit_time_,
        .position = ResumePlace{place, last_commit_}.position()});
  emitted_ = std::max(emitted_, place);
}

void RecordAssembler::push(Record record) {
  ready_bytes_ += record.payload.size();
  ready_.push_back(std::move(record));
}

void RecordAssembler::remember_definitions() {
  for (Definition& definition : open_->definitions) {
    auto message = decode(definition.message, false);
    FARSHORE_CHECK(message.ok(), "a definition was decoded before");
    if (const auto* relation = std::get_if<Relation>(&*message))
      relations_[relation->oid] = std::move(definition.message);
    else if (const auto* type = std::get_if<Type>(&*message))
      types_[type->oid] = std::move(definition.message);
  }
}

std::vector<Record> RecordAssembler::take_ready(std::uint64_t bytes_max) {
  std::size_t count = 0, whole = 0;
  std::uint64_t bytes = 0;
  while (count < ready_.size() &&
         (count == 0 || bytes + ready_[count].payload.size() <= bytes_max)) {
    const Record& record = ready_[count++];
    bytes += record.payload.size();
    if (!stands_within(record)) whole = count;
  }
  if (whole > 0) count = whole;
  std::vector<Record> out;
  for (; count > 0; --count) {
    ready_bytes_ -= ready_.front().payload.size();
    out.push_back(std::move(ready_.front()));
    ready_.pop_front();
  }
  return out;
}

std::vector<Bytes> RecordAssembler::preamble() const {
  std::vector<Bytes> out;
  PayloadWriter writer;
  auto full = [&](Bytes payload, std::uint32_t, bool) { out.push_back(std::move(payload)); };
  for (const auto& [oid, type] : types_) writer.add(type, 0, full);
  for (const auto& [oid, relation] : relations_) writer.add(relation, 0, full);
  if (!writer.empty()) out.push_back(writer.take_payload());
  return out;
}

}  // namespace farshore::postgres
