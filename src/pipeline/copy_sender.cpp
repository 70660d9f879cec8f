#include "pipeline/copy_sender.h"

#include <set>

#include "base/guarded.h"
#include "link/long_message.h"
#include "os/thread.h"

namespace farshore::pipeline {
namespace {

constexpr Duration kPrepareWait = 10min;  // the target makes its tables
constexpr Duration kSnapshotWait = 10s;   // at a time, for transactions that still run
constexpr Duration kRowsWait = 5min;      // for the next chunk of a table
constexpr Duration kCopySendWait =
    1h;  // back pressure of a slow target; a dead link closes the channel
constexpr Duration kHeldEvery = 1s;      // how often a waiting copy looks whether it still may
constexpr Duration kCompleteWait = 24h;  // the target builds indexes and foreign keys

}  // namespace

CopySender::CopySender(os::World& world, Dial dial, SnapshotSource& source, StateBoard& board,
                       Options options)
    : world_(world),
      dial_(std::move(dial)),
      source_(source),
      board_(board),
      options_(std::move(options)) {}

Result<void> CopySender::run_once(std::stop_token stop) {
  const Sequence through = options_.captured();
  FARSHORE_TRY_ASSIGN(std::vector<SourceTable> tables, source_.tables());
  if (tables.size() > kListMax)
    return permanent(ErrorKind::invalid,
                     "stream {} takes {} tables, and one stream can at most take {}: give some of "
                     "them to another stream, with rules under `tables:` in farshore.yaml",
                     options_.stream_name, tables.size(), kListMax);
  FARSHORE_TRY_ASSIGN(
      auto channel,
      dial_(fmt::format("copy/{}/{}", options_.stream_name, options_.site), link::Class::copy));
  std::stop_callback close(stop, [&] { channel->close(); });
  FARSHORE_TRY_ASSIGN(const CopyMissing missing, ask_missing(*channel, tables, through));
  const std::set<std::string> names(missing.tables.begin(), missing.tables.end());
  std::erase_if(tables, [&](const SourceTable& table) { return !names.contains(table.name); });
  if (missing.first) board_.hear(State::copying, "", "");
  if (!tables.empty()) {
    FARSHORE_TRY_ASSIGN(tables, prepare(*channel, std::move(tables)));
    FARSHORE_TRY(copy_tables(tables, missing.first, stop));
  }
  FARSHORE_TRY(ask(*channel, CopyDone{}, world_.after(kCompleteWait)));
  if (missing.first) board_.hear(State::streaming, "", "");
  return {};
}

Result<CopyMissing> CopySender::ask_missing(link::Channel& channel,
                                            const std::vector<SourceTable>& tables,
                                            Sequence through) {
  CopyAsk question{.tables = {}, .through = through};
  for (const SourceTable& table : tables)
    question.tables.push_back({.name = table.name,
                               .rows = table.rows,
                               .bytes = table.bytes,
                               .membership = table.membership,
                               .definition = {}});
  FARSHORE_TRY_ASSIGN(Message answer, ask(channel, question, world_.after(kPrepareWait)));
  auto* missing = std::get_if<CopyMissing>(&answer);
  if (missing == nullptr)
    return permanent(ErrorKind::corrupt, "the target answered CopyAsk with something else");
  return std::move(*missing);
}

// Those of them that are still to be copied.
Result<std::vector<SourceTable>> CopySender::prepare(link::Channel& channel,
                                                     std::vector<SourceTable> tables) {
  FARSHORE_TRY_ASSIGN(Bytes shared, source_.shared_definitions());
  const Prepare prepare{.stream = options_.stream,
                        .shared_definitions = std::move(shared),
                        .tables = tables,
                        .existing = options_.existing};
  auto asked = ask(channel, prepare, world_.after(kPrepareWait));
  if (!asked.ok())
    return within(fmt::format("the definitions of {} tables", tables.size()),
                  std::move(asked).error());
  const Message answer = *std::move(asked);
  const auto* prepared = std::get_if<Prepared>(&answer);
  if (prepared == nullptr)
    return permanent(ErrorKind::corrupt, "the target answered Prepare with something else");
  std::map<std::string, TableState> states;
  for (const TargetTable& table : prepared->tables) states[table.name] = table.state;
  std::erase_if(tables, [&](const SourceTable& table) {
    const TableState state = states[table.name];
    return state == TableState::copied || state == TableState::streaming;
  });
  return tables;
}

Result<void> CopySender::copy_tables(const std::vector<SourceTable>& tables, bool first,
                                     std::stop_token stop) {
  {
    os::Lock lock(mutex_);
    progress_.clear();
    for (const SourceTable& table : tables)
      progress_.push_back(
          {.table = table.name, .rows_total = table.rows, .bytes_total = table.bytes});
  }
  os::Mutex turn;
  std::size_t next = 0;
  Result<void> first_error;
  auto work = [&](std::stop_token) {
    for (;;) {
      std::size_t mine = 0;
      {
        os::Lock lock(turn);
        if (next == tables.size() || !first_error.ok() || stop.stop_requested()) return;
        mine = next++;
      }
      Result<void> copied = guarded([&] { return copy_table(tables[mine], mine, first, stop); });
      os::Lock lock(turn);
      if (!copied.ok() && first_error.ok())
        first_error = within("copy of " + tables[mine].name, std::move(copied).error());
    }
  };
  {
    std::vector<os::Thread> workers;
    for (std::size_t i = 0; i < std::min(options_.tables_at_once, tables.size()); ++i)
      workers.emplace_back("copy", work);
    for (os::Thread& worker : workers) worker.join();
  }
  if (stop.stop_requested()) return permanent(ErrorKind::closed, "the copy was stopped");
  return first_error;
}

Result<void> CopySender::copy_table(const SourceTable& table, std::size_t slot, bool first,
                                    std::stop_token stop) {
  Result<std::unique_ptr<TableRows>> rows = source_.open(table, world_.after(kSnapshotWait));
  while (!rows.ok() && rows.error().kind == ErrorKind::timeout && !stop.stop_requested()) {
    if (first)
      board_.hear(State::copying, rows.error().what, "");
    else
      board_.report(Severity::info, "copy.waits", rows.error().what);
    rows = source_.open(table, world_.after(kSnapshotWait));
  }
  if (!rows.ok()) return std::move(rows).error();
  if (first) board_.hear(State::copying, "", "");
  FARSHORE_TRY_ASSIGN(
      auto channel,
      dial_(fmt::format("table/{}/{}", options_.stream_name, options_.site), link::Class::copy));
  std::stop_callback close(stop, [&] { channel->close(); });
  FARSHORE_TRY(link::send_long(*channel, encode(TableBegin{options_.stream, table}),
                               world_.after(kPrepareWait)));
  FARSHORE_TRY(send_rows(*channel, **rows, slot, stop));
  const TableEnd end{.mark = (*rows)->mark(), .rows = (*rows)->rows_read()};
  FARSHORE_TRY_ASSIGN(Message answer, ask(*channel, end, world_.after(kPrepareWait)));
  if (!std::holds_alternative<TableCopied>(answer))
    return permanent(ErrorKind::corrupt, "the target answered TableEnd with something else");
  os::Lock lock(mutex_);
  progress_[slot].done = true;
  return {};
}

Result<void> CopySender::send_rows(link::Channel& channel, TableRows& rows, std::size_t slot,
                                   std::stop_token stop) {
  {
    os::Lock lock(mutex_);
    progress_[slot].began = world_.now();
  }
  while (!stop.stop_requested()) {
    FARSHORE_TRY_ASSIGN(Bytes chunk, rows.next(world_.after(kRowsWait)));
    if (chunk.empty()) return {};
    const std::uint64_t bytes = chunk.size();
    // A chunk with a large row is cut: the sink takes the bytes of COPY in any pieces.
    for (std::uint64_t at = 0; at < bytes; at += kRecordPayloadMax)
      FARSHORE_TRY(send_chunk(channel, rows, Chunk{chunk.substr(at, kRecordPayloadMax)}));
    os::Lock lock(mutex_);
    progress_[slot].bytes += bytes;
    progress_[slot].rows = rows.rows_read();
  }
  return permanent(ErrorKind::closed, "the copy was stopped");
}

Result<void> CopySender::send_chunk(link::Channel& channel, const TableRows& rows,
                                    const Message& chunk) {
  const Bytes bytes = encode(chunk);
  const Deadline deadline = world_.after(kCopySendWait);
  for (;;) {
    auto sent = channel.send(bytes, earlier(deadline, world_.after(kHeldEvery)));
    const bool room = sent.ok() || sent.error().kind != ErrorKind::timeout;
    if (room || deadline.reached(world_.now())) return sent;
    FARSHORE_TRY(rows.held());
  }
}

std::vector<CopyProgress> CopySender::progress() const {
  os::Lock lock(mutex_);
  return progress_;
}

}  // namespace farshore::pipeline
