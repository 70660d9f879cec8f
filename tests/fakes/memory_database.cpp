#include "fakes/memory_database.h"

#include <algorithm>

#include "os/mutex.h"

namespace farshore::fakes {
namespace {

constexpr Duration kLookAgain = 3ms;

void write_message(Bytes& payload, std::uint64_t sub_xid, std::string_view text) {
  ByteWriter(payload).number(sub_xid).string32(text);
}

void write_definition(Bytes& payload, std::uint64_t sub_xid, char table) {
  const char text[] = {kDefines, table};
  write_message(payload, sub_xid, {text, sizeof text});
}

std::set<char> tables_of(const MemoryTransaction& transaction) {
  std::set<char> tables;
  for (const std::string& change : transaction.changes) tables.insert(table_of(change));
  return tables;
}

}  // namespace

void pause(os::World& world, Duration d) {
  os::Mutex mutex;
  os::CondVar never;
  os::Lock lock(mutex);
  never.wait(lock, world.after(d));
}

std::uint64_t lsn_of(const Position& position) {
  return ByteReader(position.bytes).number<std::uint64_t>();
}

Position position_of(std::uint64_t lsn) {
  Position position;
  ByteWriter(position.bytes).number(lsn);
  return position;
}

MemoryDatabase::Entry& MemoryDatabase::append(EntryKind kind, std::uint64_t xid) {
  next_lsn_ += 10;
  log_.push_back({.kind = kind, .lsn = next_lsn_, .xid = xid, .sub_xid = 0, .change = {}});
  return log_.back();
}

std::uint64_t MemoryDatabase::commit(std::vector<std::string> changes) {
  const std::uint64_t xid = next_xid_++;
  const std::uint64_t lsn = append(EntryKind::commit, xid).lsn;
  transactions_[xid] = {
      .xid = xid, .streamed = false, .commit_lsn = lsn, .changes = std::move(changes)};
  commit_times_[lsn] = world_.clock().wall();
  return lsn;
}

std::uint64_t MemoryDatabase::begin_streamed() {
  const std::uint64_t xid = next_xid_++;
  transactions_[xid] = {.xid = xid, .streamed = true, .commit_lsn = 0, .changes = {}};
  return xid;
}

void MemoryDatabase::change(std::uint64_t xid, std::string change, std::uint64_t sub_xid) {
  Entry& entry = append(EntryKind::change, xid);
  entry.sub_xid =
      aborted_subs_[xid].contains(sub_xid) ? 0 : sub_xid;  // an aborted one writes no more
  entry.change = std::move(change);
}

void MemoryDatabase::abort_sub(std::uint64_t xid, std::uint64_t sub_xid) {
  append(EntryKind::abort_sub, xid).sub_xid = sub_xid;
  aborted_subs_[xid][sub_xid] = true;
}

std::uint64_t MemoryDatabase::commit_streamed(std::uint64_t xid) {
  const std::uint64_t lsn = append(EntryKind::commit, xid).lsn;
  MemoryTransaction& transaction = transactions_[xid];
  transaction.commit_lsn = lsn;
  commit_times_[lsn] = world_.clock().wall();
  for (const Entry& entry : log_)
    if (entry.kind == EntryKind::change && entry.xid == xid &&
        !aborted_subs_[xid].contains(entry.sub_xid))
      transaction.changes.push_back(entry.change);
  return lsn;
}

void MemoryDatabase::abort_streamed(std::uint64_t xid) {
  append(EntryKind::abort, xid);
}

void MemoryDatabase::heartbeat() {
  commit_times_[append(EntryKind::heartbeat, next_xid_++).lsn] = world_.clock().wall();
}

bool MemoryDatabase::wait_far_durable(std::uint64_t lsn, Deadline deadline) {
  while (lsn_of(acknowledged_.far_durable) < lsn) {
    if (deadline.reached(world_.now())) return false;
    pause(world_, kLookAgain);
  }
  return true;
}

std::vector<MemoryTransaction> MemoryDatabase::committed() const {
  std::vector<MemoryTransaction> list;
  for (const auto& [xid, transaction] : transactions_)
    if (transaction.commit_lsn != 0) list.push_back(transaction);
  std::sort(list.begin(), list.end(),
            [](const auto& a, const auto& b) { return a.commit_lsn < b.commit_lsn; });
  return list;
}

std::uint64_t MemoryDatabase::released() const {
  return lsn_of(acknowledged_.released);
}

Result<SourceIdentity> MemorySource::start(const Position& after, const AcceptSource& accept) {
  SourceIdentity identity{database_.identity_};
  if (interrupted_) return transient(ErrorKind::unavailable, "starting was stopped");
  FARSHORE_TRY(accept(identity));
  const std::uint64_t released = lsn_of(database_.acknowledged_.released);
  after_ = after.empty() ? released : lsn_of(after);
  if (after_ < released)
    return permanent(ErrorKind::overtaken, "the slot was released up to {}, asked for after {}",
                     released, after_);
  scanned_ = 0;
  emitted_.clear();
  defined_.clear();
  given_.clear();
  coming_.clear();
  return identity;
}

// What comes at once may end within a transaction.
Result<std::vector<Record>> MemorySource::next(Deadline deadline) {
  const std::uint64_t at_once = 1 + world_.random().next() % 16;
  while (coming_.size() < at_once) {
    if (scanned_ == database_.log_.size()) {
      if (!coming_.empty() || interrupted_) break;
      if (deadline.reached(world_.now())) break;
      pause(world_, kLookAgain);
      continue;
    }
    emit(database_.log_[scanned_++]);
  }
  std::vector<Record> out;
  while (!coming_.empty() && out.size() < at_once) {
    given_.merge(coming_.front().defines);
    out.push_back(std::move(coming_.front().record));
    coming_.pop_front();
  }
  return out;
}

void MemorySource::emit(const MemoryDatabase::Entry& entry) {
  using Kind = MemoryDatabase::EntryKind;
  const MemoryTransaction& transaction = database_.transactions_[entry.xid];
  const bool delivered = transaction.commit_lsn != 0 && transaction.commit_lsn <= after_;
  const WallTime commit_time = database_.commit_times_[entry.lsn];
  if (entry.kind == Kind::heartbeat && entry.lsn > after_)
    come({.kind = RecordKind::heartbeat,
          .commit_time = commit_time,
          .position = position_of(entry.lsn)});
  if (entry.kind == Kind::heartbeat || delivered) return;
  if (!transaction.streamed) return emit_whole(transaction, commit_time);
  const bool first = !emitted_.contains(entry.xid);
  switch (entry.kind) {
    case Kind::change: {
      emitted_[entry.xid] = true;
      Bytes payload;
      write_definition(payload, entry.sub_xid, table_of(entry.change));
      write_message(payload, entry.sub_xid, entry.change);
      come({.kind = RecordKind::data,
            .flags = {.first = first, .streamed = true},
            .xid = entry.xid,
            .changes = 1,
            .payload = std::move(payload)});
      break;
    }
    case Kind::commit:
      come({.kind = RecordKind::data,
            .flags = {.first = first, .last = true, .streamed = true},
            .xid = entry.xid,
            .commit_time = commit_time,
            .position = position_of(entry.lsn)},
           tables_of(transaction));
      emit_schema(tables_of(transaction));
      break;
    case Kind::abort:
      if (!first) come({.kind = RecordKind::abort, .xid = entry.xid});
      break;
    case Kind::abort_sub:
      if (!first) come({.kind = RecordKind::abort, .xid = entry.xid, .sub_xid = entry.sub_xid});
      break;
    case Kind::heartbeat:
      break;
  }
}

// Cut by chance into one or more records: a reconnect cuts the same transaction differently.
void MemorySource::emit_whole(const MemoryTransaction& transaction, WallTime commit_time) {
  Record record{.kind = RecordKind::data, .flags = {.first = true}, .xid = transaction.xid};
  for (std::size_t i = 0; i < transaction.changes.size(); ++i) {
    const std::string& change = transaction.changes[i];
    if (defined_.insert(table_of(change)).second)
      write_definition(record.payload, 0, table_of(change));
    write_message(record.payload, 0, change);
    ++record.changes;
    if (i + 1 < transaction.changes.size() && world_.random().next() % 4 == 0) {
      come(std::move(record));
      record = {.kind = RecordKind::data, .xid = transaction.xid};
    }
  }
  record.flags.last = true;
  record.commit_time = commit_time;
  record.position = position_of(transaction.commit_lsn);
  come(std::move(record), tables_of(transaction));
}

void MemorySource::emit_schema(const std::set<char>& tables) {
  if (tables.empty()) return;
  defined_.insert(tables.begin(), tables.end());
  Bytes payload;
  for (const char table : tables) write_definition(payload, 0, table);
  come({.kind = RecordKind::schema, .payload = std::move(payload)});
}

void MemorySource::come(Record record, std::set<char> defines) {
  coming_.push_back({std::move(record), std::move(defines)});
}

std::vector<Bytes> MemorySource::preamble() const {
  Bytes all;
  for (const char table : given_) write_definition(all, 0, table);
  return {all};
}

void MemorySource::acknowledge(const Acknowledgement& acknowledgement) {
  auto raise = [](Position& old, const Position& now) {
    if (lsn_of(now) > lsn_of(old)) old = now;
  };
  raise(database_.acknowledged_.near_durable, acknowledgement.near_durable);
  raise(database_.acknowledged_.far_durable, acknowledgement.far_durable);
  raise(database_.acknowledged_.released, acknowledgement.released);
}

void MemorySource::interrupt() {
  interrupted_ = true;
}

}  // namespace farshore::fakes
