#include "fakes/memory_tables.h"

namespace farshore::fakes {
namespace {

constexpr std::size_t kRowsAtOnce = 2;

class MemoryTableRows final : public TableRows {
 public:
  explicit MemoryTableRows(MemoryRows rows) : rows_(std::move(rows)) {}

  Bytes mark() const override { return fmt::format("{} rows", rows_.size()); }
  Result<Bytes> next(Deadline) override {
    Bytes chunk;
    for (std::size_t i = 0; i < kRowsAtOnce && read_ < rows_.size(); ++i)
      ByteWriter(chunk).string32(rows_[read_++]);
    return chunk;
  }
  Result<void> held() const override { return {}; }
  std::uint64_t rows_read() const override { return read_; }

 private:
  const MemoryRows rows_;  // of the moment of open
  std::size_t read_ = 0;
};

Error stopped() {
  return permanent(ErrorKind::closed, "copying was stopped");
}

class MemoryTableWriter final : public TableWriter {
 public:
  MemoryTableWriter(CopiedTable& table, const std::atomic<bool>& interrupted)
      : table_(table), interrupted_(interrupted) {
    table_.state = TableState::copying;
  }
  Result<void> write(ByteView chunk) override {
    if (interrupted_) return stopped();
    bytes_ += chunk;
    return {};
  }
  Result<void> finish(ByteView mark) override {
    if (interrupted_) return stopped();
    if (table_.replace) table_.rows.clear();
    for (ByteReader in(bytes_); in.left() > 0;) table_.rows.emplace_back(in.string32());
    table_.state = TableState::copied;
    table_.replace = false;
    table_.mark = Bytes(mark);
    return {};
  }

 private:
  CopiedTable& table_;
  const std::atomic<bool>& interrupted_;
  Bytes bytes_;
};

bool has_its_rows(const CopiedTable& table) {
  return table.state == TableState::copied || table.state == TableState::streaming;
}

void copy_again(CopiedTable& table) {
  table.state = TableState::pending;
  table.replace = true;
}

}  // namespace

Result<std::vector<SourceTable>> MemorySnapshotSource::tables() {
  std::vector<SourceTable> all;
  all.reserve(rows.size());
  for (const auto& [name, table] : rows)
    all.push_back(
        {.name = name, .rows = table.size(), .bytes = 10 * table.size(), .definition = name});
  return all;
}

Result<std::unique_ptr<TableRows>> MemorySnapshotSource::open(const SourceTable& table, Deadline) {
  const auto found = rows.find(table.name);
  if (found == rows.end()) return permanent(ErrorKind::not_found, "no table {}", table.name);
  return std::unique_ptr<TableRows>(std::make_unique<MemoryTableRows>(found->second));
}

Result<std::vector<std::string>> MemoryCopySink::missing(const Uuid&,
                                                         const std::vector<SourceTable>& wanted) {
  FARSHORE_TRY(go_on());
  std::vector<std::string> names;
  for (const SourceTable& table : wanted)
    if (!has_its_rows(tables[table.name]) || tables[table.name].aside_from)
      names.push_back(table.name);
  return names;
}

Result<std::vector<TargetTable>> MemoryCopySink::prepare(const Uuid&, std::optional<Epoch> aside,
                                                         ByteView,
                                                         const std::vector<SourceTable>& wanted,
                                                         ExistingRows existing) {
  FARSHORE_TRY(go_on());
  for (const SourceTable& table : wanted) {
    const CopiedTable& here = tables[table.name];
    if (existing == ExistingRows::refuse && !here.rows.empty() && !has_its_rows(here) &&
        !here.replace)
      return permanent(ErrorKind::rejected, "table {} holds rows: empty it", table.name);
  }
  std::vector<TargetTable> states;
  for (const SourceTable& table : wanted) {
    CopiedTable& here = tables[table.name];
    if (here.state == TableState::missing) {
      const bool kept = existing == ExistingRows::keep && !here.rows.empty();
      here.state = kept ? TableState::streaming : TableState::pending;
      here.replace = !kept && !here.rows.empty();
      if (aside) here.aside_from = progress.value_or(Sequence(0));
    }
    if (!aside && !has_its_rows(here)) here.aside_from.reset();
    states.push_back({.name = table.name, .state = here.state, .rows_copied = here.rows.size()});
  }
  return states;
}

Result<std::unique_ptr<TableWriter>> MemoryCopySink::begin(const Uuid&, const SourceTable& table) {
  FARSHORE_TRY(go_on());
  const auto found = tables.find(table.name);
  if (found == tables.end() || has_its_rows(found->second))
    return permanent(ErrorKind::conflict, "table {} does not wait for a copy", table.name);
  return std::unique_ptr<TableWriter>(
      std::make_unique<MemoryTableWriter>(found->second, interrupted_));
}

Result<void> MemoryCopySink::reset(const Uuid&, std::optional<Epoch> aside,
                                   const std::string& table) {
  FARSHORE_TRY(go_on());
  bool found = table.empty();
  for (auto& [name, here] : tables) {
    if (!table.empty() && name != table) continue;
    found = true;
    copy_again(here);
    if (!aside)
      here.aside_from.reset();
    else if (!here.aside_from)
      here.aside_from = progress.value_or(Sequence(0));
  }
  if (found) return {};
  return permanent(ErrorKind::not_found, "no table {} was copied", table);
}

Result<void> MemoryCopySink::complete(const Uuid&) {
  return go_on();
}

Result<void> MemoryCopySink::lose_aside(const Uuid&) {
  FARSHORE_TRY(go_on());
  for (auto& [name, here] : tables)
    if (here.aside_from && has_its_rows(here)) copy_again(here);
  return {};
}

Result<void> MemoryCopySink::begin_anew(const Uuid& stream) {
  FARSHORE_TRY(reset(stream, std::nullopt, ""));
  if (progress) progress = Sequence(0);
  return {};
}

Result<void> MemoryCopySink::join(const Uuid&, Epoch, Sequence through) {
  FARSHORE_TRY(go_on());
  bool beyond = !progress || *progress > through;
  for (const auto& [name, here] : tables)
    if (here.aside_from && has_its_rows(here) && *here.aside_from > through) beyond = true;
  if (beyond)
    return transient(ErrorKind::conflict, "the stream's sink has not come to {}, or is beyond",
                     through);
  progress = through;
  for (auto& [name, here] : tables)
    if (has_its_rows(here)) here.aside_from.reset();
  return {};
}

Result<void> MemoryCopySink::go_on() const {
  if (interrupted_) return stopped();
  return {};
}

}  // namespace farshore::fakes
