#include "journal/epoch_history.h"

#include <algorithm>

#include "journal/checked_file.h"

namespace farshore::journal {
namespace {

constexpr CheckedForm kHistoryForm{{"FSJHIS\r\n", 8}, 1, "epoch history"};

std::string history_path(const std::string& folder) {
  return folder + "/history";
}

}  // namespace

Epoch epoch_at(const std::vector<EpochEntry>& entries, Sequence sequence) {
  Epoch epoch;
  for (const EpochEntry& entry : entries)
    if (entry.first <= sequence) epoch = entry.epoch;
  return epoch;
}

Result<void> EpochHistory::begin(const EpochEntry& entry) {
  if (std::find(entries.begin(), entries.end(), entry) != entries.end()) return {};
  if (entry.epoch.value() == 0 || entry.first.value() == 0)
    return permanent(ErrorKind::invalid, "epoch {} at sequence {}: both begin at 1", entry.epoch,
                     entry.first);
  if (entry.epoch < promised)
    return permanent(ErrorKind::conflict,
                     "epoch {} is stale: this journal promised to accept none below {}",
                     entry.epoch, promised);
  if (entry.epoch <= current())
    return permanent(ErrorKind::conflict,
                     "epoch {} cannot begin: this journal is already in epoch {}", entry.epoch,
                     current());
  if (entries.size() >= kEpochEntriesMax)
    return permanent(ErrorKind::invalid, "the journal's history holds {} epochs, the limit",
                     entries.size());
  std::erase_if(entries, [&](const EpochEntry& e) { return e.first >= entry.first; });
  entries.push_back(entry);
  promised = std::max(promised, entry.epoch);
  return {};
}

Bytes encode_history(const EpochHistory& history) {
  Bytes out;
  ByteWriter writer = begin_checked(kHistoryForm, out);
  writer.number(history.promised.value());
  writer.number(history.cut ? history.cut->value() : std::uint64_t{0});
  writer.number(static_cast<std::uint32_t>(history.entries.size()));
  for (const EpochEntry& entry : history.entries)
    writer.number(entry.epoch.value()).number(entry.first.value()).string32(entry.identity);
  writer.number(static_cast<std::uint32_t>(history.set_aside.size()));
  for (const SetAside& tail : history.set_aside)
    writer.number(tail.epoch.value())
        .number(tail.first.value())
        .number(tail.last.value())
        .number(tail.by.value());
  seal_checked(out);
  return out;
}

Result<EpochHistory> decode_history(ByteView bytes) {
  FARSHORE_TRY_ASSIGN(ByteReader in, open_checked(kHistoryForm, bytes));
  EpochHistory history;
  history.promised = Epoch(in.number<std::uint64_t>());
  if (const auto cut = in.number<std::uint64_t>(); cut != 0) history.cut = Sequence(cut);
  for (auto left = in.number<std::uint32_t>(); left > 0 && !in.failed(); --left) {
    EpochEntry entry;
    entry.epoch = Epoch(in.number<std::uint64_t>());
    entry.first = Sequence(in.number<std::uint64_t>());
    entry.identity = in.string32();
    history.entries.push_back(std::move(entry));
  }
  for (auto left = in.number<std::uint32_t>(); left > 0 && !in.failed(); --left) {
    SetAside tail;
    tail.epoch = Epoch(in.number<std::uint64_t>());
    tail.first = Sequence(in.number<std::uint64_t>());
    tail.last = Sequence(in.number<std::uint64_t>());
    tail.by = Epoch(in.number<std::uint64_t>());
    history.set_aside.push_back(tail);
  }
  FARSHORE_TRY(expect_end(kHistoryForm, in));
  return history;
}

Result<EpochHistory> load_history(os::Files& files, const std::string& folder) {
  const auto bytes = os::read_file(files, history_path(folder));
  if (!bytes && bytes.error().kind == ErrorKind::not_found) return EpochHistory{};
  if (!bytes) return bytes.error();
  auto history = decode_history(*bytes);
  if (!history) return within(history_path(folder), history.error());
  return history;
}

Result<void> save_history(os::Files& files, const std::string& folder,
                          const EpochHistory& history) {
  return os::replace_file(files, history_path(folder), encode_history(history));
}

}  // namespace farshore::journal
