// ResumePlace: where a capture session goes on, and the last commit before it, by which the
// server's log is known again. As a Position: docs/formats/postgres-payload.md.
//
// A server that was set back (a storage snapshot was put back and recovered as after a crash) is
// the same to all that it says of itself: system, timeline, slot. Its log is not: from some place
// on it is another one, or ends earlier. Two rules find that out, whatever a crash may do:
// - The log ends before `after`. The server sends only what it has flushed, so that no crash takes
//   it back.
// - The log is not the one that was read. What the slot is confirmed up to is the same, since we
//   confirm only what we read. The session begins there, or at `commit` if that comes later, which
//   must then be sent again, first of all. Up to `after` nothing else may come that would have been
//   named instead: `commit` was the last.
// That a crash sets the slot itself back a little only means that the commit is sent again.
#pragma once

#include <optional>

#include "engine/postgres/lsn.h"

namespace farshore::postgres {

struct CommitId {
  Lsn record;              // where the commit record begins
  std::uint32_t time = 0;  // of the commit: the low half of the server's microseconds

  static CommitId of(Lsn record, WallTime commit_time);
  friend bool operator==(const CommitId&, const CommitId&) = default;
};

struct ResumePlace {
  Lsn after;
  std::optional<CommitId> commit;  // before `after`; nullopt: none is known

  static Result<ResumePlace> from(const Position& position);  // invalid: neither 8 nor 16 bytes
  // Without the commit when that is 4 GiB of log or more before.
  Position position() const;

  // Where a session begins at a slot that is confirmed up to there.
  Lsn begin(Lsn confirmed) const;
};

}  // namespace farshore::postgres
