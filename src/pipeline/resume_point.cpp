#include "pipeline/resume_point.h"

#include "journal/epoch_history.h"

namespace farshore::pipeline {
namespace {

// In a trimmed journal the first retained preamble: what comes before it names relations that a
// newcomer has not heard of. What it passes over so is in the tables that are copied to it.
Result<Sequence> newcomers_place(journal::Journal& near) {
  if (near.status().first.sequence <= Sequence(1)) return Sequence(1);
  FARSHORE_TRY_ASSIGN(const std::optional<Sequence> preamble, near.first_preamble());
  if (preamble) return *preamble;
  return transient(ErrorKind::unavailable,
                   "the near journal was trimmed and holds no preamble, where a target that joins "
                   "could begin: one comes once no large transaction of the source is open");
}

}  // namespace

Result<Begin> resume_point(journal::Journal& near, const Welcome& far) {
  const journal::Status status = near.status();
  const auto history = near.history();
  auto begin = [&](Sequence next, std::uint64_t hash) {
    return Begin{
        .next = {journal::epoch_at(history, next), next}, .hash_before = hash, .history = history};
  };
  if (far.durable.sequence == Sequence(0)) {
    FARSHORE_TRY_ASSIGN(const Sequence first, newcomers_place(near));
    FARSHORE_TRY_ASSIGN(const std::uint64_t hash, near.hash_at(first.previous()));
    return begin(first, hash);
  }
  // When the agent starts, what is empty here is filled from there before anything is shipped.
  if (status.durable.sequence == Sequence(0))
    return transient(ErrorKind::conflict, "the near journal is being begun anew");
  if (far.durable.sequence > status.durable.sequence)
    return permanent(ErrorKind::conflict,
                     "the far journal ends at {}, beyond our own end {}: this region's journal "
                     "went back in time (a "
                     "restored disk?); move its folder away, and it is continued from the far one",
                     far.durable, status.durable);
  auto hash = near.hash_at(far.durable.sequence);
  if (!hash.ok() && hash.error().kind == ErrorKind::overtaken)
    return permanent(ErrorKind::overtaken,
                     "the far journal ends at {}, ours begins at {}: what lies between was "
                     "trimmed; copy the tables anew",
                     far.durable, status.first);
  if (!hash.ok()) return std::move(hash).error();
  if (*hash != far.hash)
    return permanent(ErrorKind::conflict,
                     "the journals differ at {}: near hash {:016x}, far hash {:016x}", far.durable,
                     *hash, far.hash);
  return begin(far.durable.sequence.next(), far.hash);
}

}  // namespace farshore::pipeline
