#include "engine/postgres/sink.h"

#include "engine/postgres/sink_rejection.h"

namespace farshore::postgres {

PostgresSink::PostgresSink(os::World& world, ConnectOptions connect, SinkOptions options,
                           EventSink events)
    : world_(world),
      connect_(std::move(connect)),
      options_(std::move(options)),
      events_(std::move(events)) {}

PostgresSink::~PostgresSink() = default;

Result<Sequence> PostgresSink::open(const Uuid& stream, Epoch epoch) {
  close();
  interrupted_ = false;
  waker_.clear();
  auto opened = TargetSession::open(world_, connect_, options_, stream, epoch, waker_);
  if (!opened.ok()) {
    Error error = std::move(opened).error();
    const MonotonicTime now = world_.now();
    if (error.kind != ErrorKind::conflict)
      held_since_ = {};
    else if (held_since_ == MonotonicTime{})
      held_since_ = now;
    else if (now - held_since_ > options_.holder_wait)
      error.retry = Retry::no;
    return error;
  }
  held_since_ = {};
  session_ = *std::move(opened);
  stream_ = stream;
  epoch_ = epoch;
  sets_ = std::make_unique<SetWriter>(session_->pipeline(), session_->statements(), options_);
  rows_ = std::make_unique<RowWriter>(session_->pipeline(), session_->statements());
  sets_->set_keep_order(!session_->replica_role());
  if (!session_->replica_role() && events_)
    events_({.severity = Severity::warning,
             .name = "sink.not_a_replica",
             .stream = stream.text(),
             .target = session_->server(),
             .message = "triggers and foreign keys of the target fire for replicated rows: GRANT "
                        "SET ON PARAMETER "
                        "session_replication_role TO this role (PostgreSQL 15 and later)"});
  relations_.forget_all();
  FARSHORE_TRY(load_gates());
  FARSHORE_TRY(load_skipped());
  // The one before us may have committed it without a flush and been killed.
  FARSHORE_TRY(session_->make_durable());
  through_ = written_ = durable_ = recorded_ = pending_through_ = session_->progress_at_open();
  asked_durable_at_ = world_.now();
  return through_;
}

// The sink of what is set aside comes by later, and must pass over them, too. Nothing is in flight.
Result<void> PostgresSink::load_skipped() {
  skipped_.clear();
  FARSHORE_TRY_ASSIGN(
      const Answer answer,
      session_->pipeline().query(
          fmt::format("SELECT sequence FROM farshore.skipped WHERE stream = '{}' AND epoch = {}",
                      stream_.text(), epoch_)));
  for (int row = 0; row < PQntuples(answer.get()); ++row)
    skipped_.insert(Sequence(std::strtoull(PQgetvalue(answer.get(), row, 0), nullptr, 10)));
  return {};
}

void PostgresSink::listed(TablesListed tables) {
  os::Lock lock(listed_mutex_);
  listed_ = std::move(tables);
}

void PostgresSink::close() {
  group_.clear();
  buffered_.clear();
  group_bytes_ = group_changes_ = 0;
  rows_.reset();
  sets_.reset();
  session_.reset();
}

void PostgresSink::interrupt() {
  interrupted_ = true;
  waker_.wake();
}

Result<Applied> PostgresSink::apply(TransactionCursor& cursor, Deadline deadline) {
  FARSHORE_CHECK(session_, "apply before open");
  // The stream's sink may skip one while this one is on its way to it.
  if (options_.aside) FARSHORE_TRY(load_skipped());
  Applied applied;
  FARSHORE_TRY(apply_until(cursor, deadline, applied));
  FARSHORE_TRY(ask_durable());
  applied.through = through_;
  applied.durable = durable_;
  applied.recorded = recorded_;
  return applied;
}

Result<void> PostgresSink::apply_until(TransactionCursor& cursor, Deadline deadline,
                                       Applied& applied) {
  while (!interrupted_) {
    FARSHORE_TRY_ASSIGN(const std::optional<CursorItem> item,
                        cursor.next(group_.empty() ? deadline : Deadline::passed()));
    if (!item) break;
    FARSHORE_TRY(take(cursor, *item, applied));
    if (group_is_full()) FARSHORE_TRY(finish_group(applied));
    if (deadline.reached(world_.now())) break;
  }
  if (interrupted_.exchange(false)) waker_.clear();
  return finish_group(applied);
}

Result<void> PostgresSink::take(TransactionCursor& cursor, const CursorItem& item,
                                Applied& applied) {
  const bool transaction = item.kind == RecordKind::data;
  // A group that is redone reads its own records only: what else says something of relations stands
  // outside.
  const bool teaches = item.kind == RecordKind::preamble || item.kind == RecordKind::schema;
  if (item.kind == RecordKind::session || teaches ||
      (transaction && item.bytes > options_.group_bytes_max))
    FARSHORE_TRY(finish_group(applied));
  if (item.kind == RecordKind::session) relations_.forget_all();
  if (teaches) FARSHORE_TRY(learn_only(cursor, item));
  if (item.place.sequence <= through_)
    return transaction ? learn_only(cursor, item) : Result<void>();
  if (transaction && skipped_.contains(item.place.sequence)) {
    FARSHORE_TRY(finish_group(applied));
    FARSHORE_TRY(learn_only(cursor, item));
    through_ = pending_through_ = item.place.sequence;
    return {};
  }
  if (transaction)
    return item.bytes > options_.group_bytes_max ? apply_large(cursor, item, applied)
                                                 : add_to_group(cursor, item, applied);
  pending_through_ = item.place.sequence;
  if (item.kind == RecordKind::heartbeat)
    applied.commit_time = std::max(applied.commit_time, item.commit_time);
  if (group_.empty()) through_ = pending_through_;
  return {};
}

void PostgresSink::count(const CursorItem& item, Applied& applied) {
  ++applied.transactions;
  applied.changes += item.changes;
  applied.commit_time = std::max(applied.commit_time, item.commit_time);
}

bool PostgresSink::group_is_full() const {
  return !group_.empty() && (group_.size() >= options_.group_transactions_max ||
                             group_changes_ >= options_.group_changes_max ||
                             group_bytes_ >= options_.group_bytes_max ||
                             world_.now() - group_began_ >= options_.group_time_max);
}

Result<void> PostgresSink::add_to_group(TransactionCursor& cursor, const CursorItem& item,
                                        Applied& applied) {
  if (group_.empty()) {
    relations_.keep_group();
    group_began_ = world_.now();
  }
  GroupItem& taken = group_.emplace_back(GroupItem{.item = item, .parts = {}});
  for (;;) {
    FARSHORE_TRY_ASSIGN(std::optional<PlacedRecord> placed, cursor.next_record());
    if (!placed) break;
    const bool continued = placed->record.flags.continued;
    taken.parts.push_back({buffered_.keep(std::move(placed->record.payload)), continued});
  }
  group_bytes_ += item.bytes;
  group_changes_ += item.changes;
  pending_through_ = item.place.sequence;
  const Mode mode = options_.set_based ? Mode::sets : Mode::rows;
  begin_item(item);
  Result<void> fed;
  for (const Part& part : taken.parts)
    if (fed.ok() && !session_->pipeline().failed()) fed = feed(part, mode);
  if (!fed.ok() && over()) return fed;
  if (fed.ok() && !session_->pipeline().failed()) return {};
  return redo_group(applied);
}

Result<void> PostgresSink::finish_group(Applied& applied) {
  if (group_.empty()) return {};
  if (auto flushed = sets_->flush(); !flushed.ok()) {
    if (over()) return flushed;
    return redo_group(applied);
  }
  FARSHORE_TRY_ASSIGN(const std::optional<Failure> failure, commit(group_.back().item));
  if (failure) {
    learn_from_failure(*failure);
    return redo_group(applied);
  }
  for (const GroupItem& done : group_) count(done.item, applied);
  through_ = pending_through_;
  group_.clear();
  buffered_.clear();
  group_bytes_ = group_changes_ = 0;
  return {};
}

// Commits what was written since begin(), if anything was.
Result<std::optional<Failure>> PostgresSink::commit(const CursorItem& last) {
  if (!session_->in_transaction()) return std::optional<Failure>();
  FARSHORE_TRY(gates_.write_joined(session_->pipeline()));
  FARSHORE_TRY_ASSIGN(std::optional<Failure> failure,
                      session_->commit(last.place.sequence, last.commit_time));
  if (failure) return failure;
  gates_.forget_joined();
  written_ = last.place.sequence;
  return failure;
}

// Where unique values move between rows, a set can fail that succeeds row by row.
void PostgresSink::learn_from_failure(const Failure& failure) {
  if (failure.sqlstate == "23505" && failure.trace && failure.trace->relation)
    sets_->write_alone_from_now(failure.trace->relation->target.quoted);
}

// Back to the last commit, with the target's catalog read anew.
Result<void> PostgresSink::take_back() {
  sets_->forget();
  FARSHORE_TRY_ASSIGN(const std::optional<Failure> failure, session_->pipeline().settle());
  if (failure) learn_from_failure(*failure);
  FARSHORE_TRY(session_->roll_back());
  relations_.drop_group();
  relations_.forget_targets();
  return load_gates();
}

Result<void> PostgresSink::load_gates() {
  os::Lock lock(listed_mutex_);
  TablesListed listed = listed_.epoch == epoch_ ? listed_ : TablesListed{};
  lock.unlock();
  return gates_.load(session_->pipeline(), stream_, options_, std::move(listed));
}

Result<void> PostgresSink::redo_group(Applied& applied) {
  FARSHORE_TRY(take_back());
  for (const GroupItem& part_of_group : group_) {
    begin_item(part_of_group.item);
    for (const Part& part : part_of_group.parts) {
      if (session_->pipeline().failed()) break;
      if (auto fed = feed(part, Mode::rows); !fed.ok())
        return refused(part_of_group.item, std::move(fed).error());
    }
    FARSHORE_TRY(commit_rows(part_of_group.item));
    count(part_of_group.item, applied);
    through_ = part_of_group.item.place.sequence;
  }
  through_ = pending_through_;
  group_.clear();
  buffered_.clear();
  group_bytes_ = group_changes_ = 0;
  return {};
}

// A transaction that can neither be written nor sent: those before it are committed.
Result<void> PostgresSink::refused(const CursorItem& item, Error error) {
  if (over()) return error;
  FARSHORE_TRY(session_->roll_back());
  return in_transaction(std::move(error), item);
}

Result<void> PostgresSink::commit_rows(const CursorItem& item) {
  FARSHORE_TRY_ASSIGN(const std::optional<Failure> failure, commit(item));
  relations_.keep_group();
  if (!failure) return {};
  const std::string name = fmt::format("{}-{}{}.json", item.place.epoch.value(),
                                       item.place.sequence.value(), options_.aside ? "-aside" : "");
  return with_report(explain_failure(session_->pipeline(), *failure, item, options_),
                     world_.files(), options_.rejected_folder, name);
}

Result<void> PostgresSink::apply_large(TransactionCursor& cursor, const CursorItem& item,
                                       Applied& applied) {
  relations_.keep_group();
  pending_through_ = item.place.sequence;
  const Mode mode = options_.set_based ? Mode::sets : Mode::rows;
  Result<void> fed = feed_large(cursor, item, mode);
  if (fed.ok()) fed = sets_->flush();
  if (!fed.ok() && over()) return fed;
  if (!fed.ok()) return redo_large(cursor, item, applied);
  FARSHORE_TRY_ASSIGN(const std::optional<Failure> failure, commit(item));
  if (failure) return redo_large(cursor, item, applied);
  relations_.keep_group();
  count(item, applied);
  through_ = pending_through_;
  return {};
}

Result<void> PostgresSink::redo_large(TransactionCursor& cursor, const CursorItem& item,
                                      Applied& applied) {
  FARSHORE_TRY(take_back());
  FARSHORE_TRY(cursor.rewind_item());
  if (auto fed = feed_large(cursor, item, Mode::rows); !fed.ok())
    return refused(item, std::move(fed).error());
  FARSHORE_TRY(commit_rows(item));
  count(item, applied);
  through_ = pending_through_;
  return {};
}

Result<void> PostgresSink::ask_durable() {
  if (durable_ >= through_) return {};
  if (durable_ >= written_) {
    durable_ = through_;  // nothing was written behind it
    return {};
  }
  const MonotonicTime now = world_.now();
  if (now - asked_durable_at_ < options_.durable_every) return {};
  asked_durable_at_ = now;
  FARSHORE_TRY(session_->make_durable());
  durable_ = through_;
  recorded_ = written_;
  return {};
}

Result<void> PostgresSink::skip(const CursorItem& item) {
  FARSHORE_CHECK(session_ && group_.empty(), "skip before open, or within a group");
  if (item.place.sequence <= through_) return {};
  Pipeline& pipeline = session_->pipeline();
  FARSHORE_TRY(session_->begin());
  FARSHORE_TRY(pipeline.run("SET LOCAL synchronous_commit = local"));
  FARSHORE_TRY(pipeline.run(fmt::format(
      "INSERT INTO farshore.skipped (stream, epoch, sequence, xid, changes, commit_time)"
      " VALUES ('{}', {}, {}, {}, {}, '{}') ON CONFLICT DO NOTHING",
      stream_.text(), item.place.epoch, item.place.sequence, item.xid, item.changes,
      format_time(item.commit_time))));
  FARSHORE_TRY_ASSIGN(const std::optional<Failure> failure,
                      session_->commit(item.place.sequence, item.commit_time));
  if (failure) return error_of(*failure, "record of the skipped transaction");
  through_ = written_ = pending_through_ = item.place.sequence;
  return {};
}

ByteView PostgresSink::Buffered::keep(Bytes payload) {
  bytes += payload.size();
  payloads.push_back(std::move(payload));
  return payloads.back();
}

}  // namespace farshore::postgres
