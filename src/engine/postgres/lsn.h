// Lsn: a place in PostgreSQL's write-ahead log; for a committed transaction Commit.end_lsn, the end
// of the commit record. A Position begins with it, 8 bytes little-endian (resume_place.h).
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"
#include "change/place.h"

namespace farshore::postgres {

class Lsn {
 public:
  constexpr Lsn() = default;
  constexpr explicit Lsn(std::uint64_t value) : value_(value) {}

  static Result<Lsn> parse(std::string_view text);  // "0/16B3748"
  // Empty: Lsn(0); invalid when it has neither 8 nor 16 bytes.
  static Result<Lsn> from(const Position& position);
  std::string text() const;  // "0/16B3748"
  Position position() const;
  constexpr std::uint64_t value() const { return value_; }

  friend constexpr auto operator<=>(Lsn, Lsn) = default;

 private:
  std::uint64_t value_ = 0;
};

// Server times are microseconds since 2000-01-01 00:00 UTC.
WallTime from_server_time(std::int64_t microseconds);
std::int64_t to_server_time(WallTime time);

}  // namespace farshore::postgres
