// Fetch: one end asks the other for records that it lost; the answer is a Fetched. Both ends ask,
// and both answer.
#pragma once

#include <algorithm>

#include "journal/journal.h"
#include "pipeline/messages.h"

namespace farshore::pipeline {

constexpr std::uint64_t kFetchRecordsMax = 1000;  // asked for at once, where it is not known how
                                                  // many are lost
constexpr std::uint64_t kFetchBytes = 512_KiB;    // of payload in one answer

// What the journal holds of them, from the first on and as many as fit; none when it does not hold
// the first, or cannot read it before the deadline.
inline Fetched answer_to(const Fetch& fetch, journal::Journal& journal, Deadline deadline) {
  Fetched fetched;
  const auto reader = journal.reader(fetch.first);
  if (!reader.ok()) return fetched;
  if (auto records = (*reader)->next(kFetchBytes, deadline); records.ok())
    fetched.records = *std::move(records);
  std::erase_if(fetched.records,
                [&](const PlacedRecord& r) { return r.place.sequence > fetch.last; });
  return fetched;
}

}  // namespace farshore::pipeline
