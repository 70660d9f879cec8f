// Unended: transactions of several records that were begun since the journal was opened and have
// not ended in it, for messages: one may be what fills a journal. Streamed ones lie among others.
// Pure; the log's lock guards it.
#pragma once

#include <map>
#include <optional>

#include "change/record.h"

namespace farshore::journal {

class Unended {
 public:
  struct Transaction {
    std::uint64_t xid = 0;
    Sequence first;           // its first record
    std::uint64_t bytes = 0;  // of payload, so far
    friend bool operator==(const Transaction&, const Transaction&) = default;
  };
  // What it wants to know of one record.
  struct Note {
    bool begins = false, ends = false, ends_all = false;
    Transaction transaction;
  };

  // Nothing for most records.
  static std::optional<Note> note_of(const Record& record, Sequence sequence) {
    if (record.kind == RecordKind::session) return Note{.ends_all = true};
    const bool single = record.flags.first && record.flags.last;
    const bool data = record.kind == RecordKind::data && !single;
    if (!data && record.kind != RecordKind::abort) return std::nullopt;
    return Note{.begins = data && record.flags.first,
                .ends = ends_transaction(record),
                .transaction = {record.xid, sequence, record.payload.size()}};
  }

  void take(const Note& note) {
    if (note.ends_all) return open_.clear();
    const std::uint64_t xid = note.transaction.xid;
    if (note.ends) return (void)open_.erase(xid);
    if (note.begins)
      open_[xid] = note.transaction;
    else if (const auto found = open_.find(xid); found != open_.end())
      found->second.bytes += note.transaction.bytes;
  }

  void clear() { open_.clear(); }

  // The one that began first.
  std::optional<Transaction> oldest() const {
    std::optional<Transaction> oldest;
    for (const auto& [xid, transaction] : open_)
      if (!oldest || transaction.first < oldest->first) oldest = transaction;
    return oldest;
  }

 private:
  std::map<std::uint64_t, Transaction> open_;  // by xid: of one capture session
};

}  // namespace farshore::journal
