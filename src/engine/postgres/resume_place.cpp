#include "engine/postgres/resume_place.h"

#include <algorithm>
#include <limits>

#include "base/bytes.h"

namespace farshore::postgres {

CommitId CommitId::of(Lsn record, WallTime commit_time) {
  return {record, static_cast<std::uint32_t>(to_server_time(commit_time))};
}

Result<ResumePlace> ResumePlace::from(const Position& position) {
  ResumePlace place;
  if (position.empty()) return place;
  ByteReader reader(position.bytes);
  place.after = Lsn(reader.number<std::uint64_t>());
  if (reader.finished()) return place;
  const auto distance = reader.number<std::uint32_t>();
  const auto time = reader.number<std::uint32_t>();
  if (!reader.finished() || distance > place.after.value())
    return permanent(ErrorKind::invalid,
                     "a PostgreSQL position has 8 or 16 bytes, and its commit lies before it; this "
                     "one has {} bytes",
                     position.bytes.size());
  place.commit = CommitId{Lsn(place.after.value() - distance), time};
  return place;
}

Lsn ResumePlace::begin(Lsn confirmed) const {
  if (!commit || confirmed >= after) return after;
  return std::max(confirmed, commit->record);
}

Position ResumePlace::position() const {
  Position position = after.position();
  if (!commit || commit->record > after) return position;
  const std::uint64_t distance = after.value() - commit->record.value();
  if (distance > std::numeric_limits<std::uint32_t>::max()) return position;
  ByteWriter(position.bytes).number(static_cast<std::uint32_t>(distance));
  ByteWriter(position.bytes).number(commit->time);
  return position;
}

}  // namespace farshore::postgres
